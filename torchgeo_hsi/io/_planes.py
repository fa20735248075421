# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Turn stored numbers into planes of float32, in pieces that stay in the cache."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._masked_target import find_missing
from .base import stored_nodata

#: Numbers that go through all steps before the next ones.
_PIECE = 1 << 19
#: Numbers that are transposed at once: a line of memory must be whole when it is left.
_BLOCK = 1 << 16


def rows_at_once(columns: int, bands: int) -> int:
    """Return how many rows of an image to convert at once.

    Args:
        columns: Columns of the image.
        bands: Bands of the image.

    Returns:
        Rows, at least 1.
    """
    return max(1, _PIECE // max(1, columns * bands))


def fill_from_pixels(
    chunks: Iterable[NDArray[Any]],
    nodata: float | None,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Convert numbers of which the bands of a pixel lie together.

    Args:
        chunks: Rows of the image, one after the other, each of shape ``(rows, W, C)``;
            a chunk is used up before the next one is asked for.
        nodata: Value of pixels without data, or None.
        values: Array of shape ``(C, H, W)`` to fill.
        valid: Array of shape ``(H, W)``, all True; set to False without data.
    """
    top, marker = 0, None
    for chunk in chunks:
        if top == 0:
            marker = stored_nodata(chunk.dtype, nodata)
        end = top + len(chunk)
        bands = chunk.shape[2]
        _fill(
            np.ascontiguousarray(chunk).reshape(-1, bands),
            marker,
            values[:, top:end].reshape(bands, -1),
            valid[top:end].reshape(-1),
        )
        top = end


def fill_from_bands(
    raw: NDArray[Any],
    nodata: float | None,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Convert numbers of which the pixels of a band lie together.

    Args:
        raw: Numbers of shape ``(C, H, W)``.
        nodata: Value of pixels without data, or None.
        values: Array of the same shape to fill.
        valid: Array of shape ``(H, W)``, all True; set to False without data.
    """
    marker = stored_nodata(raw.dtype, nodata)
    step = max(1, _BLOCK // valid.size)
    for first in range(0, len(raw), step):
        block, part = raw[first : first + step], values[first : first + step]
        part[...] = block
        bad = find_missing(block, marker)
        if bad is not None:
            np.copyto(part, 0, where=bad)
            valid &= ~bad.any(axis=0)


def _fill(
    pixels: NDArray[Any],
    marker: Any,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Convert pixels of shape (P, C) to values of shape (C, P)."""
    bands = pixels.shape[1]
    in_pairs = pixels.itemsize == 2 and bands % 2 == 0
    step, inner = max(1, _PIECE // bands), max(1, _BLOCK // bands)
    for first in range(0, len(pixels), step):
        span = np.s_[first : first + step]
        piece, target = pixels[span], values[:, span]
        bad = find_missing(piece, marker)
        if bad is None and in_pairs:
            _transpose_pairs(piece, target, inner)
            continue
        for start in range(0, len(piece), inner):
            part = np.s_[start : start + inner]
            # casting first leaves the transposition a block that is small and whole
            block = piece[part].astype(np.float32)
            if bad is not None:
                np.copyto(block, 0, where=bad[part])
            target[:, part] = block.T
        if bad is not None:
            valid[span] = ~bad.any(axis=1)


def _transpose_pairs(
    pixels: NDArray[Any], values: NDArray[np.float32], inner: int
) -> None:
    """Convert numbers of 2 bytes and an even number of bands.

    Numbers of 4 bytes are transposed as fast as those of 2, so that two bands are moved
    at once and taken apart afterwards, which runs along memory.
    """
    pairs = pixels.view(f'{pixels.dtype.kind}4').T
    moved = np.empty(pairs.shape, pairs.dtype)
    for start in range(0, len(pixels), inner):
        part = np.s_[:, start : start + inner]
        moved[part] = pairs[part]
    first = int(sys.byteorder == 'big')
    # the upper half is cut off by one cast, the lower one by the shift
    values[first::2] = moved.astype(pixels.dtype)
    np.right_shift(moved, 16, out=moved)
    values[1 - first :: 2] = moved
