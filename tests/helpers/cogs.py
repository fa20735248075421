# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes to be written, their place, and what a writer leaves behind."""

from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

TRANSFORM = Affine(30, 0, 366975, 0, -30, 5805165)
UTM33 = CRS.from_epsg(32633)


def make_cube(shape: tuple[int, int, int], dtype: str = 'float32') -> np.ndarray:
    """Draw a cube ``(C, H, W)``."""
    values = np.random.default_rng(0).normal(1000, 300, shape)
    return values.astype(dtype)


def leftovers(folder: Path) -> list[str]:
    """Return the names of hidden files, which no writer may leave."""
    return [p.name for p in folder.iterdir() if p.name.startswith('.')]
