# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methods of ``restore``: which there are, and whether they can work."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import click

from ..errors import HSIError, UnknownNameError
from ._arguments import argument_kinds, convert_pairs

#: What a model of this package is for, as ``torchgeo-hsi models`` says it.
Kind = Literal['denoiser', 'pansharpener', 'superresolver']

#: Methods of ``restore denoise``, ``pansharpen`` and ``superresolve`` by default.
METHODS: dict[Kind, str] = {
    'denoiser': 'pretrained_subspace',
    'pansharpener': 'mtf_glp_fs',
    'superresolver': 'pretrained_superresolution',
}

#: Arguments that name the network inside of a method.
_INSIDE = ('denoiser', 'network')


def check_device(name: str | None) -> str:
    """Check that a device can be used, before anything is read.

    Args:
        name: Name of the device; a GPU by default, if there is any.

    Returns:
        The name.

    Raises:
        click.BadParameter: If it does not exist, or holds no numbers.
    """
    import torch

    if name is None:
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        # the meta device has room for everything, but remembers no number
        torch.zeros(1, device=name).item()
    except Exception as error:  # each kind of device has errors of its own
        # some go on for pages
        reason = re.split(r'\.\s|\n', str(error).strip())[0] or type(error).__name__
        raise click.BadParameter(
            f'{name} cannot be used: {reason.rstrip(".")}. Choose cpu, or cuda where '
            'there is a GPU.',
            param_hint='--device',
        ) from error
    return name


def build_method(
    method: str,
    pairs: Mapping[str, str],
    weights: str | None,
    kind: Kind = 'denoiser',
    optional: Mapping[str, str] | None = None,
) -> Any:
    """Build a denoiser, or a method of pansharpening or super-resolution.

    Args:
        method: Its name.
        pairs: Its arguments as the user wrote them.
        weights: Its weights, or None.
        kind: What it has to be.
        optional: More arguments, which it gets if it knows them.

    Returns:
        The module.

    Raises:
        UnknownNameError: If nothing has this name.
        click.UsageError: If it is of another kind, takes other arguments, or has random
            weights, or those for other images.
    """
    from ..plugins import get_plugin_manager

    # methods of plugins, too
    registry = get_plugin_manager().registry('models')
    if method not in registry:
        raise UnknownNameError(kind, method, _names(kind))
    builder = registry.get(method)
    if kind_of(builder) not in (kind, None):
        raise _other_kind(method, kind)
    given = dict(pairs) if weights is None else {**pairs, 'weights': weights}
    parameters = inspect.signature(builder).parameters
    is_open = any(word.kind is word.VAR_KEYWORD for word in parameters.values())
    unknown = [word for word in given if word not in parameters and not is_open]
    if unknown:
        raise click.UsageError(
            f'{method} has no argument {", ".join(unknown)}. It knows: '
            f'{", ".join(parameters) or "none"}.'
        )
    _check_kind(method, given)
    given |= {k: v for k, v in (optional or {}).items() if k in parameters or is_open}
    arguments = convert_pairs(given, argument_kinds(builder), '--set')
    model = _call(method, builder, arguments)
    if not isinstance(model, _base(kind)):
        # of a plugin that does not say what it brings
        raise _other_kind(method, kind)
    option = parameters.get('weights')
    may_have_weights = option is not None and option.default is None
    if may_have_weights and arguments.get('weights') is None:
        inside = next((w for w in _INSIDE if w in parameters), None)
        network = inside and arguments.get(inside, parameters[inside].default)
        _check_trained(method, model, network, kind)
    return model


def _base(kind: Kind) -> type:
    """Return what all methods of a kind are."""
    from torch import nn

    from ..models import Pansharpener, SuperResolver

    bases: dict[Kind, type] = {
        'denoiser': nn.Module,
        'pansharpener': Pansharpener,
        'superresolver': SuperResolver,
    }
    return bases[kind]


def _other_kind(method: str, kind: Kind) -> click.BadParameter:
    return click.BadParameter(
        f'{method} is no {kind}. Choose one of {", ".join(_names(kind))}.',
        param_hint='--method',
    )


def _names(kind: Kind) -> list[str]:
    """Return the methods of a kind, and those of plugins that do not say theirs."""
    from ..plugins import get_plugin_manager

    registry = get_plugin_manager().registry('models')
    return [name for name in registry if kind_of(registry.get(name)) in (kind, None)]


def kind_of(builder: Callable[..., Any]) -> str | None:
    """Tell what a function builds.

    Args:
        builder: Function that builds a model.

    Returns:
        ``'denoiser'``, ``'pansharpener'``, ``'superresolver'``, ``'pixel classifier'``,
        ``'neural operator'``, ``'other'``, or None for what plugins bring without saying
        it; what gives another shape is refused later.
    """
    from ..layers import SceneModel
    from ..models import (
        FourierNeuralOperator,
        Pansharpener,
        PixelClassifier,
        SpectralOperator,
        SuperResolver,
    )

    built = getattr(builder, '__annotations__', {}).get('return', builder)
    kinds = (
        (PixelClassifier, 'pixel classifier'),
        (SpectralOperator, 'neural operator'),
        (FourierNeuralOperator, 'neural operator'),
        (Pansharpener, 'pansharpener'),
        # which is a SceneModel, too
        (SuperResolver, 'superresolver'),
        (SceneModel, 'denoiser'),
    )
    for base, kind in kinds:
        if isinstance(built, type) and issubclass(built, base):
            return kind
    own = str(getattr(builder, '__module__', '')).startswith('torchgeo_hsi.')
    return 'other' if own else None


def _call(
    method: str, builder: Callable[..., Any], arguments: Mapping[str, Any]
) -> Any:
    try:
        return builder(**arguments)
    except HSIError:
        raise
    except ImportError as error:
        # of a package that has to be installed for this method
        raise click.ClickException(str(error)) from error
    except (TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or ['it fails'])[0]
        raise click.UsageError(f'{method} cannot be built: {reason}') from error


def _check_kind(method: str, given: Mapping[str, str]) -> None:
    """Refuse weights for parts of images where a network would get all bands."""
    from ..models.weights.restoration import find_purpose

    name = given.get('weights', '')
    purpose = find_purpose(method, name)
    if purpose is None:
        return
    word, value = purpose.option
    option = f'--scale {value}' if word == 'scale' else f'--set {word}={value}'
    raise click.UsageError(
        f'The weights {name} of {method} are for {purpose.images}, not for all bands. '
        f'Pass --method {purpose.method} {option}, which has them, or --weights with a '
        f'checkpoint of {method} that was trained on bands.'
    )


def _check_trained(method: str, model: Any, network: Any, kind: Kind) -> None:
    """Refuse a network that has learned nothing."""
    from ..models import list_weights

    # what learns from the scene itself may begin with random weights
    if next(model.parameters(), None) is None or getattr(model, 'adapt', False):
        return
    names = list_weights(network) if isinstance(network, str) else []
    ship = f' or {", ".join(names)}' if names else ''
    raise click.UsageError(
        f'{method} has random weights unless it is given some, and would spoil the '
        f'scene. Pass --weights with a checkpoint{ship}, or leave --method out: '
        f'{METHODS[kind]} {"has its own" if _has_weights(kind) else "needs none"}.'
    )


def _has_weights(kind: Kind) -> bool:
    """Whether the method that is taken by default is a network."""
    return METHODS[kind].startswith('pretrained')
