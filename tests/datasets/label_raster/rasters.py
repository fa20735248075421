# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Rasters of codes, and what is expected of them."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from data.enmap_l2a.data import EPSG, NORTH, PIXEL, WEST

from torchgeo_hsi.datasets import LabelRaster

IGNORE = 255


def write(
    path: Path,
    codes: np.ndarray,
    *,
    column: float = 0,
    row: float = 0,
    epsg: int = EPSG,
    size: float = PIXEL,
    nodata: float | None = None,
) -> Path:
    """Write a label map; *column* and *row* move it, in pixels to the south-east."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=codes.shape[0],
        width=codes.shape[1],
        count=1,
        dtype=codes.dtype,
        crs=f'EPSG:{epsg}',
        transform=Affine(size, 0, WEST + column * size, 0, -size, NORTH - row * size),
        nodata=nodata,
    ) as dst:
        dst.write(codes, 1)
    return path


def some_codes(values: list[int], shape: tuple[int, int] = (9, 7)) -> np.ndarray:
    return np.random.default_rng(0).choice(values, shape)


def remap(codes: np.ndarray, classes: list[int]) -> np.ndarray:
    """Look every code up, pixel by pixel."""
    table = {code: index for index, code in enumerate(classes)}
    return np.array([[table.get(float(c), IGNORE) for c in line] for line in codes])


def whole(dataset: LabelRaster) -> np.ndarray:
    return dataset[dataset.bounds]['mask'].numpy()


def window(
    column: float, row: float, width: float, height: float, step: float = PIXEL
) -> tuple[slice, slice]:
    """Build a query in pixels from the corner in the north-west."""
    left, top = WEST + column * PIXEL, NORTH - row * PIXEL
    return (
        slice(left, left + width * PIXEL, step),
        slice(top - height * PIXEL, top, step),
    )
