# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole scenes as overlapping tiles, for prediction."""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from affine import Affine
from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset
from torchgeo.samplers import GriddedPatchSampler

from .._typing import Sample
from ..datasets._handles import ReaderCache
from ..datasets.hsi_cube import place_window
from ..physics import BandSet
from ..physics.statistics import QuantileSketch, RunningStatistics
from ..scenes._numbers import PERCENTILES, REFLECTANCE, Scaling, SceneNumbers
from ._cube_sources import open_with
from ._cubes import Cube, band_places
from ._map_tiles import MapTiles, is_north_up

logger = logging.getLogger(__name__)

#: Tiles start at multiples of this: the coarsest step of our networks.
_STEP = 8

#: Entries of a sample that tell where it lies.
_PLACE = ('bounds', 'transform')


class SceneTiles(MapTiles):
    """Tiles of a file, as :func:`~torchgeo_hsi.scenes.restore_scene` lays them.

    Bands are those that hold data and are not marked as bad. It has the ``bounds``,
    ``res`` and ``crs`` that writers of maps look for; a file without a georeference has
    pixels of size 1.

    Args:
        path: The file or product.
        size: Largest number of rows and columns of a tile.
        overlap: Rows and columns that two tiles share at least.
        scaling: What 0 and 1 are to be.
        options: Options of the reader.
        chosen: Bands of those, by position from 0 or wavelength in micrometres; all by
            default.
    """

    def __init__(
        self,
        path: str,
        size: int,
        overlap: int,
        scaling: Scaling,
        options: Mapping[str, Any],
        chosen: Sequence[int | float] | None = None,
    ) -> None:
        """Initialize a new SceneTiles instance; see the class for the arguments."""
        self._readers = ReaderCache(functools.partial(open_with, options=options))
        with self._readers.opener(path) as reader:
            self._numbers = SceneNumbers.of_scene(reader, scaling, _silent)
            info = reader.info
        if chosen is not None:
            self._numbers = _choose(self._numbers, chosen, info.bands)
        self._path = path
        _, height, width = info.shape
        transform = info.transform
        if not is_north_up(transform):
            if transform is not None:
                logger.warning(
                    '%s has a grid that is not north up, so tiles are placed by rows '
                    'and columns. torchgeo-hsi restore keeps the grid.',
                    path,
                )
            transform = Affine(1, 0, 0, 0, -1, height)
            info = dataclasses.replace(info, crs=None)
        self._info = dataclasses.replace(info, transform=transform)
        super().__init__((height, width), transform, info.crs, size, overlap, _STEP)
        #: The file, so that it is not overwritten by the result.
        self.index = pd.DataFrame({'filepath': [info.path]})
        axis = info.bands
        bands = self._numbers.bands
        self.bandset = None if axis is None else axis.select(bands)

    def __getitem__(self, index: int) -> Sample:
        """Read a tile.

        Args:
            index: Its number, row by row.

        Returns:
            The sample, without a target.
        """
        window = self.windows[index]
        with self._readers.open(self._path) as reader:
            image, valid = self._numbers.read(reader, window)
        sample: Sample = {
            'image': torch.from_numpy(image),
            'valid': torch.from_numpy(valid),
            'scale': torch.tensor(self._numbers.scale, dtype=torch.float32),
            'offset': torch.tensor(self._numbers.offset, dtype=torch.float32),
        }
        if self.bandset is not None:
            for key in ('wavelength', 'fwhm'):
                values = getattr(self.bandset, key)
                if values is not None:
                    sample[key] = torch.tensor(values, dtype=torch.float32)
        return sample | place_window(self._info, window)


class DatasetTiles(Dataset[Sample]):
    """Tiles of a dataset of scenes on one grid.

    Args:
        dataset: The dataset.
        size: Rows and columns of a tile.
        overlap: Rows and columns that two tiles share.
        scaling: What 0 and 1 are to be.
        chosen: Bands, by position from 0 or wavelength in micrometres; all by default.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int,
        overlap: int,
        scaling: Scaling,
        chosen: Sequence[int | float] | None = None,
    ) -> None:
        """Initialize a new DatasetTiles instance; see the class for the arguments."""
        self._dataset = dataset
        self._chosen = chosen
        self.crs, self.res, self.bounds = dataset.crs, dataset.res, dataset.bounds
        self.index = dataset.index
        self.bandset = getattr(dataset, 'bandset', None)
        places = GriddedPatchSampler(dataset, size=size, stride=size - overlap)
        if not len(places):
            places = GriddedPatchSampler(dataset, size=size)
        self._places = list(places)
        self._low, self._high, self._mean = self._look(scaling)

    def _look(self, scaling: Scaling) -> tuple[float, float, torch.Tensor]:
        """Go through the scene once; return what becomes 0 and 1, and band means."""
        moments = RunningStatistics(covariance=False, accuracy=None)
        sketch = QuantileSketch(1)
        for place in self._places:
            sample = self._dataset[place]
            image, valid = sample['image'].numpy(), _valid(sample).numpy()
            moments.update(image, valid)
            if scaling == 'percentile' and valid.any():
                sketch.update(image[:, valid].reshape(1, -1))
        found = moments.summary()
        low, high = 0.0, REFLECTANCE
        if scaling == 'min_max':
            low, high = float(found.minimum.min()), float(found.maximum.max())
        elif scaling == 'percentile':
            low, high = (float(q) for q in sketch.quantiles(PERCENTILES)[:, 0])
        elif not isinstance(scaling, str):
            high = float(scaling)
        return low, high, torch.from_numpy(np.asarray(found.mean, np.float32))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        """Read a tile.

        Args:
            index: Its number.

        Returns:
            The sample, without a target.
        """
        sample = self._dataset[self._places[index]]
        cube = Cube(
            sample['image'],
            _valid(sample),
            self._high - self._low,
            self._low,
            self._mean,
            **{key: sample[key] for key in ('wavelength', 'fwhm') if key in sample},
        )
        if self._chosen is not None:
            cube = cube.select(self._chosen)
        return cube.cut() | {key: sample[key] for key in _PLACE if key in sample}


def _valid(sample: Sample) -> torch.Tensor:
    image = sample['image']
    if 'valid' in sample:
        return sample['valid'].bool()
    return image.isfinite().all(0) & image.any(0)


def _choose(
    numbers: SceneNumbers, chosen: Sequence[int | float], axis: BandSet | None
) -> SceneNumbers:
    """Keep some of the bands that hold data."""
    known = None if axis is None else axis.wavelength[numbers.bands]
    centers = None if known is None else torch.from_numpy(np.array(known))
    places = band_places(chosen, len(numbers.bands), centers)
    return dataclasses.replace(
        numbers,
        bands=[numbers.bands[place] for place in places],
        fill=numbers.fill[places],
    )


def _silent(share: float) -> None:
    pass
