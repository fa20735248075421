# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a store holds, and how it is cut and compressed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .field import FieldSpec

#: Kinds of compression, with the level of each.
COMPRESSIONS = {'lz4hc': 5, 'lz4': 9, 'zstd': 3}


@dataclass(frozen=True)
class StoreSpec:
    """What a store holds: its fields, its number of items, and how they are cut.

    Item ``i`` is in shard ``i // shard_items``; the last shard may hold fewer.

    Args:
        fields: Arrays of every item, by name. Names are letters, digits, ``_`` and
            ``-``.
        items: Number of items.
        shard_items: Items in one shard, which is one file per field. Some tens of
            megabytes suit disks and object storage alike.
        attributes: Anything that JSON can hold about the store as a whole: classes,
            wavelengths, the dataset that it was made from.
        compression: ``'lz4hc'`` is the fastest to read; ``'lz4'`` takes a tenth of the
            time to write, ``'zstd'`` is the smallest, and both are slower to read.

    Raises:
        ValueError: If a number is not positive, a name cannot be that of a folder, the
            compression is unknown, or the attributes are not JSON.

    Example:
        >>> spec = StoreSpec({'image': FieldSpec((202, 128, 128), 'int16', 0)}, 1000, 16)
        >>> spec.shards, spec.shard_range(62)
        (63, range(992, 1000))
    """

    fields: Mapping[str, FieldSpec]
    items: int
    shard_items: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    compression: str = 'lz4hc'

    def __post_init__(self) -> None:
        """Check the values."""
        numbers = (self.items, self.shard_items)
        if not all(isinstance(number, int) for number in numbers) or min(numbers) < 1:
            raise ValueError(
                'Expected at least one item and one item a shard, got '
                f'{self.items} and {self.shard_items}.'
            )
        if not self.fields:
            raise ValueError('Expected at least one field, got none.')
        for name in self.fields:
            plain = name.replace('_', '').replace('-', '')
            if not (plain.isascii() and plain.isalnum()) or name.startswith('__'):
                raise ValueError(
                    f'Expected a name of letters, digits, _ and -, got {name!r}.'
                )
        if self.compression not in COMPRESSIONS:
            raise ValueError(
                f'Expected a compression of {", ".join(COMPRESSIONS)}, got '
                f'{self.compression!r}.'
            )
        try:
            attributes = json.loads(json.dumps(dict(self.attributes), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'Expected attributes that JSON can hold: {error}.'
            ) from error
        object.__setattr__(self, 'fields', dict(self.fields))
        object.__setattr__(self, 'attributes', attributes)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.items // self.shard_items)

    def shard_range(self, shard: int) -> range:
        """Return the items of a shard.

        Args:
            shard: Number of the shard, from 0.

        Returns:
            Indexes of its items.

        Raises:
            IndexError: If there is no such shard.
        """
        if not 0 <= shard < self.shards:
            raise IndexError(f'Expected a shard from 0 to {self.shards - 1}: {shard}.')
        start = shard * self.shard_items
        return range(start, min(start + self.shard_items, self.items))

    def to_json(self) -> dict[str, Any]:
        """Return the specification as a dictionary that JSON can hold."""
        return {
            'fields': {
                name: {
                    'shape': list(spec.shape),
                    'dtype': spec.dtype,
                    'band_axis': spec.band_axis,
                }
                for name, spec in self.fields.items()
            },
            'items': self.items,
            'shard_items': self.shard_items,
            'attributes': dict(self.attributes),
            'compression': self.compression,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Build a specification from what :meth:`to_json` returned.

        Args:
            content: The dictionary.

        Returns:
            The specification.
        """
        fields = {
            name: FieldSpec(tuple(spec['shape']), spec['dtype'], spec['band_axis'])
            for name, spec in content['fields'].items()
        }
        return cls(
            fields,
            content['items'],
            content['shard_items'],
            content['attributes'],
            content['compression'],
        )
