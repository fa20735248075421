# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Quantiles of all numbers of a scene, wherever they lie."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._typing import BoolArray, FloatArray
from ..physics.statistics import QuantileSketch

#: How many times as far from 0 as from each other numbers may lie before something is
#: subtracted from them: a sketch is exact relative to the size of a number.
_FAR = 2.0


class SceneLevels:
    """Quantiles of the numbers of some bands, which are chosen in the end.

    Args:
        num_bands: Number of bands that are seen.
    """

    def __init__(self, num_bands: int) -> None:
        """Initialize a new SceneLevels instance."""
        self._sketch = QuantileSketch(num_bands)
        self._origin: float | None = None

    def update(self, values: FloatArray, valid: BoolArray) -> None:
        """Count numbers.

        Args:
            values: Numbers of shape ``(C, h, w)``.
            valid: Numbers that count, of the same shape.
        """
        if not valid.any():
            return
        if self._origin is None:
            self._origin = _origin(values[valid])
        if self._origin:
            values = values - self._origin
        count = len(values)
        self._sketch.update(values.reshape(count, -1), valid.reshape(count, -1))

    def quantiles(self, shares: ArrayLike, bands: Sequence[int]) -> NDArray[np.float64]:
        """Return quantiles of all numbers of some bands.

        Args:
            shares: Shares from 0 to 1, shape ``(Q,)``.
            bands: The bands, in the order in which they were seen, from 0.

        Returns:
            Quantiles of shape ``(Q,)``.
        """
        found = self._sketch.pooled(bands).quantiles(shares)[:, 0]
        return found + (self._origin or 0.0)


def _origin(values: FloatArray) -> float:
    """Return what to subtract from numbers that lie far from 0, else 0."""
    low, high = float(values.min()), float(values.max())
    if max(abs(low), abs(high)) <= _FAR * (high - low):
        return 0.0
    # whole, because whole numbers are counted faster
    return float(np.rint(low)) if abs(low) >= 1 else low
