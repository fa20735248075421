# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is told about a map of a gas."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from ..errors import EmptyDataError
from ..physics.gases import GasRetrieval

#: Standard errors at which pixels are counted.
_LEVELS = (3, 5)

#: Range and number of the bins of significances and logarithms of errors.
_RANGE, _BINS = 30.0, 6000

#: Logarithms (base 10) of the smallest and largest error in ppm m that are told apart.
_ERRORS = (-2.0, 8.0)


@dataclass(frozen=True)
class GasReport:
    """What :func:`~torchgeo_hsi.workflows.map_gas` found.

    Args:
        gas: Name of the gas.
        background: Kind of background.
        bands: Names of the bands that were used.
        left_out: Names of bands that lack data.
        windows: Wavelengths in micrometres that were looked at.
        sun_zenith: Zenith angle of the sun in degrees.
        view_zenith: Zenith angle of the view in degrees.
        pixels: Pixels of the scene.
        valid: Share of them with a result.
        error: Median standard error in ppm m.
        spread: Robust spread of enhancements in standard errors: 1 where the scene is
            as the statistics say, more where errors are too small.
        above: Pixels that lie more than 3 and 5 standard errors above 0.
        below: Pixels that lie as far below, where no gas can be.
        most: Largest significance.
        place: Its row and column.
        seconds: Time it took.
        output: The map.
    """

    gas: str
    background: str
    bands: tuple[str, ...]
    left_out: tuple[str, ...]
    windows: tuple[tuple[float, float], ...]
    sun_zenith: float
    view_zenith: float
    pixels: int
    valid: float
    error: float
    spread: float
    above: dict[int, int]
    below: dict[int, int]
    most: float
    place: tuple[int, int]
    seconds: float = 0.0
    output: str = ''

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns:
            Values by name.
        """
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Say it in words.

        Returns:
            Pairs of a name and a value.
        """
        counts = [
            f'{self.above[level]:,} pixels above, {self.below[level]:,} below'
            for level in _LEVELS
        ]
        return [
            ('gas', self.gas),
            ('background', self.background),
            ('bands', f'{len(self.bands)} ({self.bands[0]} to {self.bands[-1]})'),
            ('sun zenith', f'{self.sun_zenith:.1f} degrees'),
            ('with a result', f'{self.valid:.1%} of {self.pixels:,} pixels'),
            ('standard error', f'{self.error:.0f} ppm m (median)'),
            ('spread', f'{self.spread:.2f} standard errors'),
            *(
                (f'{level} errors', count)
                for level, count in zip(_LEVELS, counts, strict=True)
            ),
            ('most', f'{self.most:.1f} errors at row, column {self.place}'),
        ]


@dataclass
class Tally:
    """Counts what strips of a map hold, in bounded memory."""

    pixels: int = 0
    valid: int = 0
    most: float = -np.inf
    place: tuple[int, int] = (-1, -1)
    above: dict[int, int] = field(default_factory=lambda: dict.fromkeys(_LEVELS, 0))
    below: dict[int, int] = field(default_factory=lambda: dict.fromkeys(_LEVELS, 0))
    values: Any = 0.0
    errors: Any = 0.0

    def add(self, found: GasRetrieval, row: int) -> None:
        """Count a strip.

        Args:
            found: What the filter found.
            row: First row of the strip.
        """
        significance = found.significance
        known = significance.isfinite()
        self.pixels += known.numel()
        if not known.any():
            return
        values = significance[known]
        self.valid += len(values)
        for level in _LEVELS:
            self.above[level] += int((values > level).sum())
            self.below[level] += int((values < -level).sum())
        bounded = values.clamp(-_RANGE, _RANGE).cpu()
        self.values = self.values + torch.histc(bounded, _BINS, -_RANGE, _RANGE)
        logarithm = found.error[known].log10().clamp(*_ERRORS).cpu()
        self.errors = self.errors + torch.histc(logarithm, _BINS, *_ERRORS)
        top = significance.nan_to_num(-torch.inf)
        if float(top.max()) > self.most:
            self.most = float(top.max())
            place = divmod(int(top.argmax()), top.shape[1])
            self.place = row + place[0], place[1]

    def summary(self) -> dict[str, Any]:
        """Return what :class:`GasReport` tells of it.

        Raises:
            EmptyDataError: If no pixel has a result.
        """
        if not self.valid:
            raise EmptyDataError(
                'Expected pixels that are bright enough to see a gas above them, got '
                'none. Lower darkest=, or choose another scene.'
            )
        low, high = (_quantile(self.values, q, -_RANGE, _RANGE) for q in (0.25, 0.75))
        return {
            'pixels': self.pixels,
            'valid': self.valid / max(self.pixels, 1),
            'error': 10 ** _quantile(self.errors, 0.5, *_ERRORS),
            # of a normal distribution
            'spread': (high - low) / 1.349,
            'above': self.above,
            'below': self.below,
            'most': self.most,
            'place': self.place,
        }


def _quantile(counts: Any, share: float, low: float, high: float) -> float:
    """Read a quantile from a histogram."""
    total = np.concatenate([[0], np.cumsum(np.asarray(counts))])
    edges = np.linspace(low, high, len(total))
    return float(np.interp(share * total[-1], total, edges))
