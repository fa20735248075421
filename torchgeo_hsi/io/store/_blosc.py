# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Chunks that blosc compresses, through the optional package numcodecs.

Facts: the header of Blosc 1, https://github.com/Blosc/c-blosc (README_CHUNK_FORMAT).
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptFileError
from .spec import COMPRESSIONS

#: Version, version of the codec, flags, size of a number; bytes uncompressed, in a
#: block, compressed.
_HEADER = struct.Struct('<4B3I')


def import_blosc() -> Any:
    """Import the bindings of blosc.

    Returns:
        The module ``numcodecs.blosc``.

    Raises:
        ImportError: If numcodecs is not installed.
    """
    try:
        from numcodecs import blosc
    except ImportError as error:
        raise ImportError(
            'numcodecs is needed for training stores. Install it with '
            "pip install 'torchgeo-hsi[store]'."
        ) from error
    return blosc


def settings(dtype: str, compression: str, size: int) -> dict[str, Any]:
    """Return how chunks are compressed, as the metadata of Zarr say it.

    Args:
        dtype: Data type of the chunk.
        compression: A name of ``COMPRESSIONS``.
        size: Bytes of a chunk, uncompressed.

    Returns:
        Configuration of the codec ``blosc``.
    """
    itemsize = np.dtype(dtype).itemsize
    return {
        'cname': compression,
        'clevel': COMPRESSIONS[compression],
        'shuffle': 'shuffle' if itemsize > 1 else 'noshuffle',
        'typesize': itemsize,
        # several blocks could come in any order, and bytes would not be reproducible
        'blocksize': size,
    }


def encode(values: NDArray[Any], how: dict[str, Any]) -> bytes:
    """Compress a chunk.

    Args:
        values: The chunk, contiguous, little-endian.
        how: What :func:`settings` returned.

    Returns:
        The compressed chunk, the same bytes for the same values.
    """
    blosc = import_blosc()
    shuffle = blosc.SHUFFLE if how['shuffle'] == 'shuffle' else blosc.NOSHUFFLE
    compressed: bytes = blosc.compress(
        values, how['cname'].encode(), how['clevel'], shuffle, how['blocksize']
    )
    return compressed


def decode(content: Any, values: NDArray[Any], blosc: Any, name: str) -> None:
    """Decompress a chunk.

    Args:
        content: The compressed chunk, any contiguous buffer.
        values: Contiguous array that receives it.
        blosc: What :func:`import_blosc` returned.
        name: Where the chunk is from, for messages.

    Raises:
        CorruptFileError: If the chunk is damaged.
    """
    size = len(content)
    try:
        # blosc trusts the header, and reads and writes as far as it says
        _, _, _, _, full, _, packed = _HEADER.unpack_from(content)
        if packed != size or full != values.nbytes:
            raise ValueError(f'{packed} and {full} bytes in its header')
        blosc.decompress(content, values)
    except (ValueError, RuntimeError, struct.error) as error:
        raise CorruptFileError(
            f'{name} is damaged ({error}). Run "torchgeo-hsi convert" with --verify to '
            'repair the store, or copy it again.'
        ) from error
