# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Read the blocks of a TIFF, and put windows together from them."""

from collections.abc import Iterator, Sequence
from io import FileIO
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._tiff_codecs import inflate
from ._tiff_layout import TIFFLayout
from ._tiff_tags import read_into

#: Decoded bytes that are handed over at once.
_PORTION = 1 << 28
#: Part of all bands, one in as many, up to which bands are few.
_FEW = 4
#: Runs of neighbouring bands up to which slices beat a gather.
_MOST_RUNS = 16

type Box = tuple[int, int, int, int]


def read_pixels(
    file: FileIO, layout: TIFFLayout, bands: Sequence[int] | None, box: Box
) -> NDArray[Any]:
    """Read a window.

    Args:
        file: The open file.
        layout: Where its pixels lie.
        bands: Bands, from 0, in any order; None for all.
        box: First row, first column, rows and columns, inside of the image.

    Returns:
        Stored numbers of shape ``(C, H, W)`` in native byte order; bands are the last
        axis in memory where the file keeps all bands of a pixel together.

    Raises:
        CorruptFileError: If the file is truncated or damaged.
    """
    planes = slice(None) if layout.pixel or bands is None else list(bands)
    row, _, rows, _ = box
    size = layout.block[0]
    first, last = row // size, (row + rows - 1) // size + 1
    # the last strip of a plane has fewer rows than the others
    short = 0 if layout.tiled else layout.shape[1] % size
    if short and last == layout.offsets.shape[1]:
        spans = [(first, last - 1, size), (last - 1, last, short)]
        spans = [span for span in spans if span[0] < span[1]]
    else:
        spans = [(first, last, size)]
    # to undo differences for few bands, it is worth to take them out and put them back
    few = bands is not None and _FEW * len(bands) <= layout.shape[0]
    image = _join(file, layout, planes, spans, box, bands if few else None)
    if not layout.pixel:
        return _own(image[..., 0])
    pixels = _own(image[0]) if bands is None else _select(image[0], bands)
    return pixels.transpose(2, 0, 1)


def stream_pixels(
    file: FileIO, layout: TIFFLayout, bands: Sequence[int] | None, box: Box, step: int
) -> Iterator[NDArray[Any]] | None:
    """Read a window a few rows at a time, if rows lie in the file one after the other.

    Args:
        file: The open file.
        layout: Where its pixels lie.
        bands: Bands, from 0, in any order; None for all.
        box: First row, first column, rows and columns, inside of the image.
        step: Rows at a time.

    Returns:
        Stored numbers of shape ``(rows, W, C)`` in native byte order, in memory that
        the next ones take; None if the layout is another one.

    Raises:
        CorruptFileError: If the file is truncated.
    """
    if layout.compression != 1 or layout.tiled or not layout.pixel:
        return None
    row, _, rows, _ = box
    starts, sizes = (x[0, row : row + rows, 0] for x in (layout.offsets, layout.counts))
    if not sizes.all() or (np.diff(starts) != sizes[:-1]).any():
        return None
    return _stream(file, layout, bands, box, step, int(starts[0]))


def _stream(
    file: FileIO,
    layout: TIFFLayout,
    bands: Sequence[int] | None,
    box: Box,
    step: int,
    start: int,
) -> Iterator[NDArray[Any]]:
    _, col, rows, cols = box
    count, _, width = layout.shape
    native = layout.dtype.newbyteorder('=')
    memory = np.empty((min(step, rows), width, count), native)
    for top in range(0, rows, step):
        lines = memory[: min(step, rows - top)]
        read_into(file, start, lines)
        start += lines.nbytes
        if not layout.dtype.isnative:
            lines.byteswap(inplace=True)
        pixels = lines[:, col : col + cols]
        yield pixels if bands is None else _select(pixels, bands)


def _own(view: NDArray[Any]) -> NDArray[Any]:
    """Copy a part of an array: it must not keep the rest in memory."""
    whole = view.base
    return view if whole is None or whole.size == view.size else view.copy()


def _select(pixels: NDArray[Any], bands: Sequence[int]) -> NDArray[Any]:
    """Take bands from the last axis."""
    index = np.asarray(bands, dtype=np.intp)
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    if len(breaks) >= _MOST_RUNS:
        return pixels.take(index, axis=2)
    chosen = np.empty((*pixels.shape[:2], len(index)), pixels.dtype)
    for start, stop in pairwise((0, *breaks.tolist(), len(index))):
        first = int(index[start])
        chosen[..., start:stop] = pixels[..., first : first + stop - start]
    return chosen


def _join(
    file: FileIO,
    layout: TIFFLayout,
    planes: slice | list[int],
    spans: list[tuple[int, int, int]],
    box: Box,
    bands: Sequence[int] | None,
) -> NDArray[Any]:
    """Read block rows, and cut the window out of them: (planes, H, W, samples)."""
    row, col, rows, cols = box
    high, wide = layout.block
    left, right = col // wide, (col + cols - 1) // wide + 1
    image: NDArray[Any] | None = None
    for first, last, size in spans:
        area = np.s_[planes, first:last, left:right]
        offsets, counts = layout.offsets[area], layout.counts[area]
        blocks = _load(file, layout, offsets, counts, size, bands)
        number, down, across = blocks.shape[:3]
        if across == 1 and len(spans) == 1:
            stack = blocks.reshape(number, down * size, wide, -1)
            top, start = row - first * high, col - left * wide
            return stack[:, top : top + rows, start : start + cols]
        if image is None:
            shape = (number, rows, cols, layout.samples)
            image = np.empty(shape, blocks.dtype)
        for i in range(down):
            for j in range(across):
                _paste(
                    image,
                    blocks[:, i, j],
                    (first + i) * high - row,
                    (left + j) * wide - col,
                )
    assert image is not None  # there is at least one span
    return image


def _paste(image: NDArray[Any], block: NDArray[Any], top: int, left: int) -> None:
    """Put the part of a block that lies inside of an image into it."""
    rows, cols = image.shape[1:3]
    down, right = min(top + block.shape[1], rows), min(left + block.shape[2], cols)
    y, x = max(top, 0), max(left, 0)
    image[:, y:down, x:right] = block[:, y - top : down - top, x - left : right - left]


def _load(
    file: FileIO,
    layout: TIFFLayout,
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    rows: int,
    bands: Sequence[int] | None,
) -> NDArray[Any]:
    """Read blocks of a number of rows: (*offsets.shape, rows, columns, samples)."""
    native = layout.dtype.newbyteorder('=')
    shape = (*offsets.shape, rows, layout.block[1], layout.samples)
    there = counts > 0
    if there.all():
        blocks = np.empty(shape, native)
        _decode(file, layout, offsets.ravel(), counts.ravel(), blocks, bands)
        return blocks
    # a sparse file leaves blocks without data out
    blocks = np.full(shape, layout.nodata or 0, native)
    if there.any():
        some = np.empty((int(there.sum()), *shape[3:]), native)
        _decode(file, layout, offsets[there], counts[there], some, bands)
        blocks[there] = some
    return blocks


def _decode(
    file: FileIO,
    layout: TIFFLayout,
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    target: NDArray[Any],
    bands: Sequence[int] | None,
) -> None:
    """Read blocks into an array that begins with as many."""
    rows, columns, samples = target.shape[-3:]
    if layout.compression == 1:
        target = target.reshape(len(offsets), -1)
        breaks = np.flatnonzero(np.diff(offsets) != counts[:-1]) + 1
        for start, stop in pairwise((0, *breaks.tolist(), len(offsets))):
            read_into(file, int(offsets[start]), target[start:stop])
        if not layout.dtype.isnative:
            target.byteswap(inplace=True)
        return
    target = target.reshape(len(offsets), rows, columns, samples)
    step = max(1, _PORTION // target[0].nbytes)
    for start in range(0, len(offsets), step):
        part = np.s_[start : start + step]
        inflate(file, layout, offsets[part], counts[part], target[part], bands)
