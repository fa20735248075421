# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A writer of TIFF files that writes whatever it is told, right or wrong."""

import struct
from typing import Any

import numpy as np

#: Numbers of tags in TIFF 6.0 and GDAL.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 317, 322, 323, 324, 325
FORMAT, SCALE, TIE_POINT, GEO_KEYS, METADATA, NODATA = (
    339,
    33550,
    33922,
    34735,
    42112,
    42113,
)

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 12: 8, 16: 8}
_CODES = {1: 'B', 3: 'H', 4: 'I', 12: 'd', 16: 'Q'}

#: Pixels of the image: 8 x 8, one band of uint8.
PIXELS = np.arange(64, dtype=np.uint8).tobytes()


def plain_tags(first: int) -> dict[int, tuple[int, Any]]:
    """Return type and values of the tags of a plain image.

    Args:
        first: Place of its pixels.
    """
    return {
        WIDTH: (3, [8]),
        HEIGHT: (3, [8]),
        BITS: (3, [8]),
        COMPRESSION: (3, [1]),
        PHOTOMETRIC: (3, [1]),
        OFFSETS: (4, [first]),
        SAMPLES: (3, [1]),
        ROWS: (3, [8]),
        COUNTS: (4, [64]),
        PLANAR: (3, [1]),
        FORMAT: (3, [1]),
    }


def tiff(
    change: dict[int, tuple[int, Any] | None] | None = None,
    *,
    pixels: bytes = PIXELS,
    big: bool = False,
    following: int | None = None,
    directory: int | None = None,
    entries: int | None = None,
    counts: dict[int, int] | None = None,
) -> bytes:
    """Write a file.

    Args:
        change: Tags to change; None removes one.
        pixels: Bytes of the pixels.
        big: Whether it is a BigTIFF.
        following: Place of the next directory; -1 for that of this one.
        directory: Place of the directory as the head says it.
        entries: Number of entries as the directory says it.
        counts: Number of values that tags say they have.
    """
    head = 16 if big else 8
    tags: dict[int, Any] = plain_tags(head) | (change or {})
    tags = {tag: tags[tag] for tag in sorted(tags) if tags[tag] is not None}
    size, inline, place = (20, 8, 'Q') if big else (12, 4, 'I')
    start = head + len(pixels) + len(pixels) % 2
    after = start + (8 if big else 2) + size * len(tags) + (8 if big else 4)
    rows, extra = [], b''
    for tag, (kind, values) in tags.items():
        if kind == 2:
            data = values if isinstance(values, bytes) else values.encode() + b'\0'
        else:
            data = struct.pack(f'<{len(values)}{_CODES[kind]}', *values)
        number = (counts or {}).get(tag, len(data) // _SIZES[kind])
        rows.append(struct.pack(f'<HH{place}', tag, kind, number))
        if len(data) <= inline:
            rows.append(data.ljust(inline, b'\0'))
        else:
            rows.append(struct.pack(f'<{place}', after + len(extra)))
            extra += data
    told = len(tags) if entries is None else entries
    listing = struct.pack('<Q' if big else '<H', told) + b''.join(rows)
    next_one = {None: 0, -1: start}.get(following, following or 0)
    listing += struct.pack(f'<{place}', next_one)
    told_start = start if directory is None else directory
    begin = (
        struct.pack('<2sHHHQ', b'II', 43, 8, 0, told_start)
        if big
        else struct.pack('<2sHI', b'II', 42, told_start)
    )
    return begin + pixels.ljust(start - head, b'\0') + listing + extra
