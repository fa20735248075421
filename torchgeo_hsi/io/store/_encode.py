# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From arrays to the bytes of a shard."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._blosc import encode
from ._layout import EMPTY, ArrayLayout, pack_index


def encode_shard(
    layout: ArrayLayout, values: NDArray[Any], executor: Executor
) -> bytes:
    """Encode one shard.

    Args:
        layout: Layout of the array.
        values: What the shard holds; smaller than a shard at the end of the array.
        executor: What compresses.

    Returns:
        Content of its file.
    """
    chunks = executor.map(
        lambda chunk: _encode_chunk(layout, chunk), _cut(layout, values)
    )
    if not layout.sharded:
        return next(chunks) or encode(
            np.zeros(layout.chunk, layout.dtype), layout.blosc()
        )
    places, parts, offset = [], [], layout.index_bytes
    for content in chunks:
        if content is None:
            places.append((EMPTY, EMPTY))
            continue
        places.append((offset, len(content)))
        parts.append(content)
        offset += len(content)
    return b''.join([pack_index(places), *parts])


def _cut(layout: ArrayLayout, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut the values of a shard into chunks, in the order of the index."""
    for position in itertools.product(*map(range, layout.grid)):
        yield values[
            tuple(
                slice(i * size, (i + 1) * size)
                for i, size in zip(position, layout.chunk, strict=True)
            )
        ]


def _encode_chunk(layout: ArrayLayout, part: NDArray[Any]) -> bytes | None:
    """Compress a chunk; None if it holds nothing but zeros."""
    little = np.dtype(layout.dtype).newbyteorder('<')
    if part.shape == layout.chunk:
        chunk = np.ascontiguousarray(part, little)
    else:
        chunk = np.zeros(layout.chunk, little)
        chunk[tuple(map(slice, part.shape))] = part
    # the bytes, because -0.0 is a value and not an empty chunk
    if not chunk.reshape(-1).view(np.uint8).any():
        return None
    return encode(chunk, layout.blosc())
