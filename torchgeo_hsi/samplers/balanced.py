# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random windows in which rare classes are as frequent as common ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import Polygon
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from ..errors import EmptyDataError, MetadataError
from ..physics.window_sums import window_sums
from ._grid import Scene, to_query
from ._positions import Positions
from ._rasters import class_map, labels_of, read_scene
from .window import RandomWindowSampler, draw_scenes

#: Pixels that are remembered for all scenes and classes together (8 bytes each).
_REMEMBERED = 16_000_000

#: Places that are tried before all are listed.
_TRIES = 64


class BalancedWindowSampler(RandomWindowSampler):
    """Draw a class, then a pixel of it, then a window around it.

    Each class has the same chance, or that of *class_weights*, however rare it is: for
    a class that covers a thousandth of the scene, windows at random are a thousand
    times as many as needed. The pixel may be anywhere in the window, which lies inside
    of the scene and the region and has enough valid pixels, as in
    :class:`RandomWindowSampler`. Pixels of classes that no such window can hold do not
    count.

    Label maps are read once, at the first epoch. Of classes with very many pixels, a
    random part is remembered, so memory has a bound (128 MB).

    Example:
        .. code-block:: python

            dataset = scenes & labels
            sampler = BalancedWindowSampler(dataset, size=64, length=1000, min_valid=0.5)
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
        labels: GeoDataset | None = None,
        ignore_index: int | Sequence[int] = 255,
        class_weights: Mapping[int, float] | None = None,
        over_edge: bool = False,
    ) -> None:
        """Initialize a new BalancedWindowSampler instance.

        Args:
            dataset: Dataset to sample from.
            size: Height and width of the windows in pixels.
            length: Windows per epoch, over all processes; by default as many as cover
                all scenes once.
            roi: Region in which windows have to lie as a whole.
            generator: Source of randomness; torch's own by default.
            min_valid: Least share of valid pixels of a window, from 0 to 1.
            valid: Dataset whose ``valid`` counts for that; *dataset* by default.
            labels: Dataset of label maps; by default the second part of *dataset*, if
                it is ``images & labels``, else *dataset* itself.
            ignore_index: Values of the mask that are no class.
            class_weights: Chance of each class, in any unit; classes that are left out
                are not drawn. The same for all by default.
            over_edge: Whether a window may reach over the edge of a region that is
                smaller; for datasets that hide what lies outside of it.

        Raises:
            EmptyDataError: If no scene lies in the region.
            MetadataError: If a weight of a class is negative.
            ValueError: If *size* or *length* is not positive, or *min_valid* is no
                share.
        """
        super().__init__(
            dataset, size, length, roi, generator, min_valid, valid, over_edge
        )
        self._labels = labels_of(dataset) if labels is None else labels
        ignored = [ignore_index] if isinstance(ignore_index, int) else ignore_index
        self._ignored = [int(value) for value in ignored]
        self._class_weights = class_weights
        if class_weights and min(class_weights.values()) < 0:
            raise MetadataError(
                f'Expected class_weights of 0 or more, got {dict(class_weights)}.'
            )
        #: For each class and scene, how many pixels there are, and some of them.
        self._pixels: dict[int, dict[int, tuple[int, NDArray[np.int64]]]] = {}

    @property
    def class_counts(self) -> dict[int, int]:
        """Pixels of each class that a window can hold, over all scenes."""
        self.positions()
        return {
            label: sum(count for count, _ in scenes.values())
            for label, scenes in sorted(self._pixels.items())
        }

    def positions(self) -> list[Positions]:
        """Return where windows may start, for each scene.

        Returns:
            The places; found the first time, together with the pixels of each class.

        Raises:
            EmptyDataError: If no window may start anywhere, or there is no label.
        """
        is_new = self._positions is None
        found = super().positions()
        if is_new:
            for number, scene in enumerate(self._scenes):
                self._find_classes(number, scene, found[number])
        if not self._chances():
            raise EmptyDataError(
                'No labelled pixel lies in a window that may be drawn. Check that the '
                'label maps show the same place and carry their CRS, ignore_index and '
                'class_weights.'
            )
        return found

    def _find_classes(self, number: int, scene: Scene, places: Positions) -> None:
        """Remember pixels of each class in a scene."""
        size = self.size
        classes = read_scene(
            self._labels, self._grid, scene, class_map, self._ignored[0]
        )
        # a place reaches the next size - 1 pixels down and to the right
        reach = np.pad(places.mask, size - 1)
        held = window_sums(reach, size) > 0
        top, left = (max(size - n, 0) // 2 for n in (scene.height, scene.width))
        held = held[top : top + scene.height, left : left + scene.width]
        classes = np.where(held, classes, self._ignored[0])
        rng = np.random.default_rng([self._seed % 2**32, number])
        for label in np.setdiff1d(np.unique(classes), self._ignored).tolist():
            pixels = np.flatnonzero(classes == label)
            most = max(_REMEMBERED // (len(self._scenes) * 32), 64)
            kept = pixels
            if len(pixels) > most:
                kept = np.sort(rng.choice(pixels, most, replace=False))
            self._pixels.setdefault(label, {})[number] = len(pixels), kept

    def _chances(self) -> dict[int, float]:
        """Return the weight of each class that may be drawn."""
        if self._class_weights is None:
            return dict.fromkeys(sorted(self._pixels), 1.0)
        return {
            label: self._class_weights[label]
            for label in sorted(self._pixels)
            if self._class_weights.get(label, 0) > 0
        }

    def draw(self, count: int, generator: torch.Generator) -> list[GeoSlice]:
        """Draw the windows of one epoch.

        Args:
            count: Number of windows.
            generator: Source of randomness.

        Returns:
            ``[xmin:xmax, ymin:ymax, tmin:tmax]`` coordinates to index the dataset.
        """
        places = self.positions()
        masks: dict[int, NDArray[np.bool_]] = {}
        chances = self._chances()
        labels = list(chances)
        queries = []
        for k in draw_scenes(list(chances.values()), count, generator).tolist():
            scenes = self._pixels[labels[k]]
            numbers = list(scenes)
            sizes = [scenes[number][0] for number in numbers]
            number = numbers[int(draw_scenes(sizes, 1, generator)[0])]
            pixels = scenes[number][1]
            pixel = int(pixels[_below(len(pixels), generator)])
            if number not in masks:
                # one for each scene would be as much memory as the scenes
                if len(masks) > 64:
                    masks.clear()
                masks[number] = places[number].mask
            scene = self._scenes[number]
            row, column = self._around(pixel, scene, masks[number], generator)
            queries.append(to_query(self._grid, scene, row, column, self.size))
        return queries

    def _around(
        self,
        pixel: int,
        scene: Scene,
        mask: NDArray[np.bool_],
        generator: torch.Generator,
    ) -> tuple[int, int]:
        """Draw a window that holds a pixel."""
        center = divmod(pixel, scene.width)
        low = [max(c - self.size + 1, 0) for c in center]
        high = [min(c, n - 1) + 1 for c, n in zip(center, mask.shape, strict=True)]
        # of a scene smaller than the window, the only place holds all pixels
        low = [min(a, b - 1) for a, b in zip(low, high, strict=True)]
        for _ in range(_TRIES):
            row, column = (
                a + _below(b - a, generator) for a, b in zip(low, high, strict=True)
            )
            if mask[row, column]:
                return row, column
        rows, columns = np.nonzero(mask[low[0] : high[0], low[1] : high[1]])
        chosen = _below(len(rows), generator)
        return low[0] + int(rows[chosen]), low[1] + int(columns[chosen])


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))
