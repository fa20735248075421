# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Layouts and compressions of one chunk, with the codec alone."""

import time
from typing import Any

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

#: Compressor, level, 1 for bytes and 2 for bits that are sorted by significance.
CODECS = [
    ('lz4', 5, 1),
    ('lz4', 9, 1),
    ('lz4', 9, 2),
    ('lz4hc', 5, 1),
    ('lz4hc', 9, 1),
    ('lz4hc', 5, 2),
    ('zstd', 1, 1),
    ('zstd', 3, 1),
    ('zstd', 1, 2),
]
#: Bytes that are compressed together.
CHUNK = 1 << 19


def _chw(patch: NDArray[np.int16]) -> NDArray[np.int16]:
    return patch


def _hwc(patch: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.ascontiguousarray(patch.transpose(1, 2, 0))


def _delta(patch: NDArray[np.int16]) -> NDArray[np.int16]:
    result = patch.copy()
    result[1:] -= patch[:-1]
    return result


def _undo_hwc(stored: NDArray[np.int16]) -> None:
    np.ascontiguousarray(stored.transpose(2, 0, 1))


def _undo_delta(stored: NDArray[np.int16]) -> None:
    # many times as fast as numpy's cumsum along this axis
    for band in range(1, len(stored)):
        np.add(stored[band], stored[band - 1], out=stored[band])


LAYOUTS: dict[str, tuple[Any, Any]] = {
    'bands, rows, columns': (_chw, None),
    'rows, columns, bands': (_hwc, _undo_hwc),
    'differences between bands': (_delta, _undo_delta),
}


def compare(patches: list[NDArray[np.int16]], rounds: int) -> list[dict[str, Any]]:
    """Compress and decompress patches.

    Args:
        patches: Patches of shape ``(C, H, W)``.
        rounds: How often to decompress.

    Returns:
        Of each layout and codec: share of the size, and milliseconds of processor time
        to compress a patch, to decompress it, and to bring it to (C, H, W).
    """
    rows = []
    for layout, (forward, backward) in LAYOUTS.items():
        stored = [forward(patch) for patch in patches]
        target = np.empty_like(stored[0])
        step = max(1, CHUNK // stored[0][0].nbytes)
        slices = [slice(i, i + step) for i in range(0, len(target), step)]
        for name, level, shuffle in CODECS:
            start = time.process_time()
            packed = [
                [
                    blosc.compress(p[s], name.encode(), level, shuffle, CHUNK)
                    for s in slices
                ]
                for p in stored
            ]
            write = (time.process_time() - start) / len(patches)
            unpack, undo = [], []
            for _ in range(rounds):
                for chunks in packed:
                    begin = time.process_time()
                    for place, chunk in zip(slices, chunks, strict=True):
                        blosc.decompress(chunk, target[place])
                    middle = time.process_time()
                    if backward is not None:
                        backward(target)
                    unpack.append(middle - begin)
                    undo.append(time.process_time() - middle)
            size = sum(len(chunk) for chunks in packed for chunk in chunks)
            rows.append(
                {
                    'layout': layout,
                    'codec': f'{name} {level}, {("", "bytes", "bits")[shuffle]}',
                    'size_share': round(size / sum(p.nbytes for p in patches), 3),
                    'write_ms': round(1e3 * write, 1),
                    'decode_ms': round(1e3 * float(np.median(unpack)), 2),
                    'undo_ms': round(1e3 * float(np.median(undo)), 2),
                }
            )
            row = rows[-1]
            print(
                f'{layout:26s}{row["codec"]:16s}{row["size_share"]:7.3f}'
                f'{row["write_ms"]:8.1f}{row["decode_ms"]:7.2f}{row["undo_ms"]:7.2f}',
                flush=True,
            )
    return rows
