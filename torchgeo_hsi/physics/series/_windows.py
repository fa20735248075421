# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A stretch of wavelengths with a series of its own, and how it is fitted."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .base import Series

#: Points at which the response of a band is sampled. 21 are exact for a polynomial of
#: degree 41 within four standard deviations.
_POINTS = 21

#: Standard deviation of a Gaussian with a FWHM of 1.
_SIGMA = 1 / math.sqrt(8 * math.log(2))

#: Beyond the outermost bands of a window, the series goes on for so many FWHMs.
MARGIN = 1.6

#: Added to normal equations, which are about 1, where nothing else decides.
_TINY = 1e-14


@dataclass(frozen=True)
class Window:
    """A stretch of wavelengths with a series of its own.

    Args:
        low: Lowest band centre in micrometres.
        high: Highest one.
        terms: Number of coefficients.
        series: Kind of series.
        margin: How far the series goes on behind both ends, in micrometres.
    """

    low: float
    high: float
    terms: int
    series: Series
    margin: float = 0.0

    @property
    def length(self) -> float:
        """Length of the domain of the series in micrometres."""
        return self.high - self.low + 2 * self.margin

    def contains(self, centre: Tensor, width: Tensor | None = None) -> Tensor:
        """Tell which bands the series can describe.

        Args:
            centre: Band centres in micrometres.
            width: FWHMs, same shape; then half of it has to lie in the domain.

        Returns:
            True for centres from the lowest to the highest one.
        """
        inside = (centre >= self.low) & (centre <= self.high)
        if width is not None:
            inside = inside & (centre - width / 2 >= self.low - self.margin)
            inside = inside & (centre + width / 2 <= self.high + self.margin)
        return inside

    def basis(
        self, centre: Tensor, width: Tensor | None = None, derivative: int = 0
    ) -> Tensor:
        """Evaluate the functions of the series, as bands see them.

        Args:
            centre: Band centres in micrometres, float64.
            width: FWHMs of Gaussian responses, same shape; none for points.
            derivative: Order of the derivative.

        Returns:
            Values of shape ``(..., terms)``; of the nearest end outside of the domain.
        """
        place = (centre - self.low + self.margin) / self.length
        if width is None:
            values = self.series.basis(self.terms, place.clamp(0, 1))
        else:
            values = self._averaged(place, width * (_SIGMA / self.length))
        if derivative:
            unit = torch.eye(self.terms, dtype=values.dtype, device=values.device)
            values = values @ self.series.differentiate(unit, derivative, 0)
            values = values / self.length**derivative
        return values

    def _averaged(self, place: Tensor, sigma: Tensor) -> Tensor:
        """Average over Gaussians by quadrature."""
        points, weights = np.polynomial.hermite_e.hermegauss(_POINTS)
        total = torch.zeros((), dtype=place.dtype, device=place.device)
        for point, weight in zip(
            points.tolist(), (weights / weights.sum()).tolist(), strict=True
        ):
            if weight > 1e-10:
                x = (place + point * sigma).clamp(0, 1)
                total = total + weight * self.series.basis(self.terms, x)
        return total

    def roughness(self) -> Tensor:
        """Return the form whose value is the mean square of the second derivative.

        Returns:
            Symmetric matrix of shape ``(terms, terms)``, float64, in units of values
            squared per micrometre to the fourth.
        """
        return _mean_square(self, 2)

    def power(self) -> Tensor:
        """Return the form whose value is the mean square.

        Returns:
            Symmetric matrix of shape ``(terms, terms)``, float64.
        """
        return _mean_square(self, 0)


@lru_cache(maxsize=64)
def _mean_square(window: Window, derivative: int) -> Tensor:
    # the first call may come from within another device
    with torch.device('cpu'):
        points, weights = np.polynomial.legendre.leggauss(2 * window.terms)
        values = window.series.basis(window.terms, torch.tensor((points + 1) / 2))
        unit = torch.eye(window.terms, dtype=torch.float64)
        values = values @ window.series.differentiate(unit, derivative, 0)
        values = values / window.length**derivative
        return (values.T * torch.tensor(weights / 2)) @ values


def normal_equations(
    basis: Tensor, weights: Tensor, penalty: Tensor
) -> tuple[Tensor, Tensor]:
    """Build the normal equations of weighted least squares.

    Args:
        basis: What bands see of each function, shape ``(..., C, terms)``.
        weights: What bands count, relative to each other, shape ``(..., C)``.
        penalty: Quadratic form that is minimized, too, ``(terms, terms)``.

    Returns:
        Matrices of shape ``(..., terms, terms)``, and those of their right sides for
        band values, ``(..., terms, C)``. Without any weight, the solution is 0.
    """
    total = weights.sum(-1, keepdim=True)
    shares = weights / torch.where(total > 0, total, 1)
    right = basis.mT * shares[..., None, :]
    unit = torch.eye(basis.shape[-1], dtype=basis.dtype, device=basis.device)
    return right @ basis + penalty + _TINY * unit, right
