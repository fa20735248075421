# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Coordinate reference systems and pixel sizes."""

import functools
import math
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS as PROJ_CRS
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from rasterio.warp import calculate_default_transform

from ..io import CubeInfo


@functools.lru_cache(maxsize=8)
def to_rasterio(crs: PROJ_CRS) -> CRS:
    """Return a CRS of pyproj as one of rasterio.

    Args:
        crs: The CRS of a dataset.
    """
    # parsing WKT takes longer than reading a small patch
    return CRS.from_user_input(crs)


def check_resolution(res: float | tuple[float, float]) -> tuple[float, float]:
    """Check a pixel size.

    Args:
        res: Size in units of the CRS, one number or one for each of x and y.

    Returns:
        Size to the east and to the north.

    Raises:
        ValueError: If it is not one or two positive numbers.
    """
    # users write them into configurations, so they may be anything
    values: Any = res if isinstance(res, tuple | list) else (res, res)
    if len(values) != 2 or not all(
        isinstance(value, int | float | np.number)
        and math.isfinite(value)
        and value > 0
        for value in values
    ):
        raise ValueError(
            'Expected res as a positive pixel size in units of the CRS, or two of them '
            f'(x, y), got {res!r}.'
        )
    return float(values[0]), float(values[1])


def native_resolution(info: CubeInfo, crs: CRS) -> tuple[float, float]:
    """Return the pixel size of a scene in a CRS.

    Args:
        info: The scene, which has a georeference.
        crs: The CRS.

    Returns:
        Size to the east and to the north.
    """
    assert info.transform is not None
    return _resolution(info.transform, info.shape[1], info.shape[2], info.crs, crs)


@functools.lru_cache(maxsize=128)
def _resolution(
    transform: Affine, height: int, width: int, own: CRS, crs: CRS
) -> tuple[float, float]:
    if own != crs or transform.b or transform.d:
        bounds = array_bounds(height, width, transform)
        transform, _, _ = calculate_default_transform(own, crs, width, height, *bounds)
    return abs(transform.a), abs(transform.e)
