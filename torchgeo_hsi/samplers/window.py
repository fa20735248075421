# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random windows that also fit into small tiles."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import Polygon
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import BoolArray
from ..errors import EmptyDataError
from ._epochs import EpochSampler
from ._grid import PixelGrid, Scene, to_query
from ._positions import Positions
from ._rasters import allowed, check_share, read_scene, scout, valid_pixels


class RandomWindowSampler(EpochSampler[GeoSlice]):
    """Draw windows at random that lie inside a scene, pixel by pixel.

    torchgeo's ``RandomPatchSampler`` keeps half a diagonal away from the borders, so a
    tile of the size of the patch is never drawn, and of one twice the size only the
    middle is. Here every position where the window fits is equally likely, over all
    scenes, and a scene smaller than the window is taken as a whole, with the window
    reaching over its edge (where ``valid`` is False). The time of the scene is part of
    the query, so scenes that overlap are told apart.

    With *min_valid*, windows with fewer valid pixels are never drawn: fill at the edges
    of a scene, clouds, or whatever else makes ``valid`` False. To know where these are,
    the scenes are read once, at the first epoch; of scenes with many bands, only a few
    bands and the quality layers.

    One order of samples follows from one generator, in every epoch another one. In a
    distributed training, each process draws its own share of it.

    Example:
        .. code-block:: python

            sampler = RandomWindowSampler(dataset, size=64, length=1000, min_valid=0.5)
            loader = DataLoader(dataset, sampler=sampler, collate_fn=stack_samples)
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int,
        length: int | None = None,
        roi: Polygon | None = None,
        generator: torch.Generator | None = None,
        min_valid: float = 0.0,
        valid: GeoDataset | None = None,
        over_edge: bool = False,
    ) -> None:
        """Initialize a new RandomWindowSampler instance.

        Args:
            dataset: Dataset to sample from.
            size: Height and width of the windows in pixels.
            length: Windows per epoch, over all processes; by default as many as cover
                all scenes once.
            roi: Region in which windows have to lie as a whole, in the CRS of the
                dataset; may consist of several polygons.
            generator: Source of randomness; torch's own by default.
            min_valid: Least share of valid pixels of a window, from 0 to 1.
            valid: Dataset whose ``valid`` counts for that, such as the same scenes with
                a single band, or cloud masks; *dataset* by default.
            over_edge: Whether a window may reach over the edge of a region that is
                smaller; for datasets that hide what lies outside of it.

        Raises:
            EmptyDataError: If no scene lies in the region.
            ValueError: If *size* or *length* is not positive, or *min_valid* is no
                share.
        """
        if size < 1 or (length is not None and length < 1):
            raise ValueError(f'Expected positive sizes, got {size=} and {length=}.')
        self.size = size
        self.min_valid = check_share(min_valid)
        self._valid = scout(dataset) if valid is None else valid
        self._grid = PixelGrid(dataset)
        self._scenes = self._grid.scenes(dataset, roi, size if over_edge else 0)
        self._positions: list[Positions] | None = None
        covering = sum(
            math.ceil(scene.width / size) * math.ceil(scene.height / size)
            for scene in self._scenes
        )
        super().__init__(length or covering, generator)

    def positions(self) -> list[Positions]:
        """Return where windows may start, for each scene.

        Returns:
            The places; found the first time.

        Raises:
            EmptyDataError: If no window may start anywhere.
        """
        if self._positions is None:
            found = [self._weigh(scene, self._allowed(scene)) for scene in self._scenes]
            if not sum(place.total for place in found) > 0:
                raise EmptyDataError(self._complaint())
            self._positions = found
        return self._positions

    def _allowed(self, scene: Scene) -> BoolArray | None:
        """Tell where in a scene windows may start; None for everywhere."""
        valid = None
        if self.min_valid > 0:
            valid = read_scene(self._valid, self._grid, scene, valid_pixels, False)
        return allowed(self._grid, scene, self.size, valid, self.min_valid)

    def _weigh(self, scene: Scene, mask: BoolArray | None) -> Positions:
        """Give each place of a scene a weight."""
        everywhere = Positions.everywhere(scene.height, scene.width, self.size)
        return everywhere if mask is None else Positions(everywhere.shape, mask=mask)

    def _complaint(self) -> str:
        reason, remedy = 'lies inside of the region', ''
        if self.min_valid > 0:
            reason += f' and has {self.min_valid:.0%} valid pixels'
            remedy = ', a lower min_valid, or fewer quality layers'
        return (
            f'No window of {self.size} x {self.size} pixels {reason}. Use smaller '
            f'windows{remedy}.'
        )

    def draw(self, count: int, generator: torch.Generator) -> Sequence[GeoSlice]:
        """Draw the windows of one epoch.

        Args:
            count: Number of windows.
            generator: Source of randomness.

        Returns:
            ``[xmin:xmax, ymin:ymax, tmin:tmax]`` coordinates to index the dataset.
        """
        places = self.positions()
        chosen = draw_scenes([place.total for place in places], count, generator)
        queries: list[GeoSlice] = [()] * count  # type: ignore[list-item]
        for number in np.unique(chosen).tolist():
            spots = np.flatnonzero(chosen == number)
            rows, columns = places[number].draw(len(spots), generator)
            for spot, row, column in zip(spots, rows, columns, strict=True):
                queries[spot] = to_query(
                    self._grid, self._scenes[number], int(row), int(column), self.size
                )
        return queries


def draw_scenes(
    weights: Sequence[float], count: int, generator: torch.Generator
) -> NDArray[np.int64]:
    """Draw scenes by their weight, with replacement.

    Args:
        weights: Weight of each scene, however many there are.
        count: Number of draws.
        generator: Source of randomness.

    Returns:
        Number of a scene for each draw.
    """
    # torch.multinomial has a limit of 2 ** 24 categories, and float32 weights
    table = np.cumsum(np.asarray(weights, dtype=np.float64))
    spots = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
    return np.asarray(np.searchsorted(table, spots * table[-1], side='right'))
