# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sums over pixels that can be merged without a loss of digits."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray


class Moments:
    """Count, mean, deviation and extremes of each band.

    Args:
        num_bands: Number of bands.
    """

    def __init__(self, num_bands: int) -> None:
        """Initialize a new Moments instance."""
        self.count = np.zeros(num_bands, np.int64)
        self.mean = np.zeros(num_bands)
        #: Sum of the squares of the deviations from the mean.
        self.square = np.zeros(num_bands)
        self.low = np.full(num_bands, np.inf)
        self.high = np.full(num_bands, -np.inf)

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> tuple[Self, NDArray[np.float64]]:
        """Compute the moments of pixels that all count.

        Args:
            pixels: Numbers of shape ``(C, N)``.

        Returns:
            The moments, and the deviations from the mean.
        """
        own = cls(len(pixels))
        own.count[:] = pixels.shape[1]
        own.low, own.high = pixels.min(axis=1) * 1.0, pixels.max(axis=1) * 1.0
        own.mean = pixels.mean(axis=1, dtype=np.float64)
        deviations = pixels - own.mean[:, None]
        own.square = np.einsum('cn,cn->c', deviations, deviations)
        return own, deviations

    @classmethod
    def of_masked(cls, pixels: NDArray[Any], mask: BoolArray) -> Self:
        """Compute the moments of numbers of which only some count.

        Args:
            pixels: Numbers of shape ``(C, N)``.
            mask: Numbers that count, of the same shape.

        Returns:
            The moments.
        """
        own = cls(len(pixels))
        own.count = mask.sum(axis=1)
        divisor = np.maximum(own.count, 1)
        values = np.where(mask, pixels, 0).astype(np.float64)
        own.low = np.where(mask, values, np.inf).min(axis=1, initial=np.inf)
        own.high = np.where(mask, values, -np.inf).max(axis=1, initial=-np.inf)
        own.mean = values.sum(axis=1) / divisor
        deviations = np.where(mask, values - own.mean[:, None], 0.0)
        own.square = np.einsum('cn,cn->c', deviations, deviations)
        return own

    def merge(self, other: Self) -> None:
        """Add the pixels of another instance.

        Args:
            other: Moments of as many bands.
        """
        total = self.count + other.count
        share = other.count / np.maximum(total, 1)
        shift = other.mean - self.mean
        self.square += other.square + shift**2 * (self.count * share)
        self.mean += shift * share
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)
        self.count = total


class Scatter:
    """Sums of products of the deviations of all pairs of bands.

    Args:
        num_bands: Number of bands.
    """

    def __init__(self, num_bands: int) -> None:
        """Initialize a new Scatter instance."""
        self.count = 0
        self.mean = np.zeros(num_bands)
        #: Only the upper triangle is filled.
        self.products = np.zeros((num_bands, num_bands))

    @classmethod
    def of(
        cls, count: int, mean: NDArray[np.float64], deviations: NDArray[np.float64]
    ) -> Self:
        """Compute the sums of some pixels.

        Args:
            count: Their number.
            mean: Their mean, shape ``(C,)``.
            deviations: Deviations from the mean, shape ``(C, N)``.

        Returns:
            The sums.
        """
        # takes long to import, and is not needed for the published tables
        from scipy.linalg.blas import dsyrk

        own = cls(0)
        own.count, own.mean = count, mean.copy()
        # the upper triangle, which is half of the work
        own.products = np.asarray(dsyrk(1.0, deviations.T, trans=1))
        return own

    def merge(self, other: Self) -> None:
        """Add the pixels of another instance.

        Args:
            other: Sums of as many bands.
        """
        total = self.count + other.count
        if not total:
            return
        share = other.count / total
        shift = other.mean - self.mean
        product = np.outer(shift, shift) * (self.count * share)
        self.products += other.products + np.triu(product)
        self.mean += shift * share
        self.count = total

    def covariance(self) -> NDArray[np.float64] | None:
        """Return the covariance of the population; None if there is no pixel."""
        if not self.count:
            return None
        upper = np.triu(self.products)
        return np.asarray((upper + np.triu(upper, 1).T) / self.count)
