# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Partial differential equations as series, with numerical solutions to compare with."""

from typing import Any

from ..._registry import Registry
from .base import Equation
from .calculus import Calculus, GridCalculus, SeriesCalculus
from .navier_stokes import NavierStokes
from .plume import ColumnPlume
from .poisson import DirichletPoisson, PeriodicPoisson
from .random_functions import gaussian_process
from .reaction_diffusion import ReactionDiffusion

_EQUATIONS: Registry[type[Equation]] = Registry('equation')


def register_equation[T: Equation](
    equation: type[T], *, name: str | None = None, owner: str | None = None
) -> type[T]:
    """Make an equation known to :func:`get_equation`.

    Use it as a decorator, or call it.

    Args:
        equation: Class of the equation.
        name: Name to find it by; its own ``name`` by default.
        owner: Who registers it, for error messages; its module by default.

    Returns:
        *equation*, unchanged.

    Raises:
        NameClashError: If another equation has this name.

    Example:
        >>> @register_equation
        ... class Screened(PeriodicPoisson):
        ...     name = 'screened_poisson'
        >>> get_equation('screened_poisson', modes=(9, 9)).modes
        (9, 9)
    """
    owner = owner or equation.__module__
    _EQUATIONS.add(name or equation.name, equation, owner=owner)
    return equation


for _equation in (
    ColumnPlume,
    DirichletPoisson,
    NavierStokes,
    PeriodicPoisson,
    ReactionDiffusion,
):
    register_equation(_equation, owner='torchgeo-hsi')


def get_equation(name: str, **options: Any) -> Equation:
    """Make an equation by its name.

    Args:
        name: One of :func:`list_equations`.
        **options: Arguments of the equation.

    Returns:
        The equation.

    Raises:
        UnknownNameError: If there is no such equation.
    """
    return _EQUATIONS.get(name)(**options)


def list_equations() -> list[str]:
    """List the names of the equations.

    Returns:
        The names, sorted.
    """
    return _EQUATIONS.list()


__all__ = (
    'Calculus',
    'ColumnPlume',
    'DirichletPoisson',
    'Equation',
    'GridCalculus',
    'NavierStokes',
    'PeriodicPoisson',
    'ReactionDiffusion',
    'SeriesCalculus',
    'gaussian_process',
    'get_equation',
    'list_equations',
    'register_equation',
)
