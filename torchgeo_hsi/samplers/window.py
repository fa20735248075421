# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random windows that also fit into small tiles."""

import math
from collections.abc import Iterator

import shapely
import torch
from shapely import Polygon
from torchgeo.datasets import GeoDataset
from torchgeo.samplers import GeoSampler

from ..errors import EmptyDataError


class RandomWindowSampler(GeoSampler):
    """Draw windows at random that lie inside a scene, pixel by pixel.

    torchgeo's ``RandomPatchSampler`` keeps half a diagonal away from the borders, so a
    tile of the size of the patch is never drawn, and of one twice the size only the
    middle is. Here every position where the window fits is equally likely, over all
    scenes, and a scene smaller than the window is taken as a whole, with the window
    reaching over its edge (where ``valid`` is False). The time of the scene is part of
    the query, so scenes that overlap are told apart.

    One order of samples follows from one generator, in every epoch another one.

    Example:
        .. code-block:: python

            sampler = RandomWindowSampler(dataset, size=64, length=1000)
            loader = DataLoader(dataset, sampler=sampler, collate_fn=stack_samples)
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int,
        length: int | None = None,
        roi: Polygon | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new RandomWindowSampler instance.

        Args:
            dataset: Dataset to sample from.
            size: Height and width of the windows in pixels.
            length: Windows per epoch; by default as many as cover all scenes once.
            roi: Region in which windows have to lie, in the CRS of the dataset.
            generator: Source of randomness; torch's own by default.

        Raises:
            EmptyDataError: If no scene lies in the region.
            ValueError: If *size* or *length* is not positive.
        """
        if size < 1 or (length is not None and length < 1):
            raise ValueError(f'Expected positive sizes, got {size=} and {length=}.')
        self.size = size
        self.generator = generator
        self.res = dataset.res
        xs, ys, _ = dataset.bounds
        self._origin = float(xs.start), float(ys.start)
        self._scenes: list[tuple[int, int, int, int, slice]] = []
        for interval, geometry in zip(
            dataset.index.index, dataset.index.geometry, strict=True
        ):
            area = geometry if roi is None else geometry & roi
            if not area.is_empty and area.area > 0:
                time = slice(interval.left, interval.right)
                self._scenes.append((*self._pixels(area), time))
        if not self._scenes:
            raise EmptyDataError(
                'No scene lies in the region of interest. Check its CRS: it has to be '
                f'that of the dataset ({dataset.crs}).'
            )
        places = [
            max(w - size + 1, 1) * max(h - size + 1, 1)
            for _, _, w, h, _ in self._scenes
        ]
        self._weights = torch.tensor(places, dtype=torch.float64)
        covering = (
            math.ceil(w / size) * math.ceil(h / size) for _, _, w, h, _ in self._scenes
        )
        self._length = length or sum(covering)

    def _pixels(self, area: shapely.Geometry) -> tuple[int, int, int, int]:
        """Return left, bottom, width and height of an area on the pixel grid."""
        bounds = area.bounds
        low = [
            math.ceil((bounds[i] - self._origin[i]) / self.res[i] - 0.01)
            for i in (0, 1)
        ]
        high = [
            math.floor((bounds[i + 2] - self._origin[i]) / self.res[i] + 0.01)
            for i in (0, 1)
        ]
        return (*low, max(high[0] - low[0], 1), max(high[1] - low[1], 1))

    def _start(self, low: int, extent: int) -> int:
        """Draw where a window starts along one axis."""
        free = extent - self.size
        if free <= 0:
            # center the scene, so that no side is preferred
            return low + free // 2
        return low + int(torch.randint(free + 1, (), generator=self.generator))

    def __iter__(self) -> Iterator[tuple[slice, slice, slice]]:
        """Draw the windows of one epoch.

        Yields:
            ``[xmin:xmax, ymin:ymax, tmin:tmax]`` coordinates to index the dataset.
        """
        for _ in range(len(self)):
            chosen = int(torch.multinomial(self._weights, 1, generator=self.generator))
            left, bottom, width, height, time = self._scenes[chosen]
            column, row = self._start(left, width), self._start(bottom, height)
            xs, ys = (
                slice(
                    self._origin[i] + start * self.res[i],
                    self._origin[i] + (start + self.size) * self.res[i],
                )
                for i, start in ((0, column), (1, row))
            )
            yield xs, ys, time
