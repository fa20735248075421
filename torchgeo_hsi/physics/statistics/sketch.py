# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Quantiles of streams of numbers, with a bound on their relative error."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._typing import BoolArray
from ...errors import BandMismatchError, EmptyDataError

#: Numbers nearer to 0 than this count as 0.
_SMALLEST = 1e-9

#: Whole numbers up to this size are looked up in a table.
_TABLE = 1 << 15


class QuantileSketch:
    """Quantiles of each band of a stream, in bounded memory.

    Numbers are counted in bins whose edges grow by a constant factor, so each quantile
    is known up to a relative error of *accuracy*, whatever the distribution and the
    number of values. Bins of two sketches add up, so it does not matter in which order
    or in how many parts a stream was seen. Memory is 8 bytes for each band and bin;
    there are about ``ln(largest / smallest) / (2 * accuracy)`` bins for positive
    numbers, and as many for negative ones.

    * https://doi.org/10.14778/3352063.3352135

    Args:
        num_bands: Number of bands.
        accuracy: Bound of the relative error of a quantile.

    Raises:
        ValueError: If *accuracy* is not between 0 and 1.

    Example:
        >>> sketch = QuantileSketch(1, accuracy=0.01)
        >>> sketch.update(np.arange(1.0, 1001.0)[None])
        >>> bool(abs(sketch.quantiles([0.5])[0, 0] - 500) <= 5)
        True
    """

    def __init__(self, num_bands: int, accuracy: float = 0.001) -> None:
        """Initialize a new QuantileSketch instance."""
        if not 0 < accuracy < 1:
            raise ValueError(f'Expected an accuracy between 0 and 1, got {accuracy}.')
        self.num_bands = num_bands
        self.accuracy = accuracy
        #: Number of the first bin; bins of negative numbers have negative numbers.
        self._first = 0
        self._counts: NDArray[np.int64] = np.zeros((num_bands, 0), np.int64)

    def update(self, values: NDArray[Any], mask: BoolArray | None = None) -> None:
        """Count numbers.

        Args:
            values: Numbers of shape ``(C, N)``, all finite where they count; whole
                numbers of up to 16 bits are fastest, of whatever data type.
            mask: Numbers that count, of the same shape; all by default.

        Raises:
            BandMismatchError: If there are not *num_bands* rows.
        """
        if len(values) != self.num_bands:
            raise BandMismatchError(
                f'Expected {self.num_bands} bands, got {len(values)}.'
            )
        rows = []
        # band by band, so that counts stay in the processor's cache
        for band, row in enumerate(values):
            chosen = row if mask is None else row[mask[band]]
            rows.append(_count(chosen, self.accuracy) if chosen.size else None)
        starts = [(row[0], row[0] + len(row[1])) for row in rows if row is not None]
        if not starts:
            return
        low, high = min(s for s, _ in starts), max(s for _, s in starts)
        self._reserve(low, high - 1)
        for band, found in enumerate(rows):
            if found is not None:
                start = found[0] - self._first
                self._counts[band, start : start + len(found[1])] += found[1]

    def _reserve(self, low: int, high: int) -> None:
        """Make room for bins."""
        if not self._counts.shape[1]:
            self._first = low
        last = self._first + self._counts.shape[1] - 1
        before, after = max(self._first - low, 0), max(high - last, 0)
        if before or after:
            self._counts = np.pad(self._counts, ((0, 0), (before, after)))
            self._first -= before

    def merge(self, other: Self) -> None:
        """Add what another sketch has counted.

        Args:
            other: A sketch of as many bands and the same accuracy.

        Raises:
            BandMismatchError: If it differs in one of them.
        """
        if (other.num_bands, other.accuracy) != (self.num_bands, self.accuracy):
            raise BandMismatchError(
                f'Expected a sketch of {self.num_bands} bands and accuracy '
                f'{self.accuracy}, got {other.num_bands} and {other.accuracy}.'
            )
        width = other._counts.shape[1]
        if width:
            self._reserve(other._first, other._first + width - 1)
            start = other._first - self._first
            self._counts[:, start : start + width] += other._counts

    def pooled(self, bands: Sequence[int]) -> 'QuantileSketch':
        """Count several bands as one.

        Args:
            bands: The bands, from 0.

        Returns:
            A sketch of one band.
        """
        pool = QuantileSketch(1, self.accuracy)
        pool._first = self._first
        pool._counts = self._counts[list(bands)].sum(axis=0, keepdims=True)
        return pool

    def quantiles(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Return quantiles, as numpy's method ``'lower'`` does without interpolation.

        Args:
            shares: Shares from 0 to 1, shape ``(Q,)``.

        Returns:
            Quantiles of shape ``(Q, C)``, NaN for bands of which nothing was counted.

        Raises:
            ValueError: If a share is not from 0 to 1.
            EmptyDataError: If nothing was counted.
        """
        wanted = np.asarray(shares, dtype=np.float64)
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise ValueError(f'Expected shares from 0 to 1, got {wanted}.')
        if not self._counts.size:
            raise EmptyDataError('No number was counted, so there are no quantiles.')
        sums = np.cumsum(self._counts, axis=1)
        totals = sums[:, -1]
        # exact for whole numbers, where a product such as 0.07 * 100 is not
        ranks = np.floor(np.round(wanted * np.maximum(totals - 1, 0)[:, None], 6))
        bins = [
            np.searchsorted(row, rank, side='right')
            for row, rank in zip(sums, ranks, strict=True)
        ]
        values = _values(np.stack(bins, axis=1) + self._first, self.accuracy)
        return np.where(totals > 0, values, np.nan)


def _count(values: NDArray[Any], accuracy: float) -> tuple[int, NDArray[np.int64]]:
    """Count the numbers of a band; return the first bin and the counts."""
    low, high = values.min(), values.max()
    if low >= -_TABLE and high < _TABLE:
        whole = values.astype(np.int32)
        if values.dtype.kind in 'iu' or np.array_equal(whole, values):
            bins = _table(accuracy)[int(low) + _TABLE : int(high) + _TABLE + 1]
            start = int(bins[0])
            # each value by itself first, and then the few values of each bin
            counts = np.bincount(whole - int(low), minlength=len(bins))
            # exact: sums of whole numbers below 2 ** 53
            return start, np.bincount(bins - start, counts).astype(np.int64)
    bins = _bins(values, accuracy)
    start = int(bins.min())
    return start, np.bincount(bins - start)


def _growth(accuracy: float) -> float:
    """Return the logarithm of the factor between edges."""
    return math.log1p(accuracy) - math.log1p(-accuracy)


def _zero(accuracy: float) -> int:
    """Return how far bins are shifted, so that those of positive numbers are > 0."""
    return 1 - math.ceil(math.log(_SMALLEST) / _growth(accuracy))


def _bins(values: NDArray[Any], accuracy: float) -> NDArray[np.int64]:
    """Return the bins of numbers: 0 for 0, else of the sign of the number."""
    size = np.abs(values.astype(np.float64))
    is_small = size < _SMALLEST
    logarithm = np.log(np.where(is_small, 1.0, size))
    bins = np.ceil(logarithm / _growth(accuracy)).astype(np.int64) + _zero(accuracy)
    np.copyto(bins, 0, where=is_small)
    return np.where(values < 0, -bins, bins)


def _values(bins: NDArray[np.int64], accuracy: float) -> NDArray[np.float64]:
    """Return the middle of bins, in the sense of the relative error."""
    power = (np.abs(bins) - _zero(accuracy)) * _growth(accuracy)
    values = np.exp(power) * (1 - accuracy)
    return np.where(bins == 0, 0.0, np.sign(bins) * values)


@cache
def _table(accuracy: float) -> NDArray[np.int64]:
    return _bins(np.arange(-_TABLE, _TABLE), accuracy)
