# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Poisson's equation."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..series import Chebyshev, Fourier, Series
from .base import Equation
from .calculus import Calculus
from .random_functions import gaussian_process

#: Points along each axis on which sources are drawn, and their correlation length.
_POINTS, _LENGTH = 16, 0.2


class _Poisson(Equation):
    """Poisson's equation, whatever the conditions."""

    variables: ClassVar[tuple[str, ...]] = ('x', 'y')

    def residual(
        self, parameter: Tensor, solution: Tensor, calculus: Calculus | None = None
    ) -> Tensor:
        """Compute ``-(u_xx + u_yy) - s``; see :class:`Equation`."""
        calculus = calculus or self.calculus
        curved = [calculus.differentiate(solution, 2, dim) for dim in (1, 2)]
        return -(curved[0] + curved[1] + parameter[:, 0])


class PeriodicPoisson(_Poisson):
    """``-(u_xx + u_yy) = s`` on a periodic box, with ``u(0, 0) = 0``.

    Sources are random functions of correlation length 0.2 without a mean.

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> equation = PeriodicPoisson((9, 9))
        >>> source = equation.sample(2, torch.Generator().manual_seed(0))
        >>> source.shape, equation.solve(source, 64).shape
        (torch.Size([2, 1, 9, 9]), torch.Size([2, 64, 64]))
    """

    name: ClassVar[str] = 'periodic_poisson'
    axes: ClassVar[tuple[Series, ...]] = (Fourier(), Fourier())
    damping = 1.0

    def __init__(self, modes: Sequence[int] = (31, 31)) -> None:
        """Initialize a new PeriodicPoisson instance.

        Args:
            modes: Number of coefficients along x and y; odd numbers are safer.
        """
        super().__init__(modes)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw sources; see :class:`Equation`."""
        points = (Fourier().nodes(_POINTS),) * 2
        values = gaussian_process(points, _LENGTH, count, generator=generator)
        values = values - values.mean((1, 2), keepdim=True)
        return self.resize(self.to_coefficients(values), self.modes)[:, None]

    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Subtract the value at the origin, which is the first point."""
        return candidate - candidate[:, :1, :1]

    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Divide each wave by its squared frequency; see :class:`Equation`."""
        self._check_given(parameter)
        solution = self.calculus.stream(parameter[:, 0])
        return self.evaluate(
            self.constrain(parameter, solution), self.grid(size, parameter.dtype)
        )


class DirichletPoisson(_Poisson):
    """``-(u_xx + u_yy) = s`` on a box, with ``u = 0`` on its edge.

    Sources are random functions of correlation length 0.2.

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> equation = DirichletPoisson((9, 9))
        >>> source = equation.sample(1, torch.Generator().manual_seed(0))
        >>> bool(equation.solve(source, 5)[0, 0].abs().max() < 1e-12)  # an edge
        True
    """

    name: ClassVar[str] = 'dirichlet_poisson'
    axes: ClassVar[tuple[Series, ...]] = (Chebyshev(), Chebyshev())

    def __init__(self, modes: Sequence[int] = (31, 31)) -> None:
        """Initialize a new DirichletPoisson instance.

        Args:
            modes: Number of coefficients along x and y.
        """
        super().__init__(modes)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw sources; see :class:`Equation`."""
        points = (Chebyshev().nodes(_POINTS),) * 2
        values = gaussian_process(
            points, _LENGTH, count, 'squared_exponential', generator
        )
        return self.resize(self.to_coefficients(values), self.modes)[:, None]

    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Multiply by sines that are 0 on the edge; see :class:`Equation`."""
        x, y = (torch.sin(math.pi * line) for line in points)
        return candidate * x[:, None] * y

    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Solve by collocation, one axis diagonalized; see :class:`Equation`.

        The operator is a sum of two second derivatives, so in the eigenvectors of both
        it is a division.
        """
        self._check_given(parameter)
        count = max(48, *self.modes)
        x = Chebyshev().nodes(count)
        basis = Chebyshev().basis(count, x)
        second = (
            Chebyshev().differentiate(torch.eye(count, dtype=torch.float64), 2, 0).T
        )
        # values at the points to values of the second derivative
        operator = (basis @ second.T @ torch.linalg.inv(basis))[1:-1, 1:-1]
        eigenvalues, vectors = torch.linalg.eig(operator)
        values, vectors = eigenvalues.real, vectors.real
        source = self.evaluate(parameter[:, 0].double(), [x[1:-1], x[1:-1]])
        values, vectors = values.to(source), vectors.to(source)
        back = torch.linalg.inv(vectors)
        rotated = back @ source @ back.T
        found = vectors @ (-rotated / (values[:, None] + values)) @ vectors.T
        solution = torch.nn.functional.pad(found, (1, 1, 1, 1))
        coefficients = self.to_coefficients(solution)
        return self.evaluate(coefficients, self.grid(size)).to(parameter)
