# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Chebyshev series."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from ._polynomials import PolynomialSeries
from .base import check_count, kept


class Chebyshev(PolynomialSeries):
    """Chebyshev series on [0, 1]: sums of ``T_k(2 x - 1)``.

    The points are those of Gauss and Lobatto, ``x_j = (1 + cos(pi j / (N - 1))) / 2``,
    from 1 down to 0, both ends included. Smooth functions converge exponentially,
    whether they are periodic or not.

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> import torch
        >>> x = Chebyshev().nodes(4)
        >>> found = Chebyshev().transform(2 * x - 1)
        >>> torch.allclose(found, torch.tensor([0.0, 1.0, 0.0, 0.0]).double())
        True
    """

    name: ClassVar[str] = 'chebyshev'

    def nodes(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return the points of Gauss and Lobatto, 1 first; see :class:`Series`."""
        check_count(count, 2, 'Chebyshev')
        angle = math.pi * torch.arange(count, dtype=dtype, device=device) / (count - 1)
        return (1 + torch.cos(angle)) / 2

    def basis(self, count: int, x: Tensor) -> Tensor:
        """Evaluate polynomials by their recurrence; see :class:`Series`."""
        check_count(count, 1, 'Chebyshev')
        z = 2 * x - 1
        columns = [torch.ones_like(z), z]
        for _ in range(2, count):
            columns.append(2 * z * columns[-1] - columns[-2])
        return torch.stack(columns[:count], dim=-1)

    def transform(self, values: Tensor, dim: int = -1) -> Tensor:
        """Turn values into coefficients by a fast cosine transform (DCT-I)."""
        moved = values.movedim(dim, -1)
        count = moved.shape[-1]
        check_count(count, 2, 'Chebyshev')
        even = torch.cat([moved, moved[..., 1:-1].flip(-1)], dim=-1)
        found: Tensor = torch.fft.rfft(even, norm='forward').real
        return (found * _doubled(found)).movedim(-1, dim)

    def inverse(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Turn coefficients into values by a fast cosine transform (DCT-I)."""
        moved = coefficients.movedim(dim, -1)
        count = moved.shape[-1]
        check_count(count, 2, 'Chebyshev')
        halved = torch.complex(moved / _doubled(moved), torch.zeros_like(moved))
        values: Tensor = torch.fft.irfft(halved, 2 * (count - 1), norm='forward')
        return values[..., :count].movedim(-1, dim)

    def parseval_weights(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return pi/2, and half of it but for the mean; see :class:`Series`."""
        check_count(count, 1, 'Chebyshev')
        weights = torch.full((count,), math.pi / 4, dtype=dtype, device=device)
        weights[0] = math.pi / 2
        return weights

    def weight(self, x: Tensor) -> Tensor:
        """Return ``(1 - (2 x - 1)**2) ** -0.5``, which grows towards both ends."""
        return (1 - (2 * x - 1) ** 2).rsqrt()

    @staticmethod
    @kept
    def _derivative(count: int) -> Tensor:
        """Make the matrix of the derivative on [0, 1]."""
        k, j = torch.meshgrid(torch.arange(count), torch.arange(count), indexing='ij')
        matrix = torch.where((j > k) & ((j - k) % 2 == 1), 4.0 * j, 0.0).double()
        matrix[0] /= 2
        return matrix

    @staticmethod
    @kept
    def _antiderivative(count: int) -> Tensor:
        """Make the matrix of the antiderivative that is 0 at x = 0."""
        matrix = torch.zeros(count + 1, count, dtype=torch.float64)
        for k in range(count):
            # on [0, 1] the integral of T_k is half of that on [-1, 1]
            if k == 0:
                matrix[1, 0] = 0.5
            elif k == 1:
                matrix[2, 1] = 0.125
            else:
                matrix[k + 1, k] = 0.25 / (k + 1)
                matrix[k - 1, k] = -0.25 / (k - 1)
        signs = (-1.0) ** torch.arange(count + 1)
        matrix[0] -= signs.double() @ matrix
        return matrix


def _doubled(values: Tensor) -> Tensor:
    """Return 2 for all terms but the first and the last."""
    factor = values.new_full((values.shape[-1],), 2)
    factor[0] = factor[-1] = 1
    return factor
