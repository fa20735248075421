# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Legendre series."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ._polynomials import PolynomialSeries
from .base import apply_matrix, check_count, kept


class Legendre(PolynomialSeries):
    """Legendre series on [0, 1]: sums of ``P_k(2 x - 1)``.

    The points are those of Gauss, inside of the interval. The polynomials are orthogonal
    without a weight, so the norm of coefficients is that of functions; the price is that
    the transform is a matrix and not a fast one.

    Example:
        >>> import torch
        >>> x = Legendre().nodes(4)
        >>> found = Legendre().transform(6 * x**2 - 6 * x + 1)
        >>> torch.allclose(found, torch.tensor([0.0, 0.0, 1.0, 0.0]).double())
        True
    """

    name: ClassVar[str] = 'legendre'

    def nodes(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return the points of Gauss, in rising order; see :class:`Series`."""
        check_count(count, 1, 'Legendre')
        # what is kept must not be given away
        return _quadrature(count)[0].to(device=device, dtype=dtype, copy=True)

    def basis(self, count: int, x: Tensor) -> Tensor:
        """Evaluate polynomials by their recurrence; see :class:`Series`."""
        check_count(count, 1, 'Legendre')
        z = 2 * x - 1
        columns = [torch.ones_like(z), z]
        for k in range(1, count - 1):
            columns.append(((2 * k + 1) * z * columns[-1] - k * columns[-2]) / (k + 1))
        return torch.stack(columns[:count], dim=-1)

    def transform(self, values: Tensor, dim: int = -1) -> Tensor:
        """Turn values into coefficients by Gauss quadrature."""
        count = values.shape[dim]
        check_count(count, 1, 'Legendre')
        return apply_matrix(_analysis(count).to(values), values, dim)

    def inverse(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Turn coefficients into values at the points of Gauss."""
        count = coefficients.shape[dim]
        check_count(count, 1, 'Legendre')
        return apply_matrix(_synthesis(count).to(coefficients), coefficients, dim)

    def parseval_weights(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return ``1 / (2 k + 1)``; see :class:`Series`."""
        check_count(count, 1, 'Legendre')
        return 1 / (2 * torch.arange(count, dtype=dtype, device=device) + 1)

    def weight(self, x: Tensor) -> Tensor:
        """Return 1: the polynomials are orthogonal as they are."""
        return torch.ones_like(x)

    @staticmethod
    @kept
    def _derivative(count: int) -> Tensor:
        """Make the matrix of the derivative on [0, 1]."""
        k, j = torch.meshgrid(torch.arange(count), torch.arange(count), indexing='ij')
        return torch.where(
            (j > k) & ((j - k) % 2 == 1), 2.0 * (2 * k + 1), 0.0
        ).double()

    @staticmethod
    @kept
    def _antiderivative(count: int) -> Tensor:
        """Make the matrix of the antiderivative that is 0 at x = 0."""
        matrix = torch.zeros(count + 1, count, dtype=torch.float64)
        matrix[0, 0] = matrix[1, 0] = 0.5
        for k in range(1, count):
            matrix[k + 1, k] = 0.5 / (2 * k + 1)
            matrix[k - 1, k] = -0.5 / (2 * k + 1)
        return matrix


@kept
def _quadrature(count: int) -> tuple[Tensor, Tensor]:
    """Return points and weights of Gauss quadrature on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((1 + points) / 2), torch.from_numpy(weights / 2)


@kept
def _synthesis(count: int) -> Tensor:
    return Legendre().basis(count, _quadrature(count)[0])


@kept
def _analysis(count: int) -> Tensor:
    squares = 1 / Legendre().parseval_weights(count)
    return squares[:, None] * _synthesis(count).T * _quadrature(count)[1]
