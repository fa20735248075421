# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes in which each pixel says where it is."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine

from torchgeo_hsi.datasets import RegionCrops
from torchgeo_hsi.datasets._region_grid import Region

HEIGHT, WIDTH, BLOCK = 150, 200, 32


LEFT, TOP, RES = 400020.0, 5000010.0, 30.0


type Sample = dict[str, Any]


def write(path: Path, values: np.ndarray, left: float = LEFT, **options: Any) -> Path:
    bands, height, width = values.shape
    profile = {
        'driver': 'GTiff',
        'count': bands,
        'height': height,
        'width': width,
        'dtype': values.dtype,
        'crs': 'EPSG:32633',
        'transform': Affine(RES, 0, left, 0, -RES, TOP),
        'tiled': True,
        'blockxsize': BLOCK,
        'blockysize': BLOCK,
        'interleave': 'band',
        'compress': 'deflate',
        'predictor': 2,
        'nodata': -1,
    }
    with rasterio.open(path, 'w', **{**profile, **options}) as dst:
        dst.write(values)
    return path


def numbered(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a cube of which the first two bands say where a pixel lies."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows * 7 % 99]).astype('int16')


def places(crops: RegionCrops) -> list[tuple[int, int]]:
    """Draw an epoch; return the row and column of each crop."""
    return [place(sample) for sample in crops]


def place(sample: Sample) -> tuple[int, int]:
    return int(sample['image'][0, 0, 0]), int(sample['image'][1, 0, 0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Reads:
    """Remembers what a source reads."""

    def __init__(self, crops: RegionCrops) -> None:
        self.regions: list[Region] = []
        self._read = crops._source.read
        crops._source.read = self  # type: ignore[method-assign]

    def __call__(self, region: Region) -> Sample:
        self.regions.append(region)
        return self._read(region)


def write_empty(folder: Path) -> Path:
    return write(folder / 'empty.tif', np.full((3, 64, 64), -1, 'int16'), LEFT + 1e5)
