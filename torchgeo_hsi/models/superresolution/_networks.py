# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks of super-resolution inside of methods for any number of bands."""

from inspect import signature
from typing import Any

from ..._typing import PathLike
from ...errors import UnknownNameError
from ..api import get_builder, list_models
from .base import SuperResolver


def build_network(
    network: str | SuperResolver,
    weights: PathLike | None,
    width: int | None,
    **words: Any,
) -> SuperResolver:
    """Build a network that works inside of a method.

    Args:
        network: Its name, or the network itself.
        weights: Its weights; random ones by default.
        width: Its channels, whatever it calls them; its own default by default.
        **words: More of its arguments, of which it gets those that it knows.

    Returns:
        The network.

    Raises:
        UnknownNameError: If there is no such network.
        ValueError: If *weights* are given for something that has none.
    """
    if isinstance(network, SuperResolver):
        if weights is not None:
            raise ValueError(
                'Expected weights only with the name of a network, got a module. Load '
                'them into it before.'
            )
        return network
    names = [name for name in list_models() if _is_superresolver(name)]
    if network not in names:
        raise UnknownNameError('network', network, names)
    builder = get_builder(network)
    known = signature(builder).parameters
    if weights is not None and 'weights' not in known:
        raise ValueError(f'{network} has no weights; leave them out.')
    words |= {'dim': width, 'n_feats': width, 'weights': weights}
    given = {
        key: value for key, value in words.items() if key in known and value is not None
    }
    built = builder(**given)
    assert isinstance(built, SuperResolver)
    return built


def check_local(network: SuperResolver) -> None:
    """Refuse a network that would have to see the whole scene, which nobody shows it.

    Args:
        network: What is to work inside of a method.

    Raises:
        ValueError: If it looks at the whole scene.
    """
    if network.needs_scene:
        raise ValueError(
            f'{type(network).__name__} looks at whole scenes, and cannot be the network '
            'inside of another method. Use it by itself.'
        )


def _is_superresolver(name: str) -> bool:
    builder = get_builder(name)
    built = getattr(builder, '__annotations__', {}).get('return', builder)
    is_one = isinstance(built, type) and issubclass(built, SuperResolver)
    # a method around a network is no network
    return is_one and 'network' not in signature(builder).parameters
