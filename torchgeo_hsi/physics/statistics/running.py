# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics of the bands of many cubes, in one pass and bounded memory."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray
from ...errors import BandMismatchError, EmptyDataError
from ._moments import Moments, Scatter
from .sketch import QuantileSketch
from .summary import BandSummary

#: Quantiles that a summary holds.
QUANTILES = (0.01, 0.02, 0.05, 0.25, 0.5, 0.75, 0.95, 0.98, 0.99)

#: Pixels that are worked on at once: what fits into the processor's cache.
_CHUNK = 1 << 13


class RunningStatistics:
    """Mean, deviation, extremes, quantiles, valid share and covariance of bands.

    Cubes are seen one after the other, and two instances can be merged, so files may be
    spread over processes. Means and deviations of parts are merged in float64, in which
    digits do not cancel as they do in sums of squares. The same parts merged in the
    same order give the same numbers to the last digit.

    * https://doi.org/10.2307/2683386

    Args:
        covariance: Whether to compute the covariance of the bands; mean and deviation
            are the same without.
        accuracy: Bound of the relative error of quantiles; None for no quantiles.

    Example:
        >>> statistics = RunningStatistics()
        >>> statistics.update(np.ones((3, 8, 8)))
        >>> statistics.summary(('B1', 'B2', 'B3')).mean.tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, covariance: bool = True, accuracy: float | None = 0.001) -> None:
        """Initialize a new RunningStatistics instance."""
        self.covariance = covariance
        self.accuracy = accuracy
        #: Pixels that were seen, valid or not.
        self.pixels = 0
        self._moments: Moments | None = None
        self._scatter: Scatter | None = None
        self._sketch: QuantileSketch | None = None

    @property
    def num_bands(self) -> int | None:
        """Number of bands; None before the first cube."""
        return None if self._moments is None else len(self._moments.count)

    def update(self, image: NDArray[Any], valid: BoolArray | None = None) -> None:
        """Take a cube into account.

        Args:
            image: Numbers of shape ``(C, ...)``, such as ``(C, H, W)``.
            valid: What counts: pixels, of the shape of a band, or numbers, of the shape
                of the image. Numbers that are not finite never do. The covariance takes
                only pixels with numbers in all bands.

        Raises:
            BandMismatchError: If the shape of *valid* or the number of bands is another
                one than expected.
        """
        shape = np.shape(image)
        pixels = np.asarray(image).reshape(shape[0], -1)
        if valid is not None and np.shape(valid) not in (shape, shape[1:]):
            raise BandMismatchError(
                f'Expected a mask of shape {shape[1:]} or {shape}, got '
                f'{np.shape(valid)}.'
            )
        self._open(shape[0])
        self.pixels += pixels.shape[1]
        if valid is not None:
            is_whole = np.ndim(valid) == len(shape)
            valid = np.reshape(valid, pixels.shape if is_whole else -1).astype(bool)
        mask: BoolArray | None = valid
        if mask is not None and mask.all():
            mask = None
        if mask is None or mask.ndim == 1:
            chosen = (
                pixels if mask is None else pixels.take(np.flatnonzero(mask), axis=1)
            )
            if _is_finite(chosen):
                self._add(chosen)
                return
        finite = np.isfinite(pixels)
        mask = finite if mask is None else finite & mask
        complete = mask.all(axis=0)
        self._add(pixels[:, complete])
        some = mask.any(axis=0) & ~complete
        self._add_masked(pixels[:, some], mask[:, some])

    def _open(self, num_bands: int) -> tuple[Moments, Scatter, QuantileSketch]:
        """Make room for the bands, the first time."""
        if self._moments is None:
            self._moments = Moments(num_bands)
            self._scatter = Scatter(num_bands if self.covariance else 0)
            self._sketch = QuantileSketch(num_bands, self.accuracy or 0.5)
        if len(self._moments.count) != num_bands:
            raise BandMismatchError(
                f'Expected {self.num_bands} bands in every sample, got {num_bands}. '
                'Choose bands that all files have.'
            )
        assert self._scatter is not None
        assert self._sketch is not None
        return self._moments, self._scatter, self._sketch

    def _add(self, pixels: NDArray[Any]) -> None:
        """Take pixels into account that all count, shape ``(C, N)``."""
        moments, scatter, sketch = self._open(len(pixels))
        for start in range(0, pixels.shape[1], _CHUNK):
            part = pixels[:, start : start + _CHUNK]
            own, deviations = Moments.of(part)
            moments.merge(own)
            if self.covariance:
                scatter.merge(Scatter.of(part.shape[1], own.mean, deviations))
        if self.accuracy is not None:
            sketch.update(pixels)

    def _add_masked(self, pixels: NDArray[Any], mask: BoolArray) -> None:
        """Take pixels into account that lack some bands, shape ``(C, N)``."""
        moments, _, sketch = self._open(len(pixels))
        for start in range(0, pixels.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            moments.merge(Moments.of_masked(pixels[:, part], mask[:, part]))
        if self.accuracy is not None:
            sketch.update(pixels, mask)

    def merge(self, other: Self) -> None:
        """Take into account what another instance has seen.

        Args:
            other: An instance with the same options.

        Raises:
            BandMismatchError: If options or the number of bands differ.
        """
        if (other.covariance, other.accuracy) != (self.covariance, self.accuracy):
            raise BandMismatchError(
                'Expected statistics with the same covariance= and accuracy=.'
            )
        if other.num_bands is None:
            return
        theirs = other._open(other.num_bands)
        moments, scatter, sketch = self._open(other.num_bands)
        self.pixels += other.pixels
        moments.merge(theirs[0])
        scatter.merge(theirs[1])
        sketch.merge(theirs[2])

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation (of the population) of each band.

        Returns:
            Two arrays of shape ``(C,)``; NaN for bands without a number.

        Raises:
            EmptyDataError: If no band has a number.
        """
        moments = self._moments
        if moments is None or not moments.count.any():
            raise EmptyDataError(
                'No valid pixel to compute statistics of. Check nodata, the selected '
                'bands and quality=: clouds may flag everything.'
            )
        count = np.where(moments.count > 0, moments.count, np.nan)
        mean = np.where(moments.count > 0, moments.mean, np.nan)
        return mean, np.sqrt(moments.square / count)

    def summary(
        self,
        names: Sequence[str] | None = None,
        wavelength: Sequence[float] | None = None,
        source: str = '',
    ) -> BandSummary:
        """Return what is known about the bands.

        Args:
            names: Names of the bands; ``'1'``, ``'2'``, … by default.
            wavelength: Centres of the bands in micrometres, or None.
            source: What the statistics are of.

        Returns:
            The summary.

        Raises:
            EmptyDataError: If no band has a number.
            BandMismatchError: If there is not one name and wavelength for each band.
        """
        mean, std = self.moments()
        moments, scatter, sketch = self._open(len(mean))
        known = moments.count > 0
        low, high = (
            np.where(known, edge, np.nan) for edge in (moments.low, moments.high)
        )
        quantiles = {}
        if self.accuracy is not None:
            # the middle of a bin may lie outside of what was seen
            found = np.clip(sketch.quantiles(QUANTILES), low, high)
            quantiles = dict(zip(QUANTILES, found, strict=True))
        plain = tuple(str(i + 1) for i in range(len(mean)))
        return BandSummary(
            names=plain if names is None else tuple(names),
            wavelength=None if wavelength is None else np.asarray(wavelength, float),
            pixels=self.pixels,
            count=moments.count.copy(),
            mean=mean,
            std=std,
            minimum=low,
            maximum=high,
            quantiles=quantiles,
            accuracy=self.accuracy,
            covariance=scatter.covariance() if self.covariance else None,
            source=source,
        )


def _is_finite(pixels: NDArray[Any]) -> bool:
    """Whether all numbers are finite."""
    if pixels.dtype.kind != 'f':
        return True
    # a sum tells it much faster; only of huge numbers it is not finite itself
    with np.errstate(over='ignore', invalid='ignore'):
        if np.isfinite(pixels.sum()):
            return True
    return bool(np.isfinite(pixels).all())
