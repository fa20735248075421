# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How an array is cut into shards and chunks, as Zarr version 3 describes it."""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptFileError
from ._blosc import settings
from .field import FieldSpec
from .spec import StoreSpec

#: Bytes of a chunk, uncompressed, that still fits into the second cache of a core
#: together with its result.
CHUNK_BYTES = 1 << 19

#: Items of a field of at most so many bytes are not worth a chunk of their own.
SMALL_BYTES = 4096

#: Offset of a chunk of zeros only, which is not stored.
EMPTY = 2**64 - 1


@dataclass(frozen=True)
class ArrayLayout:
    """Shape and cut of one array of a store.

    Args:
        name: Name of the array, which is its folder.
        shape: Shape of the whole array.
        dtype: Data type.
        shard: Shape of what one file holds.
        chunk: Shape of what is compressed together; divides *shard*. If it is the same,
            a file is a chunk, without an index.
        axes: Names of the axes.
        compression: Kind of compression.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    shard: tuple[int, ...]
    chunk: tuple[int, ...]
    axes: tuple[str, ...]
    compression: str

    @property
    def sharded(self) -> bool:
        """Whether files hold several chunks and an index of them."""
        return self.chunk != self.shard

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks of a shard along each axis."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    @property
    def index_bytes(self) -> int:
        """Size of the index at the start of a file, its checksum included."""
        return 16 * math.prod(self.grid) + 4

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk, uncompressed."""
        return math.prod(self.chunk) * np.dtype(self.dtype).itemsize

    def key(self, shard: tuple[int, ...]) -> str:
        """Name the file of a shard within the store.

        Args:
            shard: Position of the shard along each axis.

        Returns:
            Path with forward slashes.
        """
        return f'{self.name}/c.{".".join(map(str, shard))}'

    def blosc(self) -> dict[str, Any]:
        """Return the configuration of the compression."""
        return settings(self.dtype, self.compression, self.chunk_bytes)

    def metadata(self) -> dict[str, Any]:
        """Return the content of ``zarr.json``."""
        little = {'endian': 'little'}
        single = np.dtype(self.dtype).itemsize == 1
        codecs = [
            _codec('bytes', None if single else little),
            _codec('blosc', self.blosc()),
        ]
        if self.sharded:
            sharding = {
                'chunk_shape': list(self.chunk),
                'codecs': codecs,
                'index_codecs': [_codec('bytes', little), _codec('crc32c')],
                'index_location': 'start',
            }
            codecs = [_codec('sharding_indexed', sharding)]
        return {
            'zarr_format': 3,
            'node_type': 'array',
            'shape': list(self.shape),
            'data_type': self.dtype,
            'chunk_grid': {
                'name': 'regular',
                'configuration': {'chunk_shape': list(self.shard)},
            },
            'chunk_key_encoding': {
                'name': 'default',
                'configuration': {'separator': '.'},
            },
            'fill_value': False if self.dtype == 'bool' else 0,
            'codecs': codecs,
            'attributes': {},
            'dimension_names': list(self.axes),
        }


def field_layout(spec: StoreSpec, name: str) -> ArrayLayout:
    """Cut the array of a field: one item, or some of its bands, is a chunk.

    Args:
        spec: Specification of the store.
        name: Name of the field.

    Returns:
        The layout.
    """
    field = spec.fields[name]
    chunk: tuple[int, ...] = (1, *_item_chunk(field))
    if field.nbytes <= SMALL_BYTES:
        chunk = (spec.shard_items, *field.shape)
    shard = tuple(
        -(-size // part) * part
        for size, part in zip((spec.shard_items, *field.shape), chunk, strict=True)
    )
    axes = [f'{name}_{i}' for i in range(len(field.shape))]
    if field.band_axis is not None:
        axes[field.band_axis] = f'{name}_band'
    return ArrayLayout(
        name,
        (spec.items, *field.shape),
        field.dtype,
        shard,
        chunk,
        ('item', *axes),
        spec.compression,
    )


def _item_chunk(field: FieldSpec) -> tuple[int, ...]:
    """Cut an item along its bands."""
    axis = field.band_axis
    if axis is None or field.nbytes <= CHUNK_BYTES:
        return field.shape
    band = math.prod(field.shape[axis + 1 :]) * np.dtype(field.dtype).itemsize
    bands = group_size(field.shape[axis], CHUNK_BYTES // band)
    return (*(1 for _ in range(axis)), bands, *field.shape[axis + 1 :])


def group_size(count: int, target: int) -> int:
    """Cut an axis into equal groups, the last of which may be filled up.

    Args:
        count: Length of the axis.
        target: About how long a group should be.

    Returns:
        The length that leaves the least to fill up, within a quarter of the target.
    """
    if target >= count:
        return count
    target = max(target, 1)
    sizes = range(max(1, target - target // 4), min(count, target + target // 4) + 1)
    return min(sizes, key=lambda size: (-count % size, -size))


def _codec(name: str, configuration: dict[str, Any] | None = None) -> dict[str, Any]:
    codec: dict[str, Any] = {'name': name}
    if configuration:
        codec['configuration'] = configuration
    return codec


def pack_index(places: list[tuple[int, int]]) -> bytes:
    """Write the index of a shard.

    Args:
        places: Offset and size of each chunk in the file; ``(EMPTY, EMPTY)`` for one
            that is not stored.

    Returns:
        The index with its checksum.
    """
    index = np.array(places, '<u8').tobytes()
    return index + struct.pack('<I', crc32c(index))


def unpack_index(content: bytes, layout: ArrayLayout, name: str) -> NDArray[np.uint64]:
    """Read the index of a shard.

    Args:
        content: First bytes of the file.
        layout: Layout of the array.
        name: The file, for messages.

    Returns:
        Offset and size of each chunk, shape ``(chunks, 2)``.

    Raises:
        CorruptFileError: If the index is cut or damaged.
    """
    whole = len(content) == layout.index_bytes
    if not whole or struct.pack('<I', crc32c(content[:-4])) != content[-4:]:
        raise CorruptFileError(
            f'The index of {name} is damaged. Run "torchgeo-hsi convert" with --verify '
            'to repair the store, or copy it again.'
        )
    return np.frombuffer(content[:-4], '<u8').reshape(-1, 2)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            # the polynomial of Castagnoli, bits reversed
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _table()


def crc32c(content: bytes) -> int:
    """Return the checksum that Zarr puts behind indexes.

    Args:
        content: Some bytes, a few thousand at most: this is not fast.

    Returns:
        CRC-32C of RFC 3720.
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
