# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options that all verbs of ``restore`` share."""

from collections.abc import Callable
from typing import Any

import click

from ._methods import METHODS, Kind
from ._output import json_option

#: What a decorator of click does.
type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: What a number is for the method.
scaling_option = click.option(
    '--scaling',
    default='percentile',
    show_default=True,
    help='What is 0 and 1 for the method: min_max, percentile, reflectance, or a number '
    'that becomes 1.',
)


def tiling_options(
    tile: int, overlap: int, least: int, unit: str
) -> tuple[Decorator, Decorator]:
    """Return the options of tiles that overlap.

    Args:
        tile: Rows and columns of a tile by default.
        overlap: Rows and columns that tiles share by default.
        least: Fewest rows and columns of a tile.
        unit: What the numbers are, for the help.

    Returns:
        Decorators of a verb, which gets *tile* and *overlap*.
    """
    return (
        click.option(
            '--tile',
            type=click.IntRange(min=least),
            default=tile,
            show_default=True,
            help=f'Rows and columns of a tile, {unit}.',
        ),
        click.option(
            '--overlap',
            type=click.IntRange(min=0),
            default=overlap,
            show_default=True,
            help=f'Rows and columns that tiles share, {unit}.',
        ),
    )


def restoring(
    kind: Kind, example: str, *own: Decorator, source: str = 'IN'
) -> Decorator:
    """Give a verb the options of all verbs of ``restore``.

    Args:
        kind: What its methods are.
        example: Arguments of a method, for the help.
        *own: Options that only this verb has.
        source: What the verb calls the scene.

    Returns:
        Decorator of the function, which gets *method*, *weights*, *arguments*,
        *device*, *compress*, *opening*, *overwrite* and *as_json*.
    """
    options: list[Decorator] = [
        click.option(
            '--method',
            default=METHODS[kind],
            show_default=True,
            metavar='NAME',
            help=f'A {kind} of "torchgeo-hsi models"; another name lists them.',
        ),
        click.option('--weights', metavar='NAME|FILE', help='Weights of a network.'),
        click.option(
            '--model',
            'arguments',
            multiple=True,
            metavar='KEY=VALUE',
            help=f'More arguments of the method, e.g. {example}.',
        ),
        *own,
        click.option(
            '--device', help='cpu, cuda, cuda:1 ...; a GPU by default, if any.'
        ),
        click.option(
            '--compress', default='deflate', show_default=True, help='Compression.'
        ),
        click.option(
            '--open',
            'opening',
            multiple=True,
            metavar='KEY=VALUE',
            help=f'Options to read {source}, e.g. key=data for a .mat file.',
        ),
        click.option('--overwrite', is_flag=True, help='Replace OUT.'),
        json_option,
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def method_name(method: str, weights: str | None) -> str:
    """Return what the output says about the method.

    Args:
        method: Its name.
        weights: Its weights, or None.

    Returns:
        Both.
    """
    return method if weights is None else f'{method} ({weights})'
