# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methods of classification, each with the recipe that it is fitted by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from ..errors import UnknownNameError

#: Method that is fast, needs few labels and is hard to beat with them.
DEFAULT_METHOD = 'svm'


@dataclass(frozen=True)
class Recipe:
    """How a method is fitted.

    Args:
        model: Name of the model, or ``'graph'``.
        window: Rows and columns around a pixel that it looks at.
        kwargs: More arguments of the model.
        steps: Training steps; 0 for what is fitted at once.
        batch_size: Windows of a step.
        lr: Largest learning rate.
        weight_decay: Weight decay.
        label_smoothing: Share of the target that goes to the other classes.
        labels_per_class: Labelled pixels of a class that are taken at most, drawn at
            random; 0 for all. Keeps the time within bounds where a scene is labelled
            everywhere.
    """

    model: str
    window: int = 9
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    labels_per_class: int = 0


#: Recipe of each method. Networks get as many steps as a CPU does in a minute or a few.
METHODS: Mapping[str, Recipe] = MappingProxyType(
    {
        'graph': Recipe(
            'graph',
            5,
            {'hidden_dim': 128, 'output_dim': 64, 'sample_nodes': 1024},
            steps=100,
            weight_decay=1e-5,
        ),
        'hybridsn': Recipe('hybridsn', 9, {'components': 15}, steps=400),
        'lola_specvit': Recipe(
            'lola_specvit_tiny',
            9,
            {'components': 15},
            steps=200,
            weight_decay=5e-2,
            label_smoothing=0.1,
        ),
        'random_forest': Recipe(
            'random_forest', 5, {'spatial': 'mean'}, labels_per_class=500
        ),
        'spectral_cnn': Recipe('spectral_cnn', 1, steps=600),
        'spectralformer': Recipe(
            'spectralformer', 3, {'group': 7, 'stride': 4}, steps=300
        ),
        'svm': Recipe('svm', 5, {'spatial': 'mean'}, labels_per_class=300),
        'window_classifier': Recipe(
            'window_classifier', 9, {'backbone': 'spec_resnet18'}, 150, batch_size=32
        ),
    }
)

#: Options that change the recipe; all others are arguments of the model.
RECIPE_OPTIONS = tuple(
    item.name for item in fields(Recipe) if item.name not in ('model', 'kwargs')
)


def find_recipe(
    method: str, window: int | None = None, options: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe of a method, with changes.

    Args:
        method: Name of the method.
        window: Rows and columns around a pixel, instead of those of the recipe.
        options: ``steps``, ``batch_size``, ``lr``, ``weight_decay``,
            ``label_smoothing`` or ``labels_per_class`` of the recipe; anything else is
            an argument of the model.

    Returns:
        The recipe.

    Raises:
        UnknownNameError: If there is no such method.
        ValueError: If the window is even, or a number is out of range.

    Example:
        >>> find_recipe('hybridsn', window=9, options={'steps': 50, 'drop_rate': 0.2})
        ... # doctest: +ELLIPSIS
        Recipe(model='hybridsn', window=9, kwargs={'components': 15, 'drop_rate': 0.2}...
    """
    if method not in METHODS:
        raise UnknownNameError('method', method, METHODS)
    recipe = METHODS[method]
    given = dict(options or {})
    if 'window' in given and window is not None:
        raise ValueError('Pass window= once, and not in the options as well.')
    changes = {key: given.pop(key) for key in RECIPE_OPTIONS if key in given}
    if window is not None:
        changes['window'] = window
    recipe = replace(recipe, **changes, kwargs={**recipe.kwargs, **given})
    if recipe.window < 1 or recipe.window % 2 == 0:
        raise ValueError(
            'Expected an odd window, with the pixel in its middle, got '
            f'window={recipe.window}.'
        )
    if recipe.steps < 0 or recipe.labels_per_class < 0 or recipe.batch_size < 1:
        raise ValueError(
            'Expected steps and labels_per_class of 0 or more and a positive batch_size, '
            f'got {recipe.steps}, {recipe.labels_per_class} and {recipe.batch_size}.'
        )
    if METHODS[method].steps and not recipe.steps:
        raise ValueError(f'{method} learns step by step: expected steps=1 or more.')
    return recipe


def adapt_recipe(method: str, recipe: Recipe, bands: int) -> Recipe:
    """Take fewer principal components where a scene has few bands.

    Args:
        method: Name of the method.
        recipe: Its recipe; components that a user has chosen stay as they are.
        bands: Number of bands.

    Returns:
        The recipe for so many bands.
    """
    usual = METHODS[method].kwargs.get('components') if method in METHODS else None
    if usual is None or recipe.kwargs.get('components') != usual or usual <= bands:
        return recipe
    return replace(recipe, kwargs={**recipe.kwargs, 'components': bands})


def model_builder(method: str) -> Callable[..., Any]:
    """Return what builds the model of a method.

    Args:
        method: Name of the method.

    Returns:
        The builder, whose arguments are the options of the method.

    Raises:
        UnknownNameError: If there is no such method.
    """
    recipe = find_recipe(method)
    if recipe.model == 'graph':
        from ._graph_method import graph_options

        return graph_options
    from ..models import get_builder

    return get_builder(recipe.model)
