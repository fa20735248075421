# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methods of ``restore``: which there are, and whether they can work."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import click

from ..errors import HSIError
from ._arguments import argument_kinds, convert_pairs

#: What a model of this package is for, as ``torchgeo-hsi models`` says it.
Kind = Literal['denoiser', 'pansharpener', 'superresolver']

#: Methods of ``restore denoise``, ``pansharpen`` and ``superresolve`` by default.
METHODS: dict[Kind, str] = {
    'denoiser': 'pretrained_subspace',
    'pansharpener': 'mtf_glp_fs',
    'superresolver': 'bicubic',
}


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
    method: str, pairs: Mapping[str, str], weights: str | None, kind: Kind = 'denoiser'
) -> Any:
    """Build a denoiser or a method of pansharpening.

    Args:
        method: Its name.
        pairs: Its arguments as the user wrote them.
        weights: Its weights, or None.
        kind: What it has to be.

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
    builder = registry.get(method)
    if kind_of(builder) not in (kind, None):
        known = [name for name in registry if kind_of(registry.get(name)) == kind]
        raise click.BadParameter(
            f'{method} is no {kind}. Choose one of {", ".join(known)}.',
            param_hint='--method',
        )
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
    arguments = convert_pairs(given, argument_kinds(builder), '--model')
    model = _call(method, builder, arguments)
    option = parameters.get('weights')
    may_have_weights = option is not None and option.default is None
    if may_have_weights and arguments.get('weights') is None:
        _check_trained(method, model, arguments, kind)
    return model


def kind_of(builder: Callable[..., Any]) -> str | None:
    """Tell what a function builds.

    Args:
        builder: Function that builds a model.

    Returns:
        ``'denoiser'``, ``'pansharpener'``, ``'superresolver'``, ``'other'``, or None for
        what plugins bring without saying it; what gives another shape is refused later.
    """
    from ..layers import SceneModel
    from ..models import Pansharpener, SuperResolver

    built = getattr(builder, '__annotations__', {}).get('return', builder)
    kinds = (
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
    """Refuse weights for eigen-images where a network would get bands."""
    from ..models import list_weights
    from ..models.restoration_weights import EIGEN_WEIGHTS

    if given.get('weights') == EIGEN_WEIGHTS and EIGEN_WEIGHTS in list_weights(method):
        raise click.UsageError(
            f'The weights {EIGEN_WEIGHTS} of {method} are for the images of a subspace, '
            f'not for bands. Pass --method {METHODS["denoiser"]} --model network={method}, which '
            f'has them, or --weights with a checkpoint of {method} that was trained on '
            'bands.'
        )


def _check_trained(
    method: str, model: Any, arguments: Mapping[str, Any], kind: Kind
) -> None:
    """Refuse a network that has learned nothing."""
    from ..models import list_weights

    # what learns from the scene itself may begin with random weights
    if next(model.parameters(), None) is None or getattr(model, 'adapt', False):
        return
    network = arguments.get('denoiser')
    names = list_weights(network) if isinstance(network, str) else []
    ship = f' or {", ".join(names)}' if names else ''
    raise click.UsageError(
        f'{method} has random weights unless it is given some, and would spoil the '
        f'scene. Pass --weights with a checkpoint{ship}, or leave --method out: '
        f'{METHODS[kind]} {"has its own" if kind == "denoiser" else "needs none"}.'
    )
