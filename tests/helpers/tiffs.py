# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""TIFF files of all kinds."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

BANDS, HEIGHT, WIDTH = 5, 37, 41

PLACE = Affine(30, 0, 365055, 0, -30, 5809965)

STRIPS = {'blockysize': 7}

TILES = {'tiled': True, 'blockxsize': 16, 'blockysize': 32}

CODECS = {
    'none': {},
    'deflate': {'compress': 'deflate'},
    'deflate2': {'compress': 'deflate', 'predictor': 2},
    'zstd2': {'compress': 'zstd', 'predictor': 2},
    'lzw2': {'compress': 'lzw', 'predictor': 2},
    'lzma': {'compress': 'lzma'},
    'packbits': {'compress': 'packbits'},
}


def cube(dtype: str = 'int16', shape: tuple[int, ...] | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(1, 120, shape or (BANDS, HEIGHT, WIDTH)).astype(dtype)


def profile_of(values: np.ndarray, **options: Any) -> dict[str, Any]:
    """Return rasterio's profile of a cube ``(C, H, W)`` with a place on the ground.

    Args:
        values: The cube.
        **options: What else to put into the profile, or instead.

    Returns:
        Keyword arguments of ``rasterio.open``.
    """
    count, height, width = values.shape
    profile = {
        'driver': 'GTiff',
        'count': count,
        'height': height,
        'width': width,
        'dtype': values.dtype,
        'crs': 'EPSG:32633',
        'transform': PLACE,
    }
    return profile | options


def write_raster(path: Path, values: np.ndarray, **options: Any) -> np.ndarray:
    """Write a cube ``(C, H, W)`` with rasterio, and return it.

    Args:
        path: The file.
        values: The cube.
        **options: Of rasterio.

    Returns:
        The cube.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(path, 'w', **profile_of(values, **options)) as dst:
            dst.write(values)
    return values


def write(path: Path, values: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """Write a small cube, pixel by pixel, and return it."""
    values = cube() if values is None else values
    return write_raster(path, values, **({'interleave': 'pixel'} | options))
