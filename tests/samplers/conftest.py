# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Datasets that samplers are tested on."""

from collections.abc import Callable, Iterable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
from rasterio.transform import Affine
from torchgeo.datasets import GeoDataset, RasterDataset
from torchgeo.datasets.utils import GeoSlice

RES = 30.0
WEST = 500000.0


class Pixels(GeoDataset):
    """Scenes of one band in memory, in which every pixel says where it is."""

    def __init__(
        self,
        *boxes: tuple[int, int, int, int],
        valid: Iterable[np.ndarray] | None = None,
        masks: Iterable[np.ndarray] | None = None,
        days: Iterable[str] | None = None,
    ) -> None:
        """Boxes are (left, bottom, width, height) in pixels, arrays have rows down."""
        self.boxes = boxes
        self.valid = None if valid is None else list(valid)
        self.masks = None if masks is None else list(masks)
        shapes = [
            shapely.box(WEST + x * RES, y * RES, WEST + (x + w) * RES, (y + h) * RES)
            for x, y, w, h in boxes
        ]
        start = (
            pd.date_range('2023-01-01', periods=len(boxes))
            if days is None
            else pd.to_datetime(list(days))
        )
        times = pd.IntervalIndex.from_arrays(
            start, start + pd.Timedelta('1h'), closed='both', name='datetime'
        )
        self.index = gpd.GeoDataFrame(geometry=shapes, index=times, crs='EPSG:32633')
        self._res = (RES, RES)
        self.reads = 0

    def __getitem__(self, index: GeoSlice) -> dict[str, torch.Tensor]:
        self.reads += 1
        x, y, t = self._disambiguate_slice(index)
        left, bottom = round((x.start - WEST) / RES), round(y.start / RES)
        width = round((x.stop - x.start) / RES)
        height = round((y.stop - y.start) / RES)
        sample = {
            'image': torch.zeros(1, height, width),
            'transform': torch.tensor([RES, 0, x.start, 0, -RES, y.stop]),
            'bounds': self._slice_to_tensor(index),
        }
        for number in np.flatnonzero(
            self.index.index.overlaps(pd.Interval(t.start, t.stop))
        ):
            box = self.boxes[number]
            up = box[1] + box[3]
            for i in range(height):
                for j in range(width):
                    row, column = up - (bottom + height - i), left + j - box[0]
                    if not (0 <= row < box[3] and 0 <= column < box[2]):
                        continue
                    sample['image'][0, i, j] = 1 + number
                    for key, arrays in (('valid', self.valid), ('mask', self.masks)):
                        if arrays is not None:
                            if key not in sample:
                                sample[key] = torch.full((height, width), 255)
                                if key == 'valid':
                                    sample[key] = sample[key] < 0
                            sample[key][i, j] = torch.as_tensor(
                                arrays[number][row, column]
                            )
        return sample


@pytest.fixture(scope='session')
def pixels() -> type[Pixels]:
    return Pixels


@pytest.fixture
def raster(tmp_path: Path) -> Callable[..., RasterDataset]:
    """Write rasters of one band and open them with torchgeo's own dataset."""

    def write(*arrays: np.ndarray, left: float = WEST) -> RasterDataset:
        folder = tmp_path / f'raster{len(list(tmp_path.iterdir()))}'
        folder.mkdir()
        for number, array in enumerate(arrays):
            with rasterio.open(
                folder / f'{number}.tif',
                'w',
                driver='GTiff',
                width=array.shape[1],
                height=array.shape[0],
                count=1,
                dtype=array.dtype,
                crs='EPSG:32633',
                transform=Affine(RES, 0, left, 0, -RES, array.shape[0] * RES),
            ) as file:
                file.write(array, 1)
        return RasterDataset(folder)

    return write
