# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the pixels of a TIFF lie, for the layouts that need no help of GDAL."""

from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._tiff_tags import Tags, truncated

_WIDTH, _HEIGHT, _BITS, _FORMAT, _BANDS, _PLANAR = 256, 257, 258, 339, 277, 284
_COMPRESSION, _PREDICTOR, _PHOTOMETRIC, _FILL_ORDER, _DEPTH = 259, 317, 262, 266, 32997
_STRIP = {'rows': 278, 'offsets': 273, 'counts': 279}
_TILE = {'columns': 322, 'rows': 323, 'offsets': 324, 'counts': 325}
#: Kind of numbers by sample format.
_KINDS = {1: 'u', 2: 'i', 3: 'f'}
#: Widths in bits that each kind may have.
_DEPTHS = {'u': (8, 16, 32, 64), 'i': (8, 16, 32, 64), 'f': (32, 64)}
#: Compressions that decode a block from nothing but its own bytes.
COMPRESSIONS = {
    1: None,
    5: 'lzw',
    8: 'deflate',
    32773: 'packbits',
    32946: 'deflate',
    34925: 'lzma',
    50000: 'zstd',
}
#: Gray (either way round), RGB and palette: pixels are what is stored.
_PLAIN_COLORS = (0, 1, 2, 3)
_SAMPLES, _FLOAT_BYTES = 2, 3
#: Larger blocks are left to GDAL.
_LARGEST_BLOCK = 1 << 28


@dataclass(frozen=True)
class TIFFLayout:
    """Where the pixels of an image lie in the file.

    Args:
        shape: Bands, rows and columns.
        dtype: Data type and byte order in the file.
        compression: Number of the compression; 1 is none.
        predictor: 1 none, 2 differences of neighbours, 3 the same for floats.
        pixel: Whether all bands of a pixel lie together; else all pixels of a band.
        tiled: Whether blocks are tiles; else strips.
        block: Rows and columns of a block.
        offsets: Place of each block in the file, of shape ``(planes, block rows, block
            columns)``; there is one plane if *pixel*, else one for each band.
        counts: Bytes of each block, of the same shape; 0 where the file has none.
        nodata: Value of pixels without data.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    compression: int
    predictor: int
    pixel: bool
    tiled: bool
    block: tuple[int, int]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    nodata: float | None

    @property
    def samples(self) -> int:
        """Numbers that lie together for each pixel of a block."""
        return self.shape[0] if self.pixel else 1


def find_layout(tags: Tags) -> TIFFLayout | None:
    """Find out where pixels lie.

    Args:
        tags: Tags of the image.

    Returns:
        The layout; None if only GDAL can read the image.

    Raises:
        CorruptFileError: If a block lies behind the end of the file.
    """
    shape = (tags.number(_BANDS, 1), tags.number(_HEIGHT), tags.number(_WIDTH))
    dtype = _dtype(tags)
    compression, predictor = tags.number(_COMPRESSION, 1), tags.number(_PREDICTOR, 1)
    # with one band both are the same, and GDAL undoes the predictors of planes
    pixel = tags.number(_PLANAR, 1) == 1 and shape[0] > 1
    if (
        dtype is None
        or min(shape) < 1
        or compression not in COMPRESSIONS
        or predictor not in (1, _SAMPLES, _FLOAT_BYTES)
        or (predictor == _FLOAT_BYTES and pixel and compression != 1)
        or not _is_plain(tags)
    ):
        return None
    try:
        nodata = tags.nodata(dtype)
    except ValueError:
        return None
    blocks = _find_blocks(tags, shape, pixel)
    if blocks is not None:
        samples = shape[0] if pixel else 1
        blocks = _check(tags, blocks, shape[1], samples * dtype.itemsize, compression)
    if blocks is None:
        return None
    return TIFFLayout(
        shape=shape,
        dtype=dtype,
        compression=compression,
        predictor=predictor,
        pixel=pixel,
        tiled=blocks.tiled,
        block=blocks.size,
        offsets=blocks.offsets,
        counts=blocks.counts,
        nodata=nodata,
    )


def _is_plain(tags: Tags) -> bool:
    """Whether pixels are just what is stored."""
    return (
        tags.number(_PHOTOMETRIC, -1) in _PLAIN_COLORS
        and tags.number(_FILL_ORDER, 1) == 1
        and tags.number(_DEPTH, 1) == 1
    )


def _dtype(tags: Tags) -> np.dtype[Any] | None:
    bits = tags.number(_BITS, 1)
    kind = _KINDS.get(tags.number(_FORMAT, 1), '')
    if bits not in _DEPTHS.get(kind, ()):
        return None
    return np.dtype(f'{tags.order}{kind}{bits // 8}')


class _Blocks(NamedTuple):
    """Kind, rows and columns, places and lengths of blocks, as in the layout."""

    tiled: bool
    size: tuple[int, int]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]


def _find_blocks(
    tags: Tags, shape: tuple[int, int, int], pixel: bool
) -> _Blocks | None:
    bands, height, width = shape
    tiled = _TILE['columns'] in tags
    names = _TILE if tiled else _STRIP
    rows = tags.number(names['rows'], 0 if tiled else height)
    columns = tags.number(names['columns']) if tiled else width
    if rows < 1 or columns < 1:
        return None
    if not tiled:
        rows = min(rows, height)
    grid = (1 if pixel else bands, ceil(height / rows), ceil(width / columns))
    offsets, counts = tags.numbers(names['offsets']), tags.numbers(names['counts'])
    number = grid[0] * grid[1] * grid[2]
    if offsets is None or counts is None or not offsets.size == counts.size == number:
        return None
    offsets, counts = offsets.astype(np.int64), counts.astype(np.int64)
    # a sparse file leaves blocks out
    counts[offsets == 0] = 0
    return _Blocks(tiled, (rows, columns), offsets.reshape(grid), counts.reshape(grid))


def _check(
    tags: Tags, blocks: _Blocks, height: int, pixel_bytes: int, compression: int
) -> _Blocks | None:
    """Check that blocks are where they should be; None if only GDAL may know."""
    rows, columns = blocks.size
    line = columns * pixel_bytes
    if compression != 1:
        _check_end(tags, blocks.offsets, blocks.counts)
        return blocks if rows * line <= _LARGEST_BLOCK else None
    # rows of a strip end with the image, rows of a tile go on
    left = height - rows * np.arange(blocks.counts.shape[1])
    lines = np.full_like(left, rows) if blocks.tiled else np.minimum(rows, left)
    # writers may give a block more bytes than it needs
    needed = np.where(blocks.counts > 0, lines[:, None] * line, 0)
    if (blocks.counts < needed).any():
        return None
    _check_end(tags, blocks.offsets, needed)
    blocks = blocks._replace(counts=needed)
    return blocks if blocks.tiled or rows == 1 else _cut_strips(blocks, height, line)


def _cut_strips(blocks: _Blocks, height: int, line: int) -> _Blocks:
    """Cut strips into rows, so that any range of rows can be read by itself."""
    starts = blocks.offsets + line * np.arange(blocks.size[0])
    lines = np.broadcast_to(np.where(blocks.counts > 0, line, 0), starts.shape)
    planes, cut = len(starts), np.s_[:, :height, None]
    return blocks._replace(
        size=(1, blocks.size[1]),
        offsets=starts.reshape(planes, -1)[cut],
        counts=lines.reshape(planes, -1)[cut],
    )


def _check_end(
    tags: Tags, offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Find an interrupted download at once, not in the middle of an epoch."""
    last = max(int(offsets.max()), int(counts.max()))
    if last <= tags.size and min(int(offsets.min()), int(counts.min())) >= 0:
        # no number is so large that the sum could overflow
        last = int((offsets + counts)[counts > 0].max(initial=0))
        if last <= tags.size:
            return
    raise truncated(tags.file, last)
