# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What series of polynomials have in common: they are ordered by degree."""

from abc import abstractmethod

import torch
from torch import Tensor

from .base import Series, apply_matrix, check_count, check_order


class PolynomialSeries(Series):
    """Base class of series whose calculus is a matrix on coefficients by degree."""

    @staticmethod
    @abstractmethod
    def _derivative(count: int) -> Tensor:
        """Make the matrix of the derivative on [0, 1], float64 ``(count, count)``."""

    @staticmethod
    @abstractmethod
    def _antiderivative(count: int) -> Tensor:
        """Make that of the antiderivative that is 0 at 0, ``(count + 1, count)``."""

    def resize(self, coefficients: Tensor, count: int, dim: int = -1) -> Tensor:
        """Keep the lowest degrees, or add higher ones of 0; see :class:`Series`."""
        check_count(count, 1, type(self).__name__)
        moved = coefficients.movedim(dim, -1)
        missing = count - moved.shape[-1]
        if missing > 0:
            moved = torch.nn.functional.pad(moved, (0, missing))
        return moved[..., :count].movedim(-1, dim)

    def differentiate(
        self, coefficients: Tensor, order: int = 1, dim: int = -1
    ) -> Tensor:
        """Differentiate by the matrix of the recurrence; see :class:`Series`."""
        check_order(order)
        matrix = self._derivative(coefficients.shape[dim]).to(coefficients)
        for _ in range(order):
            coefficients = apply_matrix(matrix, coefficients, dim)
        return coefficients

    def integrate(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Integrate; the result has one coefficient more."""
        matrix = self._antiderivative(coefficients.shape[dim]).to(coefficients)
        return apply_matrix(matrix, coefficients, dim)
