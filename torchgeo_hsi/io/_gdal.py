# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What GDAL does not do by itself: bound its cache, notice a loss, fail in one way."""

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # nowhere public
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ..errors import CorruptFileError
from ._files import shorten

#: What rasterio raises over a file: not all of it is translated from GDAL's errors.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)


class _Unplaced:
    """Silences a warning as long as any thread wants it.

    ``warnings.catch_warnings`` belongs to the whole process: of two threads that enter
    and leave it crosswise, the second would keep the filter of the first for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._count = 0

    def enter(self) -> None:
        with self._lock:
            if not self._count:
                self._stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter('ignore', NotGeoreferencedWarning)
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._stack.close()


_UNPLACED = _Unplaced()


@contextmanager
def unplaced() -> Iterator[None]:
    """Open files that lie nowhere, without rasterio's warning that they do.

    Cubes from a laboratory or a ``.mat`` file, photographs and benchmarks have no
    coordinates. Whatever needs some says so itself, by an error.

    Yields:
        Nothing.
    """
    _UNPLACED.enter()
    try:
        yield
    finally:
        _UNPLACED.leave()


@contextmanager
def gdal_errors(path: str, what: str = 'what it says about itself') -> Iterator[None]:
    """Put errors of GDAL into words.

    Args:
        path: The file.
        what: What is read.

    Yields:
        Nothing.

    Raises:
        CorruptFileError: If GDAL cannot read it.
    """
    try:
        yield
    except GDAL_ERRORS as error:
        raise CorruptFileError(
            f'{path} is truncated or damaged: {what} cannot be read '
            f'({shorten(str(error), 200)}). Download or copy it again.'
        ) from error


@contextmanager
def gdal_cache(megabytes: int) -> Iterator[None]:
    """Bound GDAL's block cache, for reading and writing, in the whole process.

    GDAL takes 5 % of the machine's memory by default, so the memory of a program
    grows with the scene until that is full. ``rasterio.Env(GDAL_CACHEMAX=...)`` reads
    its value as bytes and does not always restore the old one; this does. A smaller
    bound that is already in force stays.

    Args:
        megabytes: Largest size of the cache in MiB.

    Yields:
        Nothing; the old bound is back afterwards.
    """
    before = get_gdal_config('GDAL_CACHEMAX')
    set_gdal_config('GDAL_CACHEMAX', min(before, megabytes << 20))
    try:
        yield
    finally:
        set_gdal_config('GDAL_CACHEMAX', before)


def check_blocks(path: Path, wanted: NDArray[np.bool_] | None = None) -> None:
    """Check that the blocks of a GeoTIFF are in the file.

    GDAL does not report a write that fails while a dataset is being closed: the file
    only lacks some blocks, and readers take them for nodata.

    Args:
        path: The file.
        wanted: Which blocks have to exist at full resolution, of shape ``(bands, block
            rows, block columns)``; every block of every overview too by default.

    Raises:
        OSError: If a block is missing, or ends behind the end of the file.
    """
    size = path.stat().st_size
    with unplaced(), rasterio.open(path) as dataset:
        overviews = [] if wanted is not None else range(len(dataset.overviews(1)))
        for level in (None, *overviews):
            for band in dataset.indexes:
                grid = wanted[band - 1] if wanted is not None else None
                if grid is None:
                    grid = np.ones(_block_grid(dataset, level), dtype=bool)
                for row, col in np.argwhere(grid):
                    if not _has_block(dataset, band, level, row, col, size):
                        raise OSError('a block is missing; is the disk full?')


def _block_grid(dataset: Any, level: int | None) -> tuple[int, int]:
    factor = 1 if level is None else dataset.overviews(1)[level]
    rows, cols = dataset.block_shapes[0]
    return (
        math.ceil(math.ceil(dataset.height / factor) / rows),
        math.ceil(math.ceil(dataset.width / factor) / cols),
    )


def _has_block(
    dataset: Any, band: int, level: int | None, row: int, col: int, size: int
) -> bool:
    item = f'{col}_{row}'
    start = dataset.get_tag_item(f'BLOCK_OFFSET_{item}', 'TIFF', band, level)
    length = dataset.get_tag_item(f'BLOCK_SIZE_{item}', 'TIFF', band, level)
    return bool(start) and int(start) + int(length) <= size
