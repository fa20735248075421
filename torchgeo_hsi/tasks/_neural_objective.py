# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What solvers of equations learn from, on coefficients and on grids."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..errors import BandMismatchError
from ..models.neural_spectral import SpectralOperator
from ..physics.equations import Equation, GridCalculus

#: What is made small: the residual as a series, on a grid, or the error of known data.
type NeuralObjective = Literal['spectral', 'grid_residual', 'data']

OBJECTIVES = ('spectral', 'grid_residual', 'data')


def check_objective(objective: str, resolutions: Sequence[object]) -> None:
    """Refuse words and numbers that say nothing.

    Args:
        objective: What to learn from.
        resolutions: Points along each axis; one number, or one for each, or None.

    Raises:
        ValueError: If there is no such objective, or too few points.
    """
    if objective not in OBJECTIVES:
        raise ValueError(
            f'Expected the objective {", ".join(OBJECTIVES)}, got {objective!r}.'
        )
    for size in resolutions:
        counts = size if isinstance(size, list | tuple) else (size,)
        if any(count is not None and count < 4 for count in counts):
            raise ValueError(
                f'Expected a resolution of 4 points or more along each axis, got {size}.'
            )


def even_grid(
    equation: Equation, size: int | Sequence[int], like: Tensor
) -> list[Tensor]:
    """Return the points of an even grid.

    Args:
        equation: The equation.
        size: Points along each axis; one number for all, or one for each.
        like: Tensor whose data type and device they get.

    Returns:
        Points of each axis.
    """
    return [line.to(like) for line in equation.grid(size)]


def solution_values(
    equation: Equation, model: torch.nn.Module, parameter: Tensor, points: list[Tensor]
) -> Tensor:
    """Compute what a network says is the solution, which meets all conditions.

    Args:
        equation: The equation.
        model: A network between coefficients, or between values on even grids.
        parameter: Coefficients of shape ``(B, P, *modes)``.
        points: Points of each axis, evenly spaced for networks of the second kind.

    Returns:
        Values of shape ``(B, M_1, ..., M_d)``.
    """
    if isinstance(model, SpectralOperator):
        found = equation.constrain(parameter, model(parameter))
        return equation.evaluate(found, points)
    given = equation.to_grid(parameter, points)
    return equation.constrain_values(given, model(given), points)


def grid_residual(
    equation: Equation, parameter: Tensor, values: Tensor, points: list[Tensor]
) -> Tensor:
    """Compute what is left of an equation by finite differences.

    Args:
        equation: The equation.
        parameter: Coefficients of shape ``(B, P, *modes)``.
        values: A candidate, shape ``(B, M_1, ..., M_d)``.
        points: Points of each axis, evenly spaced.

    Returns:
        Values of the same shape.
    """
    calculus = GridCalculus(equation.axes, points)
    given = equation.to_grid(parameter, points)
    return equation.residual(given, values, calculus)


def check_inside(equation: Equation, points: Sequence[Tensor]) -> None:
    """Refuse points outside of the box, where polynomials say nothing.

    Args:
        equation: The equation.
        points: Points of each axis.

    Raises:
        BandMismatchError: If there are not points of shape ``(M,)`` for each axis.
        ValueError: If points of an axis that is not periodic are not in [0, 1].
    """
    names = ', '.join(equation.variables)
    if len(points) != len(equation.axes) or any(line.ndim != 1 for line in points):
        raise BandMismatchError(
            f'Expected a list of points for each axis of {equation.name} ({names}), got '
            f'the shapes {[tuple(line.shape) for line in points]}.'
        )
    for axis, name, line in zip(equation.axes, equation.variables, points, strict=True):
        inside = (line > -1e-5) & (line < 1 + 1e-5)
        if axis.name != 'fourier' and not bool(inside.all()):
            raise ValueError(
                f'Expected points of {name} in [0, 1], the box of the equation, got '
                f'{float(line.min()):g} to {float(line.max()):g}.'
            )


def check_even(equation: Equation, points: Sequence[Tensor]) -> None:
    """Refuse points that are no even grid, which grid networks need.

    Args:
        equation: The equation.
        points: Points of each axis.

    Raises:
        BandMismatchError: If they are not those of
            :meth:`~torchgeo_hsi.physics.equations.Equation.grid`.
    """
    expected = equation.grid([len(line) for line in points])
    for line, even in zip(points, expected, strict=True):
        if not torch.allclose(line.double().cpu(), even, atol=1e-5):
            raise BandMismatchError(
                'A network on grids takes evenly spaced points only, without 1 on '
                'periodic axes. Give size in place of points, or use the model '
                'spectral_operator, which can be evaluated anywhere.'
            )
