# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra as series: one for each stretch of wavelengths without gaps."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...errors import BandMismatchError, UnitError
from ..bands import BandSet
from ..units import check_fwhm, check_micrometres
from ._values import check_weights, floating, without
from ._windows import MARGIN, Window, normal_equations
from .base import Series
from .chebyshev import Chebyshev

#: Water vapour hides the ground here, in micrometres.
WATER_BANDS = ((1.35, 1.45), (1.80, 1.95))


class SpectrumSeries:
    r"""Spectra as coefficients, whatever the bands that they were measured in.

    Each window of wavelengths has a series of its own, fitted to the band values by
    weighted least squares; so bands may lie unevenly, some may be missing, and nothing
    is made up where the atmosphere hides the ground. From the coefficients, spectra and
    their derivatives can be evaluated at any wavelength inside of the windows.

    With FWHMs, the series is the spectrum in front of the sensor, which the Gaussian
    responses of its bands average; evaluated with FWHMs, it is what other bands see of
    it. Without them, values are samples at the band centres, and widths do not matter.

    What is minimized is the weighted mean square of the residuals plus
    :math:`L^4 \overline{(s'')^2}`, the mean square of the second derivative times the
    fourth power of the length *smoothness*: features shorter than it are taken for
    noise, and gaps are bridged by the smoothest curve.

    Args:
        wavelength: Band centres in micrometres, shape ``(C,)``, in any order.
        windows: Lowest and highest wavelength of each window; by default everything
            between the bands of water vapour, cut where neighbouring bands are more
            than three times as far apart as usual.
        bands_per_term: Bands for each coefficient of a window; 3 smooths, but does not
            follow every feature.
        series: ``Chebyshev()`` or ``Legendre()``.
        fwhm: Full widths at half maximum in micrometres, shape ``(C,)``.
        smoothness: Length in micrometres below which features are suppressed. More is
            better for noisy spectra, less for clean ones.

    Raises:
        BandMismatchError: If no window has enough bands, or widths are missing.
        UnitError: If wavelengths, widths or *smoothness* look like nanometres.
        ValueError: If *bands_per_term* is not positive.

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
        bands_per_term: float = 1.5,
        series: Series | None = None,
        *,
        fwhm: ArrayLike | Tensor | None = None,
        smoothness: float = 0.004,
    ) -> None:
        """Initialize a new SpectrumSeries instance; see the class for arguments."""
        centres = _micrometres(wavelength)
        widths = None if fwhm is None else check_fwhm(np.asarray(fwhm), len(centres))
        if not 0 <= smoothness < 1:
            raise UnitError(
                'Expected smoothness in micrometres, from 0 to less than 1, got '
                f'{smoothness}. Divide nanometres by 1000.'
            )
        if not bands_per_term > 0:
            raise ValueError(
                f'Expected bands_per_term above 0, such as 1.5, got {bands_per_term}.'
            )
        self.wavelength = torch.tensor(centres)
        self.fwhm = None if widths is None else torch.tensor(widths)
        self.series: Series = Chebyshev() if series is None else series
        self.smoothness = smoothness
        spans = find_windows(centres) if windows is None else list(windows)
        self._windows: list[Window] = []
        self._members: list[Tensor] = []
        for low, high in spans:
            inside = np.flatnonzero((centres >= low) & (centres <= high))
            terms = int(len(inside) // bands_per_term)
            if terms >= 2:
                margin = 0.0 if widths is None else MARGIN * float(widths[inside].max())
                self._windows.append(
                    Window(float(low), float(high), terms, self.series, margin)
                )
                self._members.append(torch.from_numpy(inside))
        if not self._windows:
            raise BandMismatchError(
                f'No window of {len(centres)} bands from {centres.min():.3f} to '
                f'{centres.max():.3f} um has two coefficients. Pass windows= that hold '
                'more bands, or lower bands_per_term.'
            )

    @classmethod
    def of(cls, bands: BandSet, **options: Any) -> Self:
        """Make the series of the bands of a sensor, with their widths if known.

        Args:
            bands: The bands.
            **options: More arguments.

        Returns:
            The series.
        """
        return cls(bands.wavelength, **{'fwhm': bands.fwhm, **options})

    @property
    def windows(self) -> list[tuple[float, float]]:
        """Lowest and highest wavelength of each window, in micrometres."""
        return [(window.low, window.high) for window in self._windows]

    @property
    def terms(self) -> list[int]:
        """Number of coefficients of each window."""
        return [window.terms for window in self._windows]

    @property
    def num_terms(self) -> int:
        """Number of coefficients of all windows."""
        return sum(self.terms)

    def fit(
        self, spectra: Tensor, weights: Tensor | None = None, dim: int = -1
    ) -> Tensor:
        """Compute coefficients.

        Args:
            spectra: Band values, with *C* bands along *dim*. Whole numbers and half
                precision become float32.
            weights: What each band counts relative to the others of its window, shape
                ``(C,)`` for all spectra, or that of *spectra*; 0 for bands without
                data, else e.g. one over the variance of their noise. Equal by default.
            dim: Axis of the bands.

        Returns:
            Coefficients of all windows one after the other, ``num_terms`` along *dim*;
            0 in windows where no band counts.

        Raises:
            BandMismatchError: If there are other bands, or weights of another shape.
            ValueError: If a weight is negative or NaN.
        """
        moved = floating(spectra).movedim(dim, -1)
        count = len(self.wavelength)
        if moved.shape[-1] != count:
            raise BandMismatchError(
                f'Expected {count} bands along axis {dim}, got {tuple(spectra.shape)}.'
            )
        if weights is None or weights.ndim == 1:
            matrix = self.fit_matrix(weights).to(moved)
            return (without(moved, weights) @ matrix.T).movedim(-1, dim)
        if weights.shape != spectra.shape:
            raise BandMismatchError(
                f'Expected weights of shape ({count},) or {tuple(spectra.shape)}, got '
                f'{tuple(weights.shape)}.'
            )
        check_weights(weights)
        counts = weights.movedim(dim, -1).double()
        values = without(moved.double(), counts)
        parts = []
        for i, members in enumerate(self._members):
            members = members.to(values.device)
            normal, right = self._equations(i, counts[..., members])
            sums = right @ values[..., members, None]
            parts.append(torch.linalg.solve(normal, sums)[..., 0])
        return torch.cat(parts, dim=-1).to(moved).movedim(-1, dim)

    def fit_matrix(self, weights: Tensor | None = None) -> Tensor:
        """Return the matrix that turns band values into coefficients.

        Args:
            weights: What each band counts, shape ``(C,)``; equal by default.

        Returns:
            Matrix of shape ``(num_terms, C)``, float64.

        Raises:
            BandMismatchError: If there is not one weight for each band.
            ValueError: If a weight is negative or NaN.
        """
        count = len(self.wavelength)
        weights = torch.ones(count) if weights is None else weights.detach().cpu()
        if tuple(weights.shape) != (count,):
            raise BandMismatchError(
                f'Expected {count} weights, one for each band, got shape '
                f'{tuple(weights.shape)}.'
            )
        check_weights(weights)
        matrix = torch.zeros(self.num_terms, count, dtype=torch.float64)
        start = 0
        for i, (terms, members) in enumerate(
            zip(self.terms, self._members, strict=True)
        ):
            normal, right = self._equations(i, weights.double()[members])
            rows = torch.linalg.solve(normal, right)
            matrix[start : start + terms].index_copy_(1, members, rows)
            start += terms
        return matrix

    def _equations(self, index: int, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Build the normal equations of a window, for weights of shape (..., K)."""
        window, members = self._windows[index], self._members[index]
        width = None if self.fwhm is None else self.fwhm[members]
        basis = window.basis(self.wavelength[members], width).to(weights)
        penalty = self.smoothness**4 * window.roughness()
        return normal_equations(basis, weights, penalty.to(weights))

    def evaluate(
        self,
        coefficients: Tensor,
        wavelength: ArrayLike | Tensor,
        derivative: int = 0,
        dim: int = -1,
        *,
        fwhm: ArrayLike | Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate spectra, or their derivatives, at any wavelength.

        Args:
            coefficients: What :meth:`fit` returned.
            wavelength: Where, in micrometres, shape ``(M,)``.
            derivative: Order of the derivative, in units of values per micrometre to
                this power.
            dim: Axis of the coefficients.
            fwhm: Full widths at half maximum in micrometres of the bands that see the
                spectra, shape ``(M,)``; infinitely narrow ones by default.

        Returns:
            Values with *M* entries along *dim*, 0 outside of all windows; and which of
            the wavelengths lie in one, bool of shape ``(M,)``.
        """
        matrix, inside = self.evaluation_matrix(wavelength, derivative, fwhm=fwhm)
        moved = coefficients.movedim(dim, -1)
        values = (moved @ matrix.to(moved).T).movedim(-1, dim)
        return values, inside.to(values.device)

    def evaluation_matrix(
        self,
        wavelength: ArrayLike | Tensor,
        derivative: int = 0,
        *,
        fwhm: ArrayLike | Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the matrix that turns coefficients into values.

        Args:
            wavelength: Where, in micrometres, shape ``(M,)``.
            derivative: Order of the derivative.
            fwhm: Full widths at half maximum in micrometres, shape ``(M,)``.

        Returns:
            Matrix of shape ``(M, num_terms)``, float64, and which of the wavelengths
            lie in a window, bool of shape ``(M,)``; of bands, at least the half around
            their centre.

        Raises:
            BandMismatchError: If there is not one width for each wavelength.
            UnitError: If wavelengths or widths look like nanometres.
        """
        centres = _micrometres(wavelength)
        where = torch.tensor(centres)
        width = None
        if fwhm is not None:
            width = torch.tensor(check_fwhm(np.asarray(fwhm), len(centres)))
        matrix = torch.zeros(len(where), self.num_terms, dtype=torch.float64)
        known = torch.zeros(len(where), dtype=torch.bool)
        start = 0
        for window in self._windows:
            inside = window.contains(where, width) & ~known
            some = None if width is None else width[inside]
            basis = window.basis(where[inside], some, derivative)
            matrix[inside, start : start + window.terms] = basis
            known |= inside
            start += window.terms
        return matrix, known

    def resampling_matrix(
        self, target: BandSet, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the linear map from these bands to those of another sensor.

        Args:
            target: Bands to make. Their widths count if the series has widths, too.
            weights: What each band counts, shape ``(C,)``; equal by default.

        Returns:
            Matrix of shape ``(M, C)``, float64, for
            :func:`~torchgeo_hsi.physics.project`, with rows of 0 for bands outside of
            all windows; and which are inside, bool of shape ``(M,)``.

        Example:
            >>> from torchgeo_hsi.physics import get_sensor
            >>> enmap, prisma = (get_sensor(n).default_bandset for n in ('enmap', 'prisma'))
            >>> matrix, inside = SpectrumSeries.of(enmap).resampling_matrix(prisma)
            >>> matrix.shape, int(inside.sum())
            (torch.Size([234, 202]), 174)
        """
        width = None if self.fwhm is None else target.fwhm
        matrix, inside = self.evaluation_matrix(target.wavelength, fwhm=width)
        return matrix @ self.fit_matrix(weights), inside


def _micrometres(wavelength: ArrayLike | Tensor) -> np.ndarray:
    """Return wavelengths as float64 of shape (C,)."""
    if isinstance(wavelength, Tensor):
        wavelength = wavelength.detach().cpu().numpy()
    values = np.asarray(wavelength, dtype=np.float64).ravel()
    if values.size and values.max() > 100:
        raise UnitError(
            f'Expected wavelengths in micrometres, got up to {values.max():g}. '
            'Divide nanometres by 1000.'
        )
    return check_micrometres(values) if values.size else values


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
