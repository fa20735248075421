# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the item table, against plain lists of dictionaries."""

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.io.store import ItemTable

ITEMS: list[dict[str, Any] | None] = [
    {'name': 'ä', 'code': 1, 'transform': [1.0, 2.0], 'any': 1, 'there': True},
    None,
    {'name': 'b', 'code': 2**62, 'transform': [0.1, 3.0], 'any': 1.5, 'there': False},
    {'code': -3, 'transform': [1e300, -0.0], 'any': {'a': [1, None]}, 'there': True},
    {'name': 'b', 'code': 0, 'transform': [5.0, 6.0], 'any': [], 'there': True},
    None,
]


def table(items: Any = ITEMS) -> ItemTable:
    return ItemTable.from_items(items)


class TestItemTable:
    @pytest.mark.parametrize('again', [False, True])
    def test_is_the_list(self, again: bool) -> None:
        found = table()
        if again:
            found = ItemTable.from_bytes(found.to_bytes())
        assert list(found) == ITEMS
        assert len(found) == 6
        assert found[-2] == ITEMS[-2]
        assert found[1:4] == ITEMS[1:4]
        assert found.present.tolist() == [True, False, True, True, True, False]
        with pytest.raises(IndexError):
            found[6]

    def test_types_survive(self) -> None:
        first, third = table()[0], table()[2]
        assert first is not None
        assert third is not None
        assert [type(v) for v in first.values()] == [int, int, str, bool, list]
        assert type(third['any']) is float

    def test_columns(self) -> None:
        found = table()
        assert found.keys == ('any', 'code', 'name', 'there', 'transform')
        assert found.column('code') == [1, None, 2**62, -3, 0, None]
        assert found.column('name') == ['ä', None, 'b', None, 'b', None]
        assert found.column('nothing') == [None] * 6

    def test_items_belong_to_the_caller(self) -> None:
        found = table()
        changed = found[4]
        assert changed is not None
        changed['any'].append(1)
        assert found[4] == ITEMS[4]

    def test_numbers_of_numpy(self) -> None:
        found = table([{'a': np.int64(3), 'b': np.array([1.5, 2.5])}])
        assert found[0] == {'a': 3, 'b': [1.5, 2.5]}

    def test_not_a_number(self) -> None:
        found = ItemTable.from_bytes(table([{'a': math.nan}, {'a': 'x'}]).to_bytes())
        first = found[0]
        assert first is not None
        assert math.isnan(first['a'])

    def test_large_integers(self) -> None:
        assert list(table([{'a': 2**64}, {'a': 1}])) == [{'a': 2**64}, {'a': 1}]

    def test_unknown_types_are_refused(self) -> None:
        with pytest.raises(ValueError, match='texts, numbers'):
            table([{'a': object()}])


class TestConcatenate:
    @pytest.mark.parametrize('seed', range(5))
    def test_is_the_table_of_all(self, seed: int) -> None:
        draw = random.Random(seed)
        values: list[Any] = [1, 2, 0.5, 'x', [1, 2], [3, 4], [0.5, 1.0], [], None, True]
        kinds = [draw.sample(values, draw.choice([1, 1, 2, 4])) for _ in range(4)]
        items: list[Any] = [
            None
            if draw.random() < 0.4
            else {
                f'k{i}': draw.choice(kind)
                for i, kind in enumerate(kinds)
                if i < 2 or draw.random() < 0.8
            }
            for _ in range(30)
        ]
        cuts = [0, *sorted(draw.sample(range(1, 30), 6)), 30]
        parts = [table(items[a:b]) for a, b in itertools.pairwise(cuts)]
        joined = ItemTable.concatenate(parts)
        assert list(joined) == items
        assert joined.digest() == table(items).digest()

    def test_all_missing(self) -> None:
        joined = ItemTable.concatenate([table([None]), table([None, None])])
        assert list(joined) == [None] * 3


class TestBytes:
    def test_are_the_same_every_time(self) -> None:
        assert table().to_bytes() == table().to_bytes()

    def test_digest_sees_every_change(self) -> None:
        digests = {table().digest()}
        for i in (0, 2, 3):
            for key in ('code', 'transform', 'any', 'there'):
                changed: list[Any] = [dict(x) if x else None for x in ITEMS]
                changed[i][key] = [9.0, 9.0] if key == 'transform' else 9
                digests.add(table(changed).digest())
        assert len(digests) == 13

    def test_half_a_million_items_open_quickly(self) -> None:
        count = 500_000
        codes = (np.arange(count) % 9).astype(np.int32)
        small = table([{'name': str(i)} for i in range(9)])
        texts = small._columns['name'][1]
        large = ItemTable(np.ones(count, bool), {'name': (codes, texts)})
        again = ItemTable.from_bytes(large.to_bytes())
        assert again[count - 1] == {'name': str((count - 1) % 9)}
        assert len(large.to_bytes()) < 2e6
