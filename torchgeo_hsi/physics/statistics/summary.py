# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is known about the values of bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BandMismatchError

#: Largest distance in micrometres between bands that count as the same.
SAME_BAND = 0.006


@dataclass(frozen=True, eq=False)
class BandSummary:
    """Statistics of the bands of a dataset, in the unit of its samples.

    Args:
        names: Names of the bands.
        wavelength: Centres in micrometres, shape ``(C,)``, or None.
        pixels: Number of pixels, valid or not.
        count: Number of pixels that were valid, shape ``(C,)``. Where it is 0, the
            numbers below are NaN.
        mean: Means, shape ``(C,)``.
        std: Standard deviations of the population, shape ``(C,)``.
        minimum: Least values, shape ``(C,)``.
        maximum: Largest values, shape ``(C,)``.
        quantiles: Quantiles of shape ``(C,)``, by their share.
        accuracy: Bound of the relative error of quantiles, or None without any.
        covariance: Covariance of the bands, of the population, over the pixels that
            are valid in all bands, shape ``(C, C)``; None if it was not computed, or
            there is no such pixel.
        source: What the statistics are of.

    Raises:
        BandMismatchError: If shapes do not fit.
    """

    names: tuple[str, ...]
    wavelength: NDArray[np.float64] | None
    pixels: int
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    quantiles: Mapping[float, NDArray[np.float64]] = field(default_factory=dict)
    accuracy: float | None = None
    covariance: NDArray[np.float64] | None = None
    source: str = ''

    def __post_init__(self) -> None:
        """Check that everything has one value for each band."""
        count = len(self.names)
        vectors: dict[str, NDArray[Any]] = {
            'count': self.count,
            'mean': self.mean,
            'std': self.std,
            'minimum': self.minimum,
            'maximum': self.maximum,
            **{f'quantile {share}': row for share, row in self.quantiles.items()},
        }
        if self.wavelength is not None:
            vectors['wavelength'] = self.wavelength
        shapes = {name: np.shape(vector) for name, vector in vectors.items()}
        wrong = {name: shape for name, shape in shapes.items() if shape != (count,)}
        if self.covariance is not None and self.covariance.shape != (count, count):
            wrong['covariance'] = self.covariance.shape
        if wrong:
            raise BandMismatchError(
                f'Expected one value for each of {count} bands, got shapes {wrong}.'
            )

    @property
    def valid_share(self) -> NDArray[np.float64]:
        """Share of the pixels that were valid, shape ``(C,)``."""
        return np.asarray(self.count / max(self.pixels, 1))

    def find(
        self, names: Sequence[str], wavelength: Sequence[float] | None = None
    ) -> list[int]:
        """Find bands, by name, or else by wavelength.

        Args:
            names: Names of the bands.
            wavelength: Their centres in micrometres, for bands that have other names
                here.

        Returns:
            Positions in this summary, in the order of *names*.

        Raises:
            BandMismatchError: If a band is missing.
        """
        known = {name: i for i, name in enumerate(self.names)}
        if all(name in known for name in names):
            return [known[name] for name in names]
        if wavelength is not None and self.wavelength is not None:
            distance = np.abs(self.wavelength - np.asarray(wavelength)[:, None])
            nearest = distance.argmin(axis=1)
            found = distance[np.arange(len(nearest)), nearest] <= SAME_BAND
            if found.all():
                return [int(i) for i in nearest]
        missing = [name for name in names if name not in known]
        raise BandMismatchError(
            f'There are statistics of {len(self.names)} bands ({self.names[0]} to '
            f'{self.names[-1]}), but not of {", ".join(missing[:5])} ({len(missing)} of '
            f'{len(names)} bands). Compute them again with these bands, by '
            '"torchgeo-hsi stats".'
        )

    def select(
        self, names: Sequence[str], wavelength: Sequence[float] | None = None
    ) -> 'BandSummary':
        """Return the summary of some of the bands.

        Args:
            names: Names of the bands, in the order wanted.
            wavelength: Their centres in micrometres, see :meth:`find`.

        Returns:
            The summary.

        Raises:
            BandMismatchError: If a band is missing.
        """
        at = self.find(names, wavelength)
        matrix = self.covariance
        return BandSummary(
            names=tuple(names),
            wavelength=None if self.wavelength is None else self.wavelength[at],
            pixels=self.pixels,
            count=self.count[at],
            mean=self.mean[at],
            std=self.std[at],
            minimum=self.minimum[at],
            maximum=self.maximum[at],
            quantiles={share: row[at] for share, row in self.quantiles.items()},
            accuracy=self.accuracy,
            covariance=None if matrix is None else matrix[np.ix_(at, at)],
            source=self.source,
        )
