# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which pixels a network has been trained on, for the leaks of another split."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .._typing import BoolArray
from ..datasets.labelled_scenes.scene import LabelledScene

#: Keys of the state that tells them.
_PIXELS, _SCENE = 'trained_pixels', 'trained_scene'


def scene_checksum(scene: LabelledScene) -> int:
    """Compute a number that other scenes do not have.

    Args:
        scene: The scene.

    Returns:
        Checksum of the band in the middle, and of its size; not of labels.
    """
    bands, rows, columns = scene.shape
    size = np.array([bands, rows, columns]).tobytes()
    middle = np.where(scene.valid, scene.image[bands // 2], 0)
    return zlib.crc32(np.ascontiguousarray(middle).tobytes(), zlib.crc32(size))


def save_pixels(pixels: BoolArray, scene: LabelledScene) -> dict[str, Any]:
    """Make the state of trained pixels.

    Args:
        pixels: Pixels that were trained on, bool of shape ``(H, W)``.
        scene: Their scene.

    Returns:
        What a checkpoint keeps: a bit for each pixel.
    """
    bits = torch.from_numpy(np.packbits(pixels))
    return {_PIXELS: bits, _SCENE: scene_checksum(scene)}


def is_known(state: Mapping[str, Any]) -> bool:
    """Tell whether a state has trained pixels.

    Args:
        state: The state of a data module.

    Returns:
        Whether it has.
    """
    return _PIXELS in state


def load_pixels(state: Mapping[str, Any], scene: LabelledScene) -> BoolArray | None:
    """Read the trained pixels of a state.

    Args:
        state: What :func:`save_pixels` returned, among others.
        scene: The scene that is open now.

    Returns:
        Pixels of shape ``(H, W)``: none if they were those of another scene; None if
        the state does not tell.
    """
    if not is_known(state):
        return None
    shape = scene.labels.shape
    if state[_SCENE] != scene_checksum(scene):
        return np.zeros(shape, dtype=bool)
    bits = torch.as_tensor(state[_PIXELS], dtype=torch.uint8).cpu().numpy()
    return np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
