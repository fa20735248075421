# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi models``: which models there are, and how large."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..plugins import get_plugin_manager
from ._complete import complete_models
from ._methods import kind_of
from ._options import json_option
from ._output import echo_json, echo_table
from ._verb import Verb

if TYPE_CHECKING:
    from torch import nn

#: Methods of tensors by which weights are drawn.
_DRAWS = frozenset(
    ('normal_', 'uniform_', 'clamp_', 'erfinv_', 'mul_', 'add_', 'fill_', 'zero_')
)

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
    from ..models import SuperResolver

    if isinstance(model, SuperResolver):
        # some have a word for the bands of a network inside
        return model.in_channels
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


def _kind(name: str, builder: Callable[..., Any]) -> str | None:
    """Tell what a model is for, as far as it is known.

    Args:
        name: Its name.
        builder: Function that builds it.

    Returns:
        ``'denoiser'`` for what ``restore denoise`` takes, ``'pansharpener'`` for what
        ``restore pansharpen`` takes, ``'superresolver'`` for ``restore superresolve``,
        ``'pixel classifier'`` for ``classify``, ``'neural operator'`` for what solves
        equations, ``'backbone'`` for what timm builds, None for others, and for those
        of plugins that do not say it.
    """
    import timm

    if timm.is_model(name):
        return 'backbone'
    kind = kind_of(builder)
    return None if kind == 'other' else kind


def count_parameters(model: 'nn.Module') -> int:
    """Count the parameters of a model; complex ones are two numbers each."""
    return sum(p.numel() * (1 + p.is_complex()) for p in model.parameters())


@contextmanager
def no_numbers() -> Iterator[None]:
    """Draw no weights, where there is no memory for them anyway.

    Without memory, torch goes through each draw in Python, which takes most of the time
    that a large network needs to be built.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Blank(TorchFunctionMode):
        """Leave tensors as they are."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            words = kwargs or {}
            tensor = args[0] if args else words.get('tensor')
            draws = (
                getattr(func, '__name__', '') in _DRAWS
                or getattr(func, '__module__', '') == 'torch.nn.init'
            )
            if draws and isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
            return func(*args, **words)

    with Blank():
        yield


def describe(name: str, builder: Callable[..., Any]) -> dict[str, Any]:
    """Describe a model without allocating its weights.

    Args:
        name: Name of the model.
        builder: Function that builds it.

    Returns:
        Name, kind, number of parameters and number of input bands. Without arguments
        that it needs, or a package, a model is not built, and nothing else is known. A
        model without a number of bands takes any.
    """
    import torch

    row: dict[str, Any] = {
        'name': name,
        'kind': _kind(name, builder),
        'parameters': None,
        'bands': None,
    }
    if not _needs_arguments(builder):
        # numbers of a file have no place in a model without memory
        known = inspect.signature(builder).parameters
        blank = {'weights': None} if 'weights' in known else {}
        try:
            with torch.device('meta'), no_numbers():
                model = builder(**blank)
        except (ImportError, NotImplementedError):
            # a package that is not installed, which building the model names, or one
            # that cannot build this network without memory
            return row
        row['parameters'] = count_parameters(model)
        row['bands'] = _input_bands(builder, model)
    return row


@click.command(
    cls=Verb,
    short_help='List models with their kind, parameters and input bands.',
    examples=('torchgeo-hsi models', "torchgeo-hsi models 'spec_vit_*' --json"),
)
@click.argument('pattern', default='*', shell_complete=complete_models())
@json_option
def models(pattern: str, as_json: bool) -> None:
    """List models with what they are for, their parameters and input bands.

    PATTERN is a shell-style wildcard, e.g. 'spec_vit_*'; put it in quotes. The kind says
    which verb takes a model: a denoiser is a --method of "restore denoise", and so on.
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
        table = [_cells(row) for row in rows]
        echo_table(('model', 'kind', 'parameters', 'bands'), table)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name, kind = row['name'], row['kind'] or '-'
    if row['parameters'] is None:
        return name, kind, '?', '?'
    bands = 'any' if row['bands'] is None else f'{row["bands"]:,}'
    if kind == 'neural operator':
        # fields of an equation, and no bands
        bands = '-'
    return name, kind, f'{row["parameters"]:,}', bands


COMMANDS = (models,)
