# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What samplers have to see of the data: where it is valid, and which class is where."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchgeo.datasets import GeoDataset, IntersectionDataset

from .._typing import BoolArray, Sample
from ..errors import EmptyDataError
from ..physics.window_sums import window_sums
from ._grid import PixelGrid, Scene, blocks

#: Pixels of a side of what is read at once.
_BLOCK = 512


def valid_pixels(sample: Sample) -> NDArray[np.bool_]:
    """Tell where a sample has usable pixels.

    Args:
        sample: A sample with ``valid``, or else with ``image`` or ``mask``.

    Returns:
        ``valid``; without it, True where some band is finite and not 0, which is what
        torchgeo fills with. Shape ``(H, W)``.
    """
    if 'valid' in sample:
        return np.asarray(sample['valid'], dtype=bool)
    image: torch.Tensor = sample['image'] if 'image' in sample else sample['mask']
    layers = image.reshape(-1, *image.shape[-2:])
    return np.asarray((layers.isfinite() & (layers != 0)).any(dim=0))


def class_map(sample: Sample) -> NDArray[np.int64]:
    """Return the classes of a sample.

    Args:
        sample: A sample with ``mask`` of shape ``(H, W)`` or ``(1, H, W)``.

    Returns:
        Classes of shape ``(H, W)``.

    Raises:
        EmptyDataError: If there is no such mask.
    """
    mask: Any = sample.get('mask')
    if mask is None:
        raise EmptyDataError(
            'Expected samples with a mask to balance classes, got '
            f'{", ".join(sorted(sample))}. Pass labels= (a dataset of label maps), or '
            'join images and labels by "images & labels".'
        )
    return np.asarray(mask.reshape(mask.shape[-2:]), dtype=np.int64)


def weight_map(sample: Sample) -> NDArray[np.float64]:
    """Return the weights of pixels that a sample holds in its first band.

    Args:
        sample: A sample with ``image`` or ``mask``.

    Returns:
        Weights of shape ``(H, W)``, 0 where a number is negative or not finite.
    """
    values: torch.Tensor = sample['image'] if 'image' in sample else sample['mask']
    layer = values.reshape(-1, *values.shape[-2:])[0].double()
    weights = torch.nan_to_num(layer, 0.0, 0.0, 0.0).clamp(min=0)
    if 'valid' in sample:
        weights = weights * sample['valid']
    return weights.numpy()


def read_scene[K: np.generic](
    dataset: GeoDataset,
    grid: PixelGrid,
    scene: Scene,
    look: Callable[[Sample], NDArray[K]],
    fill: Any,
) -> NDArray[K]:
    """Look at a scene block by block.

    Args:
        dataset: The dataset to look at; its pixels are taken on *grid*.
        grid: The pixel grid.
        scene: The scene.
        look: Makes an array of shape ``(H, W)`` from a sample.
        fill: What stands where the dataset has nothing.

    Returns:
        Array of the shape of the scene, rows downwards.
    """
    found: NDArray[K] | None = None
    for row, column, height, width in blocks(scene, _BLOCK):
        bottom = scene.bottom + scene.height - row - height
        x, y, t = grid.query(scene.left + column, bottom, width, height, scene.time)
        steps = slice(x.start, x.stop, grid.res[0]), slice(y.start, y.stop, grid.res[1])
        try:
            part = look(dataset[(*steps, t)])
        except IndexError:
            continue
        if found is None:
            found = np.full((scene.height, scene.width), fill, part.dtype)
        # rounding may give a query one pixel more
        found[row : row + height, column : column + width] = part[:height, :width]
    if found is None:
        return np.full((scene.height, scene.width), fill)
    return found


def scout(dataset: GeoDataset) -> GeoDataset:
    """Return the part of a dataset that tells at least cost where pixels are valid.

    Args:
        dataset: The dataset.

    Returns:
        Of images joined with labels, the images; of scenes with hundreds of bands, the
        same scenes with a few of them.
    """
    if isinstance(dataset, IntersectionDataset):
        return scout(dataset.datasets[0])
    few = getattr(dataset, 'few_bands', None)
    return few() if callable(few) else dataset


def labels_of(dataset: GeoDataset) -> GeoDataset:
    """Return the part of a dataset that gives the classes.

    Args:
        dataset: The dataset.

    Returns:
        Of images joined with labels, the labels.
    """
    if isinstance(dataset, IntersectionDataset):
        return labels_of(dataset.datasets[1])
    return dataset


def check_share(min_valid: float) -> float:
    """Check a share of valid pixels.

    Args:
        min_valid: The share.

    Returns:
        The share.

    Raises:
        ValueError: If it is not from 0 to 1.
    """
    if not 0 <= min_valid <= 1:
        raise ValueError(f'Expected min_valid from 0 to 1, got {min_valid}.')
    return min_valid


def allowed(
    grid: PixelGrid, scene: Scene, size: int, valid: BoolArray | None, min_valid: float
) -> BoolArray | None:
    """Tell where windows may start.

    Args:
        grid: The pixel grid.
        scene: The scene.
        size: Rows and columns of a window.
        valid: Where the scene is valid, or None if that does not matter.
        min_valid: Least share of valid pixels of a window.

    Returns:
        Mask of the places, rows downwards; None if all are allowed.
    """
    inside = grid.inside(scene)
    if inside is None and valid is None:
        return None
    pad = max(size - scene.height, 0), max(size - scene.width, 0)
    edges = [(free // 2, free - free // 2) for free in pad]
    result: BoolArray | None = None
    if inside is not None:
        result = window_sums(np.pad(inside, edges), size) == size * size
    if valid is not None:
        # rounding must not refuse a window that has just enough
        least = min_valid * size * size - 1e-6
        enough = window_sums(np.pad(valid, edges), size) >= least
        result = enough if result is None else result & enough
    return result
