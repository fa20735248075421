# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all equations have in common."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BandMismatchError
from ..series import Series
from ..series.base import apply_matrix
from .calculus import Calculus, SeriesCalculus


class Equation(ABC):
    """A partial differential equation on the unit box, for random parameters.

    Fields are real coefficients of shape ``(B, N_1, ..., N_d)``, one axis for each
    variable; time comes first. Everything that a solver needs is here: how parameters
    are drawn, what is left of the equation for a candidate (its residual), how a
    candidate is made to meet the boundary and initial conditions, and a numerical
    solution to compare with.

    Args:
        modes: Number of coefficients along each axis.

    Raises:
        BandMismatchError: If there is not one whole number from 1 for each axis.
    """

    #: Name for configurations.
    name: ClassVar[str]
    #: Series of each axis.
    axes: ClassVar[tuple[Series, ...]]
    #: Name of the variable of each axis, for pictures and files.
    variables: ClassVar[tuple[str, ...]]
    #: Number of fields that are given.
    parameters: int = 1
    #: How fast waves are damped, which is the factor of the Laplacian along periodic
    #: axes, in units of the box (and of the time that 1 stands for). 0 where there is
    #: none.
    damping: float = 0.0

    def __init__(self, modes: Sequence[int]) -> None:
        """Initialize a new Equation instance; see the class for the arguments."""
        counts = _whole_numbers(modes)
        if len(counts) != len(self.axes):
            raise BandMismatchError(
                f'Expected {len(self.axes)} numbers of modes for {self.name}, one for '
                f'each axis and from 1, got {modes!r}.'
            )
        self.modes = counts
        self.calculus = SeriesCalculus(self.axes)

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw parameters: sources, initial values, or whatever the solution is for.

        Args:
            count: How many.
            generator: Source of randomness.

        Returns:
            Coefficients, float64 of shape ``(count, parameters, *modes)``.
        """

    @abstractmethod
    def residual(
        self, parameter: Tensor, solution: Tensor, calculus: Calculus | None = None
    ) -> Tensor:
        """Compute what is left of the equation; 0 for a solution.

        Args:
            parameter: Given fields, shape ``(B, parameters, N_1, ..., N_d)``.
            solution: A candidate, shape ``(B, N_1, ..., N_d)``.
            calculus: How to differentiate and multiply: coefficients of series by
                default; with a :class:`GridCalculus`, fields are values on its grid.

        Returns:
            The residual; as coefficients, products have more of them.
        """

    @abstractmethod
    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Make any field meet the boundary and initial conditions, on a grid.

        Args:
            parameter: Values of the given fields, shape ``(B, parameters, M_1, ...)``.
            candidate: Values of any field, shape ``(B, M_1, ..., M_d)``.
            points: Points of each axis.

        Returns:
            Values of the same shape as those of the candidate.
        """

    def constrain(self, parameter: Tensor, candidate: Tensor) -> Tensor:
        """Make any series meet the boundary and initial conditions.

        Args:
            parameter: Coefficients of shape ``(B, parameters, *modes)``.
            candidate: Coefficients of shape ``(B, *modes)``.

        Returns:
            Coefficients of shape ``(B, *modes)``.
        """
        points = [
            axis.nodes(count, candidate.dtype, candidate.device)
            for axis, count in zip(self.axes, candidate.shape[1:], strict=True)
        ]
        flat = self.to_values(parameter.flatten(0, 1))
        given = flat.view(*parameter.shape[:2], *flat.shape[1:])
        values = self.constrain_values(given, self.to_values(candidate), points)
        return self.to_coefficients(values)

    @abstractmethod
    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Solve the equation numerically, without any network.

        How exact that is does not depend on *size*, which only says where the solution
        is wanted.

        Args:
            parameter: Coefficients of shape ``(B, parameters, *modes)``.
            size: Evenly spaced points along each axis; one number for all, or one each.

        Returns:
            Values at :meth:`grid`, shape ``(B, *sizes)``.
        """

    def grid(
        self, size: int | Sequence[int], dtype: torch.dtype = torch.float64
    ) -> list[Tensor]:
        """Return the points at which solutions are compared.

        Args:
            size: Points along each axis; one number for all, or one for each.
            dtype: Data type.

        Returns:
            Points of each axis, evenly spaced, without 1 on periodic ones.

        Raises:
            BandMismatchError: If there is not one whole number from 1 for each axis.
        """
        return [
            torch.arange(count, dtype=dtype) / count
            if axis.name == 'fourier'
            else torch.linspace(0, 1, count, dtype=dtype)
            for axis, count in zip(self.axes, self._sizes(size), strict=True)
        ]

    def _sizes(self, size: int | Sequence[int]) -> tuple[int, ...]:
        """Return the number of points along each axis."""
        one = not isinstance(size, Sequence)
        counts = _whole_numbers([size] * len(self.axes) if one else size)
        if len(counts) != len(self.axes):
            raise BandMismatchError(
                f'Expected one number of points from 1, or {len(self.axes)} for the axes '
                f'of {self.name}, got {size!r}.'
            )
        return counts

    def _check_given(self, parameter: Tensor) -> None:
        """Refuse what are no coefficients of the given fields."""
        found = (*parameter.shape[1:2], parameter.ndim)
        if found != (self.parameters, len(self.axes) + 2):
            expected = ', '.join(map(str, (self.parameters, *self.modes)))
            raise BandMismatchError(
                f'Expected coefficients of shape (batch, {expected}) for {self.name}, '
                f'got {tuple(parameter.shape)}.'
            )

    def to_grid(self, parameter: Tensor, points: Sequence[Tensor]) -> Tensor:
        """Evaluate given fields on any grid.

        Args:
            parameter: Coefficients of shape ``(B, parameters, *modes)``.
            points: Points of each axis.

        Returns:
            Values of shape ``(B, parameters, M_1, ..., M_d)``.
        """
        flat = self.evaluate(parameter.flatten(0, 1), points)
        return flat.view(*parameter.shape[:2], *flat.shape[1:])

    def evaluate(self, solution: Tensor, points: Sequence[Tensor]) -> Tensor:
        """Evaluate fields on any grid.

        Args:
            solution: Coefficients of shape ``(B, N_1, ..., N_d)``.
            points: Points of each axis.

        Returns:
            Values of shape ``(B, M_1, ..., M_d)``.
        """
        for dim, (axis, x) in enumerate(zip(self.axes, points, strict=True), start=1):
            solution = axis.evaluate(solution, x, dim)
        return solution

    def fit(self, values: Tensor, points: Sequence[Tensor]) -> Tensor:
        """Find the series that is nearest to values on any grid (least squares).

        Even grids need several times as many points as modes along axes that are not
        periodic.

        Args:
            values: Values of shape ``(B, M_1, ..., M_d)``.
            points: Points of each axis.

        Returns:
            Coefficients of shape ``(B, *modes)``.

        Raises:
            BandMismatchError: If an axis has fewer points than modes.
        """
        lines = zip(self.axes, self.modes, points, strict=True)
        for dim, (axis, count, line) in enumerate(lines, start=1):
            if len(line) < count:
                raise BandMismatchError(
                    f'Expected at least {count} points along axis {dim}, one for each '
                    f'coefficient, got {len(line)}.'
                )
            inverse = torch.linalg.pinv(axis.basis(count, line.to(values)))
            values = apply_matrix(inverse, values, dim)
        return values

    def to_values(self, coefficients: Tensor) -> Tensor:
        """Evaluate fields at the collocation points of their own coefficients.

        Args:
            coefficients: Coefficients of shape ``(B, N_1, ..., N_d)``.

        Returns:
            Values of the same shape.
        """
        for dim, axis in enumerate(self.axes, start=1):
            coefficients = axis.inverse(coefficients, dim)
        return coefficients

    def to_coefficients(self, values: Tensor) -> Tensor:
        """Turn values at the collocation points into coefficients.

        Args:
            values: Values of shape ``(B, N_1, ..., N_d)``.

        Returns:
            Coefficients of the same shape.
        """
        for dim, axis in enumerate(self.axes, start=1):
            values = axis.transform(values, dim)
        return values

    def resize(self, coefficients: Tensor, modes: Sequence[int]) -> Tensor:
        """Cut off the highest terms along each axis, or add terms of 0.

        Args:
            coefficients: Coefficients of shape ``(B, N_1, ..., N_d)``.
            modes: Number of terms along each axis.

        Returns:
            Coefficients of shape ``(B, *modes)``.
        """
        pairs = zip(self.axes, modes, strict=True)
        for dim, (axis, count) in enumerate(pairs, start=1):
            coefficients = axis.resize(coefficients, count, dim)
        return coefficients


def _whole_numbers(values: object) -> tuple[int, ...]:
    """Return numbers from 1; none if one of them is something else."""
    if not isinstance(values, Iterable):
        return ()
    try:
        counts = tuple(operator.index(value) for value in values)
    except TypeError:
        return ()
    return counts if all(count > 0 for count in counts) else ()
