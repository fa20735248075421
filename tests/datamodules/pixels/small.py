# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small data module, and windows cut by hand."""

from typing import Any

import numpy as np

from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene

SHARES = {'train': 0.5, 'val': 0.2, 'test': 0.3}


def module(scene: LabelledScene, **words: Any) -> HSIPixelDataModule:
    options: dict[str, Any] = {
        'window': 5,
        'shares': SHARES,
        'block_size': 12,
        'batch_size': 16,
        'tile_size': 32,
    }
    if words.get('split', 'block') != 'block':
        del options['block_size']
    if words.get('split') in ('official', 'all'):
        del options['shares']
    return HSIPixelDataModule(scene, **(options | words))


def cut(scene: LabelledScene, row: int, column: int, window: int) -> tuple[Any, Any]:
    """Cut a window out of a scene, pixel by pixel."""
    bands, height, width = scene.shape
    image = np.zeros((bands, window, window), dtype=np.float32)
    valid = np.zeros((window, window), dtype=bool)
    for i in range(window):
        for j in range(window):
            y, x = row + i - window // 2, column + j - window // 2
            if 0 <= y < height and 0 <= x < width and scene.valid[y, x]:
                image[:, i, j] = scene.image[:, y, x]
                valid[i, j] = True
    return image, valid
