# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Decode compressed blocks of a TIFF, whatever image they belong to.

The blocks are handed to GDAL as the strips of one image with a single band: what GDAL
spends on an image of hundreds of bands is to a large part the bookkeeping of thousands
of small blocks, not decoding. Where the optional package imagecodecs is installed, it
decodes the most usual compressions straight to their place.
"""

import struct
from collections.abc import Callable, Sequence
from functools import cache
from io import FileIO
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from ..errors import CorruptFileError
from ._tiff_layout import COMPRESSIONS, TIFFLayout
from ._tiff_tags import read_into

#: Bytes between two blocks that are cheaper to read than to skip.
_GAP = 1 << 14
#: Place of the first block in the image for GDAL, behind the header.
_START = 8


def inflate(
    file: FileIO,
    layout: TIFFLayout,
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    target: NDArray[Any],
    bands: Sequence[int] | None,
) -> None:
    """Decode blocks.

    Args:
        file: The open file.
        layout: How the blocks are packed.
        offsets: Place of each block in the file.
        counts: Bytes of each block.
        target: Array to fill, of shape ``(blocks, rows, columns, samples)``.
        bands: Bands that are needed, from 0; None for all. If all bands of a pixel lie
            together, the others may be wrong.

    Raises:
        CorruptFileError: If a block is damaged.
    """
    decode = decoder(layout)
    if decode is not None:
        _decode(file, layout, offsets, counts, target, bands, decode)
        return
    # differences between pixels are taken band by band: not what one band would be
    differences = layout.pixel and layout.predictor != 1
    predictor = 1 if differences else layout.predictor
    image = _single_band(file, layout, offsets, counts, target.shape, predictor)
    try:
        with MemoryFile(image) as memory, memory.open(driver='GTiff') as src:
            src.read(1, out=target.reshape(src.shape))
    except RasterioError as error:
        raise CorruptFileError(
            f'{file.name} is damaged: its pixels cannot be decoded ({error}). Download '
            'or copy it again.'
        ) from error
    if differences:
        _undo_differences(target, bands)


def decoder(layout: TIFFLayout) -> Callable[..., Any] | None:
    """Return what decodes a block faster than GDAL does, if it is installed.

    Args:
        layout: How the blocks are packed.

    Returns:
        Function of the bytes and the target (*out*) of a block, or None.
    """
    if not layout.dtype.isnative or layout.predictor not in (1, 2):
        return None
    return _decoders().get(COMPRESSIONS[layout.compression] or '')


@cache
def _decoders() -> dict[str, Callable[..., Any]]:
    try:
        import imagecodecs
    except ImportError:
        return {}
    return {'deflate': imagecodecs.deflate_decode, 'zstd': imagecodecs.zstd_decode}


def _decode(
    file: FileIO,
    layout: TIFFLayout,
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    target: NDArray[Any],
    bands: Sequence[int] | None,
    decode: Callable[..., Any],
) -> None:
    """Decode each block to where it belongs, which GDAL takes two more copies for."""
    pieces, places = _collect(file, offsets, counts)
    packed = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    for i, (place, count) in enumerate(zip(places, counts, strict=True)):
        part = packed[place : place + count]
        # while it is in the cache of the processor
        decode_block(file, layout, part, target[i : i + 1], decode, bands)


def decode_block(
    file: FileIO,
    layout: TIFFLayout,
    packed: NDArray[np.uint8],
    target: NDArray[Any],
    decode: Callable[..., Any],
    bands: Sequence[int] | None = None,
) -> None:
    """Decode a block to where it belongs.

    Args:
        file: The open file.
        layout: How the blocks are packed.
        packed: Bytes of the block.
        target: Array to fill, of shape ``(1, rows, columns, samples)``.
        decode: What :func:`decoder` returned.
        bands: Bands that are needed, as for :func:`inflate`.

    Raises:
        CorruptFileError: If the block is damaged.
    """
    room = target.reshape(-1).view(np.uint8)
    try:
        size = len(decode(packed, out=room))
    # each codec has an error of its own, all of them derived from this one
    except RuntimeError as error:
        raise CorruptFileError(
            f'{file.name} is damaged: its pixels cannot be decoded ({error}). '
            'Download or copy it again.'
        ) from error
    if size != room.nbytes:
        raise CorruptFileError(
            f'{file.name} is damaged: a block holds {size} bytes instead of '
            f'{room.nbytes}. Download or copy it again.'
        )
    if layout.predictor != 1:
        _undo_differences(target, bands)


def _undo_differences(target: NDArray[Any], bands: Sequence[int] | None) -> None:
    """Add up the differences of neighbouring pixels along rows, in place."""
    whole = target.view(f'u{target.itemsize}')
    if target.shape[3] == 1:
        # seven times as fast as numpy's accumulate, and only used beside its decoders
        import imagecodecs

        imagecodecs.delta_decode(whole, axis=2, out=whole)
        return
    part = whole if bands is None else whole[..., bands]
    for i in range(1, part.shape[2]):
        part[:, :, i] += part[:, :, i - 1]
    if bands is not None:
        whole[..., bands] = part


def _single_band(
    file: FileIO,
    layout: TIFFLayout,
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    shape: tuple[int, ...],
    predictor: int,
) -> bytes:
    """Build a TIFF of one band from blocks: header, blocks, tags."""
    pieces, places = _collect(file, offsets, counts)
    number, rows, columns, samples = shape
    end = _START + sum(map(len, pieces))
    mark, order = (b'MM', '>') if layout.dtype.str[0] == '>' else (b'II', '<')
    # by the numbers of TIFF 6.0
    fields: dict[int, Any] = {
        256: columns * samples,
        257: rows * number,
        258: 8 * layout.dtype.itemsize,
        259: layout.compression,
        262: 1,
        273: places + _START,
        277: 1,
        278: rows,
        279: counts,
        284: 1,
        317: predictor,
        339: {'u': 1, 'i': 2, 'f': 3}[layout.dtype.kind],
        # rasterio warns of images that lie nowhere
        33550: (1.0, 1.0, 0.0),
        33922: (0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    }
    header = struct.pack(f'{order}2sHI', mark, 42, end)
    return b''.join((header, *pieces, _directory(order, fields, end)))


def _collect(
    file: FileIO, offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Read blocks in few pieces; return these, and where each block lies in them."""
    sort = np.argsort(offsets)
    ends = np.maximum.accumulate((offsets + counts)[sort])
    breaks = np.flatnonzero(offsets[sort][1:] > ends[:-1] + _GAP) + 1
    pieces, places, length = [], np.empty_like(offsets), 0
    for start, stop in pairwise((0, *breaks.tolist(), len(sort))):
        begin, end = int(offsets[sort[start]]), int(ends[stop - 1])
        piece = np.empty(end - begin, np.uint8)
        read_into(file, begin, piece)
        run = sort[start:stop]
        places[run] = offsets[run] - begin + length
        pieces.append(piece)
        length += len(piece)
    return pieces, places


def _directory(order: str, fields: dict[int, Any], start: int) -> bytes:
    """Write tags, and behind them the numbers that do not fit into a tag."""
    place = start + 2 + 12 * len(fields) + 4
    entries, arrays = [struct.pack(f'{order}H', len(fields))], [bytes(4)]
    for tag, value in fields.items():
        values = np.atleast_1d(value)
        kind, code = (12, 'f8') if values.dtype.kind == 'f' else (4, 'u4')
        data = values.astype(f'{order}{code}').tobytes()
        entries.append(struct.pack(f'{order}HHI', tag, kind, len(values)))
        if len(data) == 4:
            entries.append(data)
            continue
        entries.append(struct.pack(f'{order}I', place))
        arrays.append(data)
        place += len(data)
    return b''.join(entries + arrays)
