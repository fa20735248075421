# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra as series: one for each stretch of wavelengths without gaps."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...errors import BandMismatchError, UnitError
from ..bands import BandSet
from .base import Series
from .chebyshev import Chebyshev

#: Water vapour hides the ground here, in micrometres.
WATER_BANDS = ((1.35, 1.45), (1.80, 1.95))


class SpectrumSeries:
    """Spectra as coefficients, whatever the bands that they were measured in.

    Each window of wavelengths has a series of its own, fitted to the band values by
    weighted least squares; so bands may lie unevenly, some may be missing, and nothing
    is made up where the atmosphere hides the ground. From the coefficients, spectra and
    their derivatives can be evaluated at any wavelength inside of the windows.

    The values are taken as samples at the band centres. That neglects the widths of the
    bands, so sensors with bands as narrow as each other can be exchanged for each other,
    and broad bands cannot be made from these: use
    :func:`~torchgeo_hsi.physics.resample` for that.

    Args:
        wavelength: Band centres in micrometres, shape ``(C,)``, in any order.
        windows: Lowest and highest wavelength of each window; by default everything
            between the bands of water vapour, cut where neighbouring bands are more
            than three times as far apart as usual.
        bands_per_term: Bands for each coefficient of a window; 2 or more smooths.
        series: ``Chebyshev()`` or ``Legendre()``.
        ridge: Penalty of high terms, relative to the trace of the normal equations;
            keeps windows with uneven bands from ringing.

    Raises:
        BandMismatchError: If no window has enough bands.
        UnitError: If wavelengths look like nanometres.

    Example:
        >>> import torch
        >>> wavelength = torch.linspace(0.45, 1.3, 90)
        >>> series = SpectrumSeries(wavelength, bands_per_term=3)
        >>> spectra = torch.sin(5 * wavelength)[None]
        >>> coefficients = series.fit(spectra)
        >>> where = torch.tensor([0.5, 0.9, 1.2])
        >>> found, inside = series.evaluate(coefficients, where)
        >>> torch.allclose(found, torch.sin(5 * where), atol=1e-4), bool(inside.all())
        (True, True)
    """

    def __init__(
        self,
        wavelength: ArrayLike | Tensor,
        windows: Sequence[tuple[float, float]] | None = None,
        bands_per_term: float = 3.0,
        series: Series | None = None,
        ridge: float = 1e-9,
    ) -> None:
        """Initialize a new SpectrumSeries instance; see the class for arguments."""
        centres = np.asarray(wavelength, dtype=np.float64).ravel().copy()
        if centres.max() > 100:
            raise UnitError(
                f'Expected wavelengths in micrometres, got up to {centres.max():g}. '
                'Divide nanometres by 1000.'
            )
        self.wavelength = torch.from_numpy(centres)
        self.series: Series = Chebyshev() if series is None else series
        self.ridge = ridge
        spans = find_windows(centres) if windows is None else list(windows)
        self.windows: list[tuple[float, float]] = []
        self.terms: list[int] = []
        self._members: list[Tensor] = []
        for low, high in spans:
            inside = (centres >= low) & (centres <= high)
            terms = int(inside.sum() // bands_per_term)
            if terms >= 2:
                self.windows.append((float(low), float(high)))
                self.terms.append(terms)
                self._members.append(torch.from_numpy(np.flatnonzero(inside)))
        if not self.windows:
            raise BandMismatchError(
                f'No window of {len(centres)} bands from {centres.min():.3f} to '
                f'{centres.max():.3f} um has two coefficients. Pass windows= that hold '
                'more bands, or lower bands_per_term.'
            )

    @classmethod
    def of(cls, bands: BandSet, **options: object) -> Self:
        """Make the series of the bands of a sensor.

        Args:
            bands: The bands.
            **options: More arguments.

        Returns:
            The series.
        """
        return cls(np.asarray(bands.wavelength), **options)  # type: ignore[arg-type]

    @property
    def num_terms(self) -> int:
        """Number of coefficients of all windows."""
        return sum(self.terms)

    def fit(
        self, spectra: Tensor, weights: Tensor | None = None, dim: int = -1
    ) -> Tensor:
        """Compute coefficients.

        Args:
            spectra: Band values, with *C* bands along *dim*.
            weights: What each band counts, shape ``(C,)`` for all spectra, or that of
                *spectra*; 0 for bands without data, else e.g. one over the variance of
                their noise. Equal by default.
            dim: Axis of the bands.

        Returns:
            Coefficients of all windows one after the other, ``num_terms`` along *dim*.

        Raises:
            BandMismatchError: If there are other bands, or weights of another shape.
        """
        moved = spectra.movedim(dim, -1)
        count = len(self.wavelength)
        if moved.shape[-1] != count:
            raise BandMismatchError(
                f'Expected {count} bands along axis {dim}, got {tuple(spectra.shape)}.'
            )
        if weights is None or weights.ndim == 1:
            matrix = self.fit_matrix(weights).to(moved)
            return (moved @ matrix.T).movedim(-1, dim)
        if weights.shape != spectra.shape:
            raise BandMismatchError(
                f'Expected weights of shape ({count},) or {tuple(spectra.shape)}, got '
                f'{tuple(weights.shape)}.'
            )
        found = self._fit_each(moved.double(), weights.movedim(dim, -1).double())
        return found.to(moved).movedim(-1, dim)

    def fit_matrix(self, weights: Tensor | None = None) -> Tensor:
        """Return the matrix that turns band values into coefficients.

        Args:
            weights: What each band counts, shape ``(C,)``; equal by default.

        Returns:
            Matrix of shape ``(num_terms, C)``, float64.
        """
        count = len(self.wavelength)
        weights = torch.ones(count) if weights is None else weights
        unit = torch.eye(count, dtype=torch.float64)
        each = weights.double().expand(count, count)
        return self._fit_each(unit, each).T

    def _fit_each(self, spectra: Tensor, weights: Tensor) -> Tensor:
        """Solve the normal equations of each window, float64 of shape (..., C)."""
        parts = []
        for window, terms, members in zip(
            self.windows, self.terms, self._members, strict=True
        ):
            basis = self.series.basis(terms, _scaled(self.wavelength[members], window))
            weighted = basis.T * weights[..., None, members]
            normal = weighted @ basis
            trace = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
            degree = torch.arange(terms, dtype=torch.float64) / terms
            normal = normal + self.ridge * (trace + 1e-300) * torch.diag(degree**4)
            # a window without data has nothing but the penalty
            normal = normal + 1e-14 * (trace + 1) * torch.eye(terms).double()
            right = (weighted @ spectra[..., members, None])[..., 0]
            parts.append(torch.linalg.solve(normal, right))
        return torch.cat(parts, dim=-1)

    def evaluate(
        self,
        coefficients: Tensor,
        wavelength: ArrayLike | Tensor,
        derivative: int = 0,
        dim: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate spectra, or their derivatives, at any wavelength.

        Args:
            coefficients: What :meth:`fit` returned.
            wavelength: Where, in micrometres, shape ``(M,)``.
            derivative: Order of the derivative, in units of values per micrometre to
                this power.
            dim: Axis of the coefficients.

        Returns:
            Values with *M* entries along *dim*, 0 outside of all windows; and which of
            the wavelengths lie in one, bool of shape ``(M,)``.
        """
        matrix, inside = self.evaluation_matrix(wavelength, derivative)
        moved = coefficients.movedim(dim, -1)
        values = (moved @ matrix.to(moved).T).movedim(-1, dim)
        return values, inside.to(values.device)

    def evaluation_matrix(
        self, wavelength: ArrayLike | Tensor, derivative: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return the matrix that turns coefficients into values.

        Args:
            wavelength: Where, in micrometres, shape ``(M,)``.
            derivative: Order of the derivative.

        Returns:
            Matrix of shape ``(M, num_terms)``, float64, and which of the wavelengths
            lie in a window, bool of shape ``(M,)``.
        """
        where = torch.as_tensor(np.asarray(wavelength, dtype=np.float64)).ravel()
        matrix = torch.zeros(len(where), self.num_terms, dtype=torch.float64)
        known = torch.zeros(len(where), dtype=torch.bool)
        start = 0
        for window, terms in zip(self.windows, self.terms, strict=True):
            inside = (where >= window[0]) & (where <= window[1]) & ~known
            basis = self.series.basis(terms, _scaled(where[inside], window))
            if derivative:
                unit = torch.eye(terms, dtype=torch.float64)
                basis = basis @ self.series.differentiate(unit, derivative, 0)
                basis = basis / (window[1] - window[0]) ** derivative
            matrix[inside, start : start + terms] = basis
            known |= inside
            start += terms
        return matrix, known


def _scaled(wavelength: Tensor, window: tuple[float, float]) -> Tensor:
    """Map a window to the unit interval."""
    return (wavelength - window[0]) / (window[1] - window[0])


def find_windows(
    wavelength: ArrayLike, hidden: Sequence[tuple[float, float]] = WATER_BANDS
) -> list[tuple[float, float]]:
    """Find stretches of wavelengths that bands cover without a gap.

    Args:
        wavelength: Band centres in micrometres.
        hidden: Stretches whose bands do not count.

    Returns:
        Lowest and highest centre of each stretch, in rising order.
    """
    centres = np.unique(np.asarray(wavelength, dtype=np.float64))
    for low, high in hidden:
        centres = centres[(centres < low) | (centres > high)]
    if not len(centres):
        return []
    steps = np.diff(centres)
    usual = np.median(steps) if len(steps) else 0.0
    cuts = [i + 1 for i in range(len(steps)) if steps[i] > 3 * usual]
    for low, high in hidden:
        after = int(np.searchsorted(centres, high))
        if 0 < after < len(centres) and centres[after - 1] < low:
            cuts.append(after)
    parts = np.split(centres, sorted(set(cuts)))
    return [(float(part[0]), float(part[-1])) for part in parts if len(part) > 1]
