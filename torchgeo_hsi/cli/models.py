# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi models``: which models there are, and how large."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..plugins import get_plugin_manager
from ._output import echo_json, echo_table, json_option

if TYPE_CHECKING:
    from torch import nn

#: What models call the number of their input bands.
_BANDS = ('in_chans', 'in_channels', 'num_bands')


def _needs_arguments(builder: Callable[..., Any]) -> bool:
    """Whether a model cannot be built by its name alone."""
    return any(
        parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(builder).parameters.values()
    )


def _input_bands(builder: Callable[..., Any], model: 'nn.Module') -> int | None:
    """Find out how many bands a model takes when it is built by its name alone."""
    defaults = inspect.signature(builder).parameters
    for name in _BANDS:
        value = getattr(model, name, None)
        if value is None and name in defaults:
            value = defaults[name].default
        if isinstance(value, int):
            return value
    # where timm keeps it
    size = (getattr(model, 'pretrained_cfg', None) or {}).get('input_size')
    return int(size[0]) if size else None


def describe(name: str, builder: Callable[..., Any]) -> dict[str, Any]:
    """Describe a model without allocating its weights.

    Args:
        name: Name of the model.
        builder: Function that builds it.

    Returns:
        Name, number of parameters and number of input bands; None where the model
        cannot be built without arguments.
    """
    import torch

    row: dict[str, Any] = {'name': name, 'parameters': None, 'bands': None}
    if not _needs_arguments(builder):
        with torch.device('meta'):
            model = builder()
        row['parameters'] = sum(p.numel() for p in model.parameters())
        row['bands'] = _input_bands(builder, model)
    return row


@click.command
@click.argument('pattern', default='*')
@json_option
def models(pattern: str, as_json: bool) -> None:
    """List models with their parameters and input bands.

    PATTERN is a shell-style wildcard, e.g. 'spec_vit_*'; put it in quotes.
    """
    registry = get_plugin_manager().registry('models')
    names = registry.list(pattern)
    if not names and not set(pattern) & set('*?['):
        # a name and no pattern: says which ones are close
        registry.get(pattern)
    rows = [describe(name, registry.get(name)) for name in names]
    if as_json:
        echo_json(rows)
    else:
        table = [
            (row['name'], _number(row['parameters']), _number(row['bands']))
            for row in rows
        ]
        echo_table(('model', 'parameters', 'bands'), table)


def _number(value: int | None) -> str:
    return '?' if value is None else f'{value:,}'


COMMANDS = (models,)
