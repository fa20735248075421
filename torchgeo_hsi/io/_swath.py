# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Map windows of images that are stored as the instrument saw them.

A geometric lookup table (GLT) says for each pixel of a map which pixel of the swath it
shows. A window of the map needs only the part of the swath below it, and that is read
in pieces.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from ..errors import CorruptFileError

#: Bytes of the swath that are read at a time.
_PIECE = 8 * 1024**2

#: Bytes of spectra that are held, besides the window itself.
_STRIP = 64 * 1024**2

#: Bytes that the positions of a pixel take.
_INDEX = 64

#: Pixels that are turned from spectra into bands at a time.
_BLOCK = 1024

#: Bytes of the table that are read at a time.
_TABLE = 4 * 1024**2

#: Pixels of a map: a scene has some ten million.
_LARGEST = 1 << 27

#: What the tables store where the map shows nothing, besides 0.
_FILL = -9999


@dataclass(frozen=True)
class SwathPixels:
    """Pixels of a swath that a window of the map shows.

    Args:
        rows: Row of each in the swath, in ascending order, shape ``(N,)``.
        columns: Column of each in the swath, shape ``(N,)``.
        target: Position of each in the flattened window, shape ``(N,)``.
        shape: Rows and columns of the window.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    target: NDArray[np.intp]
    shape: tuple[int, int]


class LookupTable:
    """A geometric lookup table, held in memory in the smallest type that fits.

    Args:
        x: Column in the swath of each map pixel, counted from 1; 0 where the map shows
            nothing, and negative where the pixel was filled from its neighbour. An
            array of numpy or h5py, shape ``(H, W)``.
        y: Row in the swath, in the same form.
        swath: Rows and columns of the swath.
        path: The file, for messages.

    Raises:
        CorruptFileError: If the table points outside of the swath.
    """

    def __init__(self, x: Any, y: Any, swath: tuple[int, int], path: str) -> None:
        """Initialize a new LookupTable instance."""
        self._columns = _compact(x, swath[1], path)
        self._rows = _compact(y, swath[0], path)

    def pixels(self, window: Window) -> SwathPixels:
        """Find the pixels of the swath that a window shows.

        Args:
            window: Window that lies inside the map.

        Returns:
            The pixels, by row.
        """
        part = window.toslices()
        rows, columns = self._rows[part].ravel(), self._columns[part].ravel()
        target = np.flatnonzero((rows > 0) & (columns > 0))
        rows = rows[target]
        order = np.argsort(rows, kind='stable')
        target = target[order]
        return SwathPixels(
            rows=rows[order].astype(np.intp) - 1,
            columns=columns[target].astype(np.intp) - 1,
            target=target,
            shape=(round(window.height), round(window.width)),
        )


def _compact(table: Any, limit: int, path: str) -> NDArray[np.unsignedinteger[Any]]:
    """Load one axis of a table in pieces."""
    if table.size > _LARGEST:
        raise CorruptFileError(
            f'The lookup table of {path} says that it has {table.shape} pixels, far '
            'more than any scene. The file is damaged: download or copy it again.'
        )
    compact = np.zeros(table.shape, dtype=np.min_scalar_type(limit))
    # a table that is compressed as one block has to be decoded at once
    chunks = getattr(table, 'chunks', None)
    rows = max(_TABLE // (8 * table.shape[1]), chunks[0] if chunks else 1)
    for top in range(0, table.shape[0], rows):
        part = np.asarray(table[top : top + rows])
        part = np.where(part == _FILL, 0, np.abs(part))
        # the smallest integer has no positive counterpart
        # which is also false for NaN
        if not (part.max(initial=0) <= limit and part.min(initial=0) >= 0):
            raise CorruptFileError(
                f'The lookup table of {path} points to pixel {part.max()} of {limit}. '
                'The file is damaged: download or copy it again.'
            )
        compact[top : top + rows] = part
    return compact


def gather(
    array: Any, table: LookupTable, window: Window, bands: list[int], fill: float
) -> NDArray[Any]:
    """Read a window of the map from a swath that is stored pixel by pixel.

    Args:
        array: Array of h5py or numpy, shape ``(rows, columns, bands)``.
        table: Where the map finds its pixels.
        window: Window that lies inside the map.
        bands: Bands, from 0, in any order.
        fill: Value where the map shows nothing.

    Returns:
        Stored numbers of shape ``(C, H, W)``.
    """
    height, width = round(window.height), round(window.width)
    values = np.empty((len(bands), height * width), dtype=array.dtype)
    if not bands:
        return values.reshape(0, height, width)
    low, high = min(bands), max(bands) + 1
    chosen = np.array(bands) - low
    pixel = (high - low) * array.dtype.itemsize + _INDEX
    rows = max(_STRIP // (width * pixel), 1)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        strip = Window(window.col_off, window.row_off + top, width, count)
        pixels = table.pixels(strip)
        spectra = _spectra(array, pixels, low, high, fill)
        out = values[:, top * width : (top + count) * width]
        _spread(spectra, pixels, chosen, out)
    return values.reshape(len(bands), height, width)


def _spectra(
    array: Any, pixels: SwathPixels, low: int, high: int, fill: float
) -> NDArray[Any]:
    """Read the spectra of pixels, and one more of the fill value."""
    spectra = np.empty((len(pixels.rows) + 1, high - low), dtype=array.dtype)
    spectra[-1] = fill
    for part in _pieces(array, pixels, high - low):
        rows, columns = pixels.rows[part], pixels.columns[part]
        left, right = int(columns.min()), int(columns.max()) + 1
        top = int(rows[0])
        block = np.asarray(array[top : int(rows[-1]) + 1, left:right, low:high])
        positions = (rows - top) * (right - left) + columns - left
        block.reshape(-1, high - low).take(positions, axis=0, out=spectra[part])
    return spectra


def _spread(
    spectra: NDArray[Any],
    pixels: SwathPixels,
    chosen: NDArray[np.intp],
    out: NDArray[Any],
) -> None:
    """Put spectra, as they are stored, into bands of shape ``(C, N)``."""
    position = np.full(out.shape[1], len(spectra) - 1)
    position[pixels.target] = np.arange(len(pixels.target))
    # in blocks that stay in the cache of the processor while they are turned
    for start in range(0, out.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        out[:, part] = spectra.take(position[part], axis=0).T[chosen]


def _pieces(array: Any, pixels: SwathPixels, depth: int) -> Iterator[slice]:
    """Split pixels so that the part of the swath below each piece is small."""
    if not len(pixels.rows):
        return
    columns = int(pixels.columns.max()) - int(pixels.columns.min()) + 1
    rows = max(_PIECE // (columns * depth * array.dtype.itemsize), 1)
    chunks = getattr(array, 'chunks', None)
    if chunks:
        # a compressed block is decoded once, not once for each piece of it
        rows = max(rows // chunks[0], 1) * chunks[0]
    first = int(pixels.rows[0]) // rows * rows
    tops = np.arange(first, int(pixels.rows[-1]) + rows + 1, rows)
    edges = np.searchsorted(pixels.rows, tops).tolist()
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            yield slice(start, stop)
