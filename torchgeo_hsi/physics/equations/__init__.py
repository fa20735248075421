# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Partial differential equations as series, with numerical solutions to compare with."""

from typing import Any

from ...errors import UnknownNameError
from .base import Equation
from .calculus import Calculus, GridCalculus, SeriesCalculus
from .navier_stokes import NavierStokes
from .plume import ColumnPlume
from .poisson import DirichletPoisson, PeriodicPoisson
from .random_functions import gaussian_process
from .reaction_diffusion import ReactionDiffusion

_EQUATIONS: dict[str, type[Equation]] = {
    equation.name: equation
    for equation in (
        ColumnPlume,
        DirichletPoisson,
        NavierStokes,
        PeriodicPoisson,
        ReactionDiffusion,
    )
}


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
    if name not in _EQUATIONS:
        raise UnknownNameError('equation', name, _EQUATIONS)
    return _EQUATIONS[name](**options)


def list_equations() -> list[str]:
    """List the names of the equations.

    Returns:
        The names, sorted.
    """
    return sorted(_EQUATIONS)


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
)
