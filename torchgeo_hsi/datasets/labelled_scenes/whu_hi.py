# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the three scenes of WHU-Hi share."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray, PathLike, Sample
from ...errors import MetadataError
from ...physics import BandSet
from .._index import DataNotFoundError
from ._benchmark_files import ScenePart, find_part
from ._sources import RSIDEA
from .benchmark import BenchmarkScene
from .houston_2013 import official_masks

#: Training pixels for each class of the official masks that most papers use.
_USUAL = 100


class WHUHi(BenchmarkScene):
    """A scene of WHU-Hi: crops in Hubei, seen from a drone.

    Headwall Nano-Hyperspec, 400 to 1000 nm, radiance. Wavelengths are taken from ENVI
    headers where the scene comes as ``.bsq`` or ``.tif`` with them; for ``.mat`` files
    they are spaced evenly over 400 to 1000 nm, which is not exact.

    The publisher gives masks with 25, 50, 100 ... training pixels of each class, and
    all others as test. They are drawn at random, so windows of the test overlap with
    training pixels: see the leak report before you use them.

    * https://doi.org/10.1016/j.rse.2020.112012
    """

    url: ClassVar[str] = RSIDEA
    citation: ClassVar[tuple[str, ...]] = ('https://doi.org/10.1016/j.rse.2020.112012',)
    spectral_source: ClassVar[str] = 'even'

    def __init__(
        self,
        root: PathLike = 'data',
        transforms: Callable[[Sample], Sample] | None = None,
        checksum: bool = False,
        official: int | None = None,
    ) -> None:
        """Initialize a new WHUHi instance.

        Args:
            root: Folder with the files, or one of up to two levels above.
            transforms: Function that takes a sample and returns a changed one.
            checksum: Whether to compare files with the well-known ones, as far as
                these are known.
            official: Training pixels of each class in the official masks
                (``Train100.mat`` and ``Test100.mat``); by default 100 if these are
                there, else there is no official split.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If a file is missing; the message
                says where to get it.
            MetadataError: If there are several files of a name, or one mask of a pair.
        """
        self.shots = official
        super().__init__(root, transforms, checksum)

    def bandset(self) -> BandSet:
        """Return bands that are spaced evenly from 400 to 1000 nm."""
        return BandSet(np.linspace(0.4, 1.0, self.shape[0]))

    def _find_labels(self) -> dict[str, str]:
        files = {'labels': self._need(self.label_part)}
        shots = _USUAL if self.shots is None else self.shots
        masks = {name: find_part(self.root, part) for name, part in _masks(shots)}
        found = {name: path for name, path in masks.items() if path is not None}
        if len(found) == 1:
            raise MetadataError(
                f'Expected Train{shots} and Test{shots} of {self.title} together, got '
                f'only {next(iter(found.values()))}.'
            )
        if self.shots is not None and not found:
            raise DataNotFoundError(
                f'Found no Train{shots}.mat and Test{shots}.mat of {self.title} in '
                f'root={self.root!r}. Get them from {self.url}.'
            )
        return files | found

    def _read_labels(self) -> tuple[NDArray[np.int64], dict[str, BoolArray]]:
        parts = dict(_masks(_USUAL))
        planes = {'labels': self._plane('labels', self.label_part)}
        for name in set(self.label_files) - {'labels'}:
            planes[name] = self._plane(name, parts[name])
        return official_masks(planes, self.title)


def _masks(shots: int) -> list[tuple[str, ScenePart]]:
    """Describe the official masks; their arrays are called differently each time."""
    return [
        ('train', ScenePart((f'Train{shots}',))),
        ('test', ScenePart((f'Test{shots}',))),
    ]
