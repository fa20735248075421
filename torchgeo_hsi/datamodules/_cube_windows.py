# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes cut into windows that never change, for validation and test."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from torch.utils.data import Dataset

from .._typing import Sample
from ..errors import BandMismatchError
from ..transforms.noise import NoiseTransform
from ._cubes import Cube, check_bands, common_keys


class _Window(NamedTuple):
    number: int
    bands: slice
    rows: slice
    columns: slice


class CubeWindows(Dataset[Sample]):
    """Windows that cover cubes, each with its own noise, the same every time.

    Args:
        cubes: The cubes.
        size: Largest number of rows and columns of a window; whole cubes by default.
        num_bands: Number of neighboring bands of a window; all by default.
        noise: Noise to add, or None.
        seed: Seed of the noise of the first window; that of the next is 1 more.
        stackable: Whether several windows make a batch.

    Raises:
        BandMismatchError: If windows are to be stacked and differ in shape.
    """

    def __init__(
        self,
        cubes: Sequence[Cube],
        size: int | None = None,
        num_bands: int | None = None,
        noise: NoiseTransform | None = None,
        seed: int = 0,
        stackable: bool = False,
    ) -> None:
        """Initialize a new CubeWindows instance; see the class for the arguments."""
        self.cubes = cubes
        self.noise = noise
        self.seed = seed
        # patches of a dataset that is not in memory are all alike
        known = [getattr(cubes, 'first', None) or cube for cube in cubes[:1]]
        known = known if hasattr(cubes, 'first') else list(cubes)
        if num_bands is not None or stackable:
            check_bands(known, num_bands, 'eval_num_bands')
        self.keys = common_keys(known) if stackable else None
        windows = [_windows(cube, size, num_bands) for cube in known]
        if stackable:
            _check_alike(known, windows)
        if len(known) < len(cubes):
            windows *= len(cubes)
        self._windows = [
            _Window(number, *window)
            for number, own in enumerate(windows)
            for window in own
        ]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        """Cut out a window and add its noise.

        Args:
            index: Number of the window.

        Returns:
            The sample.
        """
        window = self._windows[index]
        sample = self.cubes[window.number].cut(
            window.rows, window.columns, window.bands
        )
        if self.keys is not None:
            sample = {key: v for key, v in sample.items() if key in self.keys}
        if self.noise is not None:
            self.noise.reseed(self.seed + index)
            sample = self.noise(sample)
        return sample


type _Part = tuple[slice, slice, slice]


def _windows(cube: Cube, size: int | None, num_bands: int | None) -> list[_Part]:
    """Cover a cube, the last window of an axis shifted back to end with it."""
    count, height, width = cube.shape
    axes = [
        _spans(count, num_bands or count),
        _spans(height, size or height),
        _spans(width, size or width),
    ]
    parts = [(b, r, c) for b, r, c in product(*axes) if cube.valid[r, c].any()]
    # there is one at least, because a cube has a valid pixel
    return parts


def _spans(length: int, size: int) -> list[slice]:
    size = min(size, length)
    starts = [*range(0, length - size, size), length - size]
    return [slice(start, start + size) for start in starts]


def _check_alike(cubes: Sequence[Cube], windows: list[list[_Part]]) -> None:
    shapes = {
        tuple(len(range(n)[part]) for n, part in zip(cube.shape, window, strict=True))
        for cube, own in zip(cubes, windows, strict=True)
        for window in own
    }
    if len(shapes) > 1:
        raise BandMismatchError(
            'Samples of shapes '
            + ', '.join(' x '.join(map(str, shape)) for shape in sorted(shapes))
            + ' make no batch. Pass eval_patch_size= and eval_num_bands= that fit into '
            'all cubes, or eval_batch_size=1.'
        )
