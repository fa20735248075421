# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what a store is asked to hold."""

import json

import pytest

from torchgeo_hsi.io.store import FieldSpec, StoreSpec
from torchgeo_hsi.io.store._layout import crc32c, field_layout, group_size

IMAGE = FieldSpec((202, 128, 128), 'int16', 0)


class TestFieldSpec:
    def test_values(self) -> None:
        assert IMAGE.nbytes == 202 * 128 * 128 * 2
        assert FieldSpec((), '<i8').dtype == 'int64'
        assert FieldSpec((), 'float32').nbytes == 4

    @pytest.mark.parametrize(
        ('shape', 'dtype', 'axis', 'message'),
        [
            ((0, 3), 'int16', None, 'positive'),
            ((2, 3), 'complex64', None, 'data type'),
            ((2, 3), 'int16', 2, 'band axis'),
            ((), 'int16', 0, 'band axis'),
        ],
    )
    def test_bad(
        self, shape: tuple[int, ...], dtype: str, axis: int | None, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            FieldSpec(shape, dtype, axis)


class TestStoreSpec:
    def test_shards(self) -> None:
        spec = StoreSpec({'image': IMAGE}, 1000, 16)
        assert spec.shards == 63
        assert spec.shard_range(0) == range(16)
        assert spec.shard_range(62) == range(992, 1000)
        with pytest.raises(IndexError, match='0 to 62'):
            spec.shard_range(63)

    def test_json(self) -> None:
        spec = StoreSpec({'image': IMAGE}, 10, 4, {'a': (1, 2)}, 'lz4')
        again = StoreSpec.from_json(json.loads(json.dumps(spec.to_json())))
        assert again == spec

    @pytest.mark.parametrize(
        ('changes', 'message'),
        [
            ({'items': 0}, 'at least one'),
            ({'shard_items': 0}, 'at least one'),
            ({'fields': {}}, 'one field'),
            ({'fields': {'a/b': IMAGE}}, 'letters'),
            ({'fields': {'': IMAGE}}, 'letters'),
            ({'attributes': {'a': object()}}, 'JSON'),
            ({'attributes': {'a': float('nan')}}, 'JSON'),
            ({'compression': 'gzip'}, 'lz4hc'),
        ],
    )
    def test_bad(self, changes: dict[str, object], message: str) -> None:
        good = {'fields': {'image': IMAGE}, 'items': 4, 'shard_items': 2}
        with pytest.raises(ValueError, match=message):
            StoreSpec(**{**good, **changes})  # type: ignore[arg-type]


class TestLayout:
    def test_groups_of_bands(self) -> None:
        layout = field_layout(StoreSpec({'image': IMAGE}, 100, 8), 'image')
        # 12 groups of 17: the last has two bands of padding
        assert layout.chunk == (1, 17, 128, 128)
        assert layout.shard == (8, 204, 128, 128)
        assert layout.grid == (8, 12, 1, 1)
        assert layout.key((3, 0, 0, 0)) == 'image/c.3.0.0.0'

    def test_small_items_share_a_chunk(self) -> None:
        spec = StoreSpec({'label': FieldSpec((19,), 'int64')}, 100, 8)
        layout = field_layout(spec, 'label')
        assert layout.chunk == layout.shard == (8, 19)

    def test_axes_before_the_bands(self) -> None:
        pair = FieldSpec((2, 202, 128, 128), 'int16', 1)
        layout = field_layout(StoreSpec({'pair': pair}, 100, 8), 'pair')
        assert layout.chunk == (1, 1, 17, 128, 128)
        assert layout.shard == (8, 2, 204, 128, 128)

    @pytest.mark.parametrize('count', [1, 3, 37, 202, 224, 1000])
    @pytest.mark.parametrize('target', [0, 1, 5, 16, 500, 2000])
    def test_groups_waste_little(self, count: int, target: int) -> None:
        size = group_size(count, target)
        assert 1 <= size <= min(count, max(1.25 * target, 1))
        assert -count % size < count

    def test_checksum(self) -> None:
        # the check value of CRC-32C, and one of RFC 3720
        assert crc32c(b'123456789') == 0xE3069283
        assert crc32c(bytes(32)) == 0x8A9136AA
