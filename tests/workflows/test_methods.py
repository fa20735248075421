# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of recipes."""

import pytest

from torchgeo_hsi.cli import _classify
from torchgeo_hsi.errors import UnknownNameError
from torchgeo_hsi.models import get_builder
from torchgeo_hsi.workflows import DEFAULT_METHOD, METHODS, find_recipe
from torchgeo_hsi.workflows.methods import model_builder


def test_options_go_where_they_belong() -> None:
    recipe = find_recipe('hybridsn', 9, {'steps': 7, 'maps': 32, 'lr': 0.1})
    assert (recipe.window, recipe.steps, recipe.lr) == (9, 7, 0.1)
    assert recipe.kwargs == {'components': 15, 'maps': 32}
    # the recipe itself stays as it was
    assert find_recipe('hybridsn') == METHODS['hybridsn']


def test_command_line_knows_the_same_methods() -> None:
    assert set(_classify.METHODS) == set(METHODS)
    assert _classify.METHODS[0] == DEFAULT_METHOD


@pytest.mark.parametrize('method', sorted(METHODS))
def test_models_know_their_arguments(method: str) -> None:
    import inspect

    recipe = METHODS[method]
    known = inspect.signature(model_builder(method)).parameters
    assert set(recipe.kwargs) <= set(known)
    if recipe.model != 'graph':
        assert get_builder(recipe.model) is model_builder(method)
        assert {'in_channels', 'num_classes', 'window'} <= set(known)


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ({'window': 4}, 'odd window'),
        ({'window': -1}, 'odd window'),
        ({'window': 5, 'options': {'window': 7}}, 'once'),
        ({'options': {'batch_size': 0}}, 'positive batch_size'),
        ({'options': {'steps': -1}}, 'steps'),
        ({'method': 'hybridsn', 'options': {'steps': 0}}, 'step by step'),
    ],
)
def test_what_cannot_be(words: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        find_recipe(**{'method': 'svm', **words})


def test_unknown_method() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean random_forest'):
        find_recipe('randomforest')
