# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random windows, some places more often than others."""

from collections.abc import Callable

import numpy as np
import torch
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import Polygon
from torchgeo.datasets import GeoDataset

from .._typing import BoolArray
from ..errors import MetadataError, UnknownNameError
from ..physics.window_sums import window_sums
from ._grid import Scene
from ._positions import Positions
from ._rasters import read_scene, weight_map
from .window import RandomWindowSampler

type Weights = (
    str
    | GeoDataset
    | GeoDataFrame
    | Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
)


class WeightedWindowSampler(RandomWindowSampler):
    """Draw windows in proportion to a weight, from whatever says where to look.

    *weights* is one of

    * a dataset of weights, such as a ``RasterDataset`` of population or of the chance of
      a cloud: a window weighs as much as its pixels together (first band; negative
      numbers and those that are not finite count as 0),
    * a ``GeoDataFrame`` of polygons with a column *column*: a window weighs what the
      polygon says in which its middle lies, the last one where they overlap, and
      nothing outside of all,
    * the name of a column of ``dataset.index``: windows of a scene together weigh what
      the column says of it, whatever the size of the scene,
    * a function of the coordinates (x, y) of the middles of windows, in the CRS of the
      dataset, that takes and returns arrays.

    Windows are drawn with replacement. Everything else is as in
    :class:`RandomWindowSampler`. Weights need 4 bytes for each pixel of all scenes.

    Example:
        .. code-block:: python

            forest = geopandas.read_file('forest.gpkg')
            sampler = WeightedWindowSampler(
                scenes, size=64, weights=forest, column='share', length=1000
            )
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int,
        weights: Weights,
        length: int | None = None,
        roi: Polygon | None = None,
        generator: torch.Generator | None = None,
        min_valid: float = 0.0,
        valid: GeoDataset | None = None,
        column: str = 'weight',
    ) -> None:
        """Initialize a new WeightedWindowSampler instance.

        Args:
            dataset: Dataset to sample from.
            size: Height and width of the windows in pixels.
            weights: The weights, see the class.
            length: Windows per epoch, over all processes; by default as many as cover
                all scenes once.
            roi: Region in which windows have to lie as a whole.
            generator: Source of randomness; torch's own by default.
            min_valid: Least share of valid pixels of a window, from 0 to 1.
            valid: Dataset whose ``valid`` counts for that; *dataset* by default.
            column: Column of a ``GeoDataFrame``.

        Raises:
            EmptyDataError: If no scene lies in the region, or no window has a weight.
            UnknownNameError: If there is no such column.
            MetadataError: If polygons have no CRS, or a weight is negative.
            ValueError: If *size* or *length* is not positive, or *min_valid* is no
                share.
        """
        super().__init__(dataset, size, length, roi, generator, min_valid, valid)
        self._crs = dataset.crs
        self._weights: Weights = weights
        self._column = column
        self._by_scene: NDArray[np.float64] | None = None
        if isinstance(weights, str):
            self._by_scene = self._numbers(GeoDataFrame(dataset.index), weights)
        elif isinstance(weights, GeoDataFrame):
            self._numbers(weights, column)
            if weights.crs is None:
                raise MetadataError(
                    'Expected polygons with a CRS in weights=, got none. Set it with '
                    'weights.set_crs.'
                )
            self._weights = weights.to_crs(self._crs)
        elif isinstance(weights, GeoDataset) and weights.crs != dataset.crs:
            weights.crs = dataset.crs
        elif not isinstance(weights, GeoDataset) and not callable(weights):
            raise TypeError(
                'Expected weights= as a column, polygons, a dataset or a function, got '
                f'{type(weights).__name__}.'
            )

    @staticmethod
    def _numbers(frame: GeoDataFrame, column: str) -> NDArray[np.float64]:
        """Return a column of weights."""
        if column not in frame.columns:
            raise UnknownNameError('column', column, list(map(str, frame.columns)))
        numbers = np.asarray(frame[column], dtype=np.float64)
        if not (numbers >= 0).all():
            raise MetadataError(
                f'Expected weights of 0 or more in the column {column!r}, got '
                f'{numbers.min()}. NaN counts as missing: fill it first.'
            )
        return numbers

    def _weigh(self, scene: Scene, mask: BoolArray | None) -> Positions:
        """Give each place of a scene a weight."""
        shape = Positions.everywhere(scene.height, scene.width, self.size).shape
        if self._by_scene is not None:
            weights = np.full(shape, self._by_scene[scene.row], dtype=np.float64)
            weights /= max(weights.size if mask is None else int(mask.sum()), 1)
        elif isinstance(self._weights, GeoDataset):
            weights = self._from_raster(self._weights, scene)
        else:
            weights = self._from_middles(scene, shape)
        return Positions(shape, weights, mask)

    def _from_raster(self, dataset: GeoDataset, scene: Scene) -> NDArray[np.float64]:
        values = read_scene(dataset, self._grid, scene, weight_map, 0.0)
        pad = max(self.size - scene.height, 0), max(self.size - scene.width, 0)
        edges = [(free // 2, free - free // 2) for free in pad]
        sums = window_sums(np.pad(values, edges).astype(np.float64), self.size)
        # differences of sums may be a little below 0
        weights: NDArray[np.float64] = np.maximum(sums, 0)
        weights[weights < 1e-9 * max(float(weights.max()), 1e-300)] = 0
        return weights

    def _from_middles(
        self, scene: Scene, shape: tuple[int, int]
    ) -> NDArray[np.float64]:
        transform = self._grid.transform(scene)
        height, width = scene.height, scene.width
        # a scene smaller than the window has its own middle
        half_row = (min(self.size, height)) / 2
        half_column = (min(self.size, width)) / 2
        x = transform.c + (np.arange(shape[1]) + half_column) * transform.a
        y = transform.f + (np.arange(shape[0]) + half_row) * transform.e
        if isinstance(self._weights, GeoDataFrame):
            shifted = type(transform)(
                transform.a,
                0.0,
                x[0] - transform.a / 2,
                0.0,
                transform.e,
                y[0] - transform.e / 2,
            )
            pairs = zip(
                self._weights.geometry, self._weights[self._column], strict=True
            )
            burnt: NDArray[np.float64] = rasterize(
                pairs, shape, transform=shifted, dtype=np.float64
            )
            return burnt
        assert callable(self._weights)
        weights = np.asarray(self._weights(*np.meshgrid(x, y)), dtype=np.float64)
        if weights.shape != shape or not (weights >= 0).all():
            raise MetadataError(
                f'Expected a weight of 0 or more for each of {shape} windows from '
                f'weights=, got shape {weights.shape}.'
            )
        return weights

    def _complaint(self) -> str:
        return f'{super()._complaint()[:-1]}, or check that weights= covers the scenes.'
