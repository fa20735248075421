# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Models by name."""

from collections.abc import Callable
from typing import Any, overload

from torch import nn

from .._registry import Registry

_MODELS: Registry[Callable[..., nn.Module]] = Registry('model')


@overload
def register_model[**P, M: nn.Module](
    builder: Callable[P, M], *, name: str | None = ..., owner: str | None = ...
) -> Callable[P, M]: ...


@overload
def register_model[**P, M: nn.Module](
    builder: None = ..., *, name: str | None = ..., owner: str | None = ...
) -> Callable[[Callable[P, M]], Callable[P, M]]: ...


def register_model(
    builder: Callable[..., nn.Module] | None = None,
    *,
    name: str | None = None,
    owner: str | None = None,
) -> Callable[..., Any]:
    """Register a function that builds a model, so that :func:`get_model` finds it.

    Use it as a decorator, with or without arguments, or call it.

    Args:
        builder: Function that returns the model.
        name: Name of the model; the name of the function by default.
        owner: Who registers it, for error messages; the module of the function by
            default.

    Returns:
        *builder*, unchanged.

    Raises:
        NameClashError: If another function has this name.

    Example:
        >>> @register_model
        ... def one_layer(in_chans: int) -> nn.Module:
        ...     return nn.Conv2d(in_chans, 1, 1)
        >>> get_model('one_layer', in_chans=202)
        Conv2d(202, 1, kernel_size=(1, 1), stride=(1, 1))
    """

    def add(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        own = getattr(builder, '__name__', type(builder).__name__)
        _MODELS.add(name or own, builder, owner=owner or builder.__module__)
        return builder

    return add if builder is None else add(builder)


def get_builder(name: str) -> Callable[..., nn.Module]:
    """Look up the function that builds a model.

    Args:
        name: Name of the model.

    Returns:
        The function.

    Raises:
        UnknownNameError: If no model has this name; the message lists close matches.
    """
    return _MODELS.get(name)


def get_model(name: str, **kwargs: Any) -> nn.Module:
    """Build a model by its name.

    Args:
        name: One of :func:`list_models`.
        **kwargs: Arguments of the model. Those that are None are left out, so that the
            model's own defaults apply.

    Returns:
        The model, with random weights unless an argument says otherwise.

    Raises:
        UnknownNameError: If no model has this name; the message lists close matches.

    Example:
        >>> model = get_model('spec_resnet50', in_chans=224, num_classes=5)
        >>> model.num_classes
        5
    """
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    return get_builder(name)(**kwargs)


def list_models(pattern: str = '*') -> list[str]:
    """List the names of models.

    Args:
        pattern: Shell-style wildcard that the names have to match.

    Returns:
        The names, sorted.

    Example:
        >>> list_models('spec_vit_*')[:2]
        ['spec_vit_base', 'spec_vit_base_wl']
    """
    return _MODELS.list(pattern)
