# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes with and without a panchromatic image, in files and datasets."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from rasterio.windows import Window

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, MetadataError
from ..io import CubeInfo, CubeReader, open_cube
from ..io._pan_grid import PanGrid
from ..io.prisma import PRISMAReader
from ._cube_files import find_files
from ._handles import ReaderCache
from .hsi_cube import HSICube

#: Word for the panchromatic image that the product of the cube holds itself.
OWN = 'own'


class FileSource:
    """Cubes in files, and where their panchromatic images are.

    Args:
        cubes: The cubes.
        pans: Panchromatic images in the same order, ``'own'``, or None.
        ratio: What the ratio ought to be, or None.
        pan_band: Band of the panchromatic files, from 0, or None for their only one.
        options: Options of the readers of the panchromatic files.
        cache: Whether to keep files open.
    """

    def __init__(
        self,
        cubes: HSICube,
        pans: PathLike | Iterable[PathLike] | None,
        ratio: int | None,
        pan_band: int | None,
        options: Mapping[str, Any],
        cache: bool,
    ) -> None:
        """Initialize a new FileSource instance; see the class for the arguments."""
        self.cubes = cubes
        self.own = isinstance(pans, str) and pans == OWN
        opener = _open_own if self.own else functools.partial(_open, options=options)
        self._readers = ReaderCache(opener, keep=cache)
        self._band = pan_band
        self.paths: list[str] = []
        self.grids: list[PanGrid] = []
        if pans is not None:
            self.paths = cubes.files if self.own else find_files(pans)
            self._match(ratio)

    def _match(self, ratio: int | None) -> None:
        """Look at each pair once."""
        files = self.cubes.files
        if len(self.paths) != len(files):
            raise BandMismatchError(
                f'Expected one panchromatic image for each of {len(files)} cubes, got '
                f'{len(self.paths)}. Name both as lists, in the same order.'
            )
        for cube, path in zip(self.infos(), self.paths, strict=True):
            with self._readers.opener(path) as reader:
                pan = self._pan_of(reader).info
                self._check_band(pan)
                self.grids.append(PanGrid.of(cube, pan, ratio))
        ratios = sorted({grid.ratio for grid in self.grids})
        if len(ratios) > 1:
            raise BandMismatchError(
                f'Expected pairs of one ratio, got {", ".join(map(str, ratios))}. Use '
                'one PanPairs for each ratio.'
            )

    def infos(self) -> list[CubeInfo]:
        """Return what is known of each cube."""
        return [cube.info for cube in self.cubes._cubes]

    def _check_band(self, info: CubeInfo) -> None:
        count = info.shape[0]
        if self._band is None and count != 1:
            raise MetadataError(
                f'Expected one band in {info.path}, got {count}. Say which one is '
                'panchromatic with pan_band=, from 0.'
            )
        if self._band is not None and not 0 <= self._band < count:
            raise BandMismatchError(
                f'Expected pan_band from 0 to {count - 1} for {info.path}, got '
                f'{self._band}.'
            )

    @property
    def ratio(self) -> int | None:
        """Ratio of all pairs; None without panchromatic images."""
        return self.grids[0].ratio if self.grids else None

    @staticmethod
    def _pan_of(reader: CubeReader) -> CubeReader:
        return reader.pan if isinstance(reader, PRISMAReader) else reader

    def read(self, number: int, window: Window) -> Sample:
        """Read a window.

        Args:
            number: Number of the cube.
            window: Rows and columns of the cube.

        Returns:
            The sample, at full resolution.
        """
        sample = self.cubes.read_window(number, window)
        if not self.grids:
            return sample
        grid = self.grids[number]
        with self._readers.open(self.paths[number]) as reader:
            pan = self._pan_of(reader)
            band = 0 if self.own else self._band or 0
            values, valid = pan.read([band], grid.window(window))
        sample['pan'] = torch.from_numpy(values)
        sample['pan_valid'] = torch.from_numpy(valid[0])
        return sample


def _open(path: str, options: Mapping[str, Any]) -> CubeReader:
    return open_cube(path, **options)


def _open_own(path: str) -> CubeReader:
    """Open a product that holds its panchromatic image itself."""
    reader = open_cube(path)
    if not isinstance(reader, PRISMAReader):
        reader.close()
        raise MetadataError(
            f'{path} holds no panchromatic image, only products of PRISMA (.he5) do. '
            'Name files in pans=, or leave it out to simulate one.'
        )
    return reader


def window_starts(length: int, size: int, step: int) -> list[int]:
    """Cover a length; the last window ends with it.

    Args:
        length: Pixels.
        size: Pixels of a window.
        step: Pixels from one window to the next.
    """
    starts = list(range(0, length - size + 1, step))
    if starts[-1] + size < length:
        starts.append(length - size)
    return starts


def as_pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """Return rows and columns.

    Args:
        value: One number, or two.
        name: What they are, for messages.

    Raises:
        ValueError: If they are not positive.
    """
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(
            f'Expected {name} as one or two positive whole numbers, got {value!r}.'
        )
    return int(pair[0]), int(pair[1])
