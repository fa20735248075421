# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One registry for everything."""

import pytest

from torchgeo_hsi._registry import Registry
from torchgeo_hsi.errors import NameClashError, UnknownNameError


@pytest.fixture
def registry() -> Registry[object]:
    registry: Registry[object] = Registry('thing')
    registry.add('pear', 'P', owner='garden')
    registry.add('apple', 'A', owner='market')
    registry.add('apricot', 'C', owner='market')
    return registry


def test_get_and_owner(registry: Registry[object]) -> None:
    assert registry.get('pear') == 'P'
    assert registry.owner('pear') == 'garden'
    assert registry.owner('apple') == 'market'


def test_list_is_sorted_and_filtered(registry: Registry[object]) -> None:
    assert registry.list() == ['apple', 'apricot', 'pear']
    assert registry.list('ap*') == ['apple', 'apricot']
    assert registry.list('[!a]*') == ['pear']
    assert registry.list('x*') == []
    assert list(registry) == registry.list()


def test_pattern_is_case_sensitive(registry: Registry[object]) -> None:
    registry.add('Apple', 'B', owner='shop')
    assert registry.list('A*') == ['Apple']


def test_container(registry: Registry[object]) -> None:
    assert len(registry) == 3
    assert 'pear' in registry
    assert 'plum' not in registry
    assert 7 not in registry


def test_clash_names_both_owners(registry: Registry[object]) -> None:
    with pytest.raises(NameClashError, match="thing name 'pear'") as caught:
        registry.add('pear', 'other', owner='thief')
    assert "'garden'" in str(caught.value)
    assert "'thief'" in str(caught.value)
    assert registry.get('pear') == 'P'


def test_same_object_again_is_no_clash(registry: Registry[object]) -> None:
    thing = object()
    registry.add('thing', thing, owner='first')
    registry.add('thing', thing, owner='second')
    assert registry.owner('thing') == 'first'


def test_equal_objects_still_clash() -> None:
    registry: Registry[list[int]] = Registry('list')
    registry.add('one', [1], owner='a')
    with pytest.raises(NameClashError):
        registry.add('one', [1], owner='b')


@pytest.mark.parametrize('method', ['get', 'owner'])
def test_unknown_name(registry: Registry[object], method: str) -> None:
    with pytest.raises(UnknownNameError, match='Did you mean apple') as caught:
        getattr(registry, method)('aple')
    assert 'Known: apple, apricot, pear' in str(caught.value)
