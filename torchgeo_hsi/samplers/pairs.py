# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random windows of one place at two dates."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from shapely import Polygon
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from ..errors import EmptyDataError
from ._epochs import EpochSampler
from ._grid import PixelGrid, Scene, to_query
from ._positions import Positions
from ._rasters import allowed, check_share, read_scene, scout, valid_pixels
from .window import draw_scenes

type PairSlice = tuple[GeoSlice, GeoSlice]


class _Pair(NamedTuple):
    """What two scenes have in common, at the time of each."""

    first: Scene
    second: Scene


class TemporalPairSampler(EpochSampler[PairSlice]):
    """Draw two dates of a place, as positives of contrastive learning or for change.

    All pairs of scenes that overlap in space, with a gap between their starts from
    *min_gap* to *max_gap*, give windows inside of their overlap. With *min_valid*, this
    share of the pixels of a window is valid at both dates. Which date comes first is
    drawn, too, unless *in_order*.

    Give the pairs to :class:`~torchgeo_hsi.datasets.TemporalPairs`, which reads both.
    One order of samples follows from one generator, in every epoch another one; in a
    distributed training, each process draws its own share of it.

    Example:
        .. code-block:: python

            sampler = TemporalPairSampler(scenes, size=128, length=1000, min_gap=10)
            loader = DataLoader(
                TemporalPairs(scenes), sampler=sampler, collate_fn=stack_samples
            )
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int,
        length: int,
        min_gap: float = 0.0,
        max_gap: float | None = None,
        roi: Polygon | None = None,
        generator: torch.Generator | None = None,
        min_valid: float = 0.0,
        valid: GeoDataset | None = None,
        in_order: bool = False,
    ) -> None:
        """Initialize a new TemporalPairSampler instance.

        Args:
            dataset: Dataset to sample from, with the time of each scene.
            size: Height and width of the windows in pixels.
            length: Pairs per epoch, over all processes.
            min_gap: Least number of days between the starts of two scenes.
            max_gap: Largest number of days; without limit by default.
            roi: Region in which windows have to lie as a whole.
            generator: Source of randomness; torch's own by default.
            min_valid: Least share of pixels of a window that are valid at both dates.
            valid: Dataset whose ``valid`` counts for that; *dataset* by default.
            in_order: Whether the earlier date is always the first.

        Raises:
            EmptyDataError: If no two scenes match.
            ValueError: If *size*, *length* or a gap is out of range, or *min_valid* is
                no share.
        """
        if size < 1 or length < 1:
            raise ValueError(f'Expected positive sizes, got {size=} and {length=}.')
        most = np.inf if max_gap is None else max_gap
        # NaN is neither
        if not (0 <= min_gap < np.inf and min_gap <= most):
            raise ValueError(
                f'Expected 0 <= min_gap <= max_gap days, got {min_gap} and {max_gap}.'
            )
        self.size = size
        self.min_valid = check_share(min_valid)
        self.in_order = in_order
        self._valid = scout(dataset) if valid is None else valid
        self._grid = PixelGrid(dataset)
        self._pairs = list(self._match(dataset, min_gap, most, roi))
        if not self._pairs:
            limit = '' if max_gap is None else f' and at most {max_gap}'
            raise EmptyDataError(
                f'No two of the {len(dataset)} scenes overlap at dates that are at '
                f'least {min_gap}{limit} days apart, in windows of {size} pixels. Check '
                'that the scenes carry their time, or widen the gap.'
            )
        self._positions: list[Positions] | None = None
        super().__init__(length, generator)

    @property
    def num_pairs(self) -> int:
        """Number of pairs of scenes."""
        return len(self._pairs)

    def _match(
        self, dataset: GeoDataset, least: float, most: float, roi: Polygon | None
    ) -> Iterator[_Pair]:
        """Find pairs of scenes, the earlier one first."""
        index = dataset.index
        shapes = index.geometry.to_numpy()
        intervals = list(index.index)
        first, second = index.geometry.sindex.query(shapes, predicate='intersects')
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            gap = (intervals[j].left - intervals[i].left) / pd.Timedelta(days=1)
            # of two scenes at one time, one order is enough
            if i == j or gap < 0 or (gap == 0 and i > j) or not least <= gap <= most:
                continue
            common = shapes[i] & shapes[j]
            area = common if roi is None else common & roi
            if area.is_empty or not area.area > 0:
                continue
            box = self._grid.pixels(area)
            if min(box[2:]) < self.size:
                continue
            times = [slice(intervals[k].left, intervals[k].right) for k in (i, j)]
            keep = None if roi is None else area
            yield _Pair(Scene(*box, times[0], i, keep), Scene(*box, times[1], j, keep))

    def positions(self) -> list[Positions]:
        """Return where windows may start, for each pair of scenes.

        Returns:
            The places; found the first time.

        Raises:
            EmptyDataError: If no window is valid at both dates.
        """
        if self._positions is None:
            found = [self._places(pair) for pair in self._pairs]
            if not sum(place.total for place in found) > 0:
                raise EmptyDataError(
                    f'No window of {self.size} x {self.size} pixels has '
                    f'{self.min_valid:.0%} pixels that are valid at two dates. Use '
                    'smaller windows, a lower min_valid, or fewer quality layers.'
                )
            self._positions = found
        return self._positions

    def _places(self, pair: _Pair) -> Positions:
        valid = None
        if self.min_valid > 0:
            valid, other = (
                read_scene(self._valid, self._grid, scene, valid_pixels, False)
                for scene in pair
            )
            valid = valid & other
        mask = allowed(self._grid, pair.first, self.size, valid, self.min_valid)
        scene = pair.first
        whole = Positions.everywhere(scene.height, scene.width, self.size)
        return whole if mask is None else Positions(whole.shape, mask=mask)

    def draw(self, count: int, generator: torch.Generator) -> list[PairSlice]:
        """Draw the pairs of one epoch.

        Args:
            count: Number of pairs.
            generator: Source of randomness.

        Returns:
            Two ``[xmin:xmax, ymin:ymax, tmin:tmax]`` coordinates for each pair.
        """
        places = self.positions()
        chosen = draw_scenes([place.total for place in places], count, generator)
        swaps = torch.rand(count, generator=generator) < 0.5
        queries: list[PairSlice] = [((), ())] * count  # type: ignore[list-item]
        for number in np.unique(chosen).tolist():
            spots = np.flatnonzero(chosen == number)
            rows, columns = places[number].draw(len(spots), generator)
            for spot, row, column in zip(spots, rows, columns, strict=True):
                first, second = (
                    to_query(self._grid, scene, int(row), int(column), self.size)
                    for scene in self._pairs[number]
                )
                swap = not self.in_order and bool(swaps[spot])
                queries[spot] = (second, first) if swap else (first, second)
        return queries
