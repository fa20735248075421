# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A place, and labels that are written there."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

from torchgeo_hsi.io import CubeInfo

UTM = CRS.from_epsg(32633)


PLACE = Affine(30, 0, 366000, 0, -30, 5810000)


def info(
    shape: tuple[int, int] = (20, 24), crs: Any = UTM, transform: Any = PLACE
) -> CubeInfo:
    return CubeInfo(
        'scene.tif',
        'unknown',
        (5, *shape),
        'int16',
        None,
        None,
        crs=crs,
        transform=transform,
    )


def write(path: Path, codes: np.ndarray, **options: Any) -> Path:
    tags = options.pop('tags', {})
    colors = options.pop('colors', None)
    profile = {'crs': UTM, 'transform': PLACE, **options}
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=codes.shape[0],
        width=codes.shape[1],
        count=1,
        dtype=codes.dtype,
        **profile,
    ) as dst:
        dst.write(codes, 1)
        dst.update_tags(**tags)
        if colors:
            dst.write_colormap(1, colors)
    return path


def centers(scene: CubeInfo) -> tuple[np.ndarray, np.ndarray]:
    assert scene.transform is not None
    y, x = np.mgrid[0 : scene.shape[1], 0 : scene.shape[2]] + 0.5
    return scene.transform @ (x, y)
