# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Derivative spectroscopy: slopes and curvatures of spectra at their bands."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import BandMismatchError
from ..bands import BandSet
from ._values import floating, without
from .base import check_order
from .spectrum import SpectrumSeries

#: Distance in micrometres of the wavelengths where the steepest slope is looked for.
_STEP = 0.0005


def derivative_matrix(
    bands: BandSet, order: int = 1, weights: Tensor | None = None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Return the linear map from spectra to their derivatives at the same bands.

    Args:
        bands: The bands; with FWHMs, it is the derivative of the spectrum in front of
            the sensor.
        order: Order of the derivative, 0 for the smoothed spectrum.
        weights: What each band counts, shape ``(C,)``, e.g. one over the variance of
            its noise; equal by default.
        **options: Arguments of :class:`SpectrumSeries`, such as ``smoothness``.

    Returns:
        Matrix of shape ``(C, C)``, float64, in 1 per micrometre to the power of
        *order*, with rows of 0 for bands outside of all windows; and which are inside,
        bool of shape ``(C,)``.

    Raises:
        BandMismatchError: If no window has enough bands.
        ValueError: If *order* is negative.
    """
    check_order(order)
    series = SpectrumSeries.of(bands, **options)
    matrix, inside = series.evaluation_matrix(bands.wavelength, order)
    return matrix @ series.fit_matrix(weights), inside


def derivative_spectra(
    spectra: Tensor,
    bands: BandSet,
    order: int = 1,
    weights: Tensor | None = None,
    dim: int = -3,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Compute derivatives of spectra with respect to wavelength, at the band centres.

    Derivatives tell absorption features from the brightness and the slope of the
    background, but they amplify noise, the more the finer the features that they
    follow; *smoothness* sets the balance
    (https://doi.org/10.1016/S0034-4257(98)00032-7).

    Args:
        spectra: Spectra, e.g. of shape ``(..., C, H, W)``.
        bands: Their bands.
        order: Order of the derivative.
        weights: What each band counts, shape ``(C,)``; equal by default.
        dim: The spectral dimension.
        **options: Arguments of :class:`SpectrumSeries`, such as ``smoothness``.

    Returns:
        Derivatives of the same shape, in units of values per micrometre to the power of
        *order*, 0 outside of all windows; and which bands are inside, bool of shape
        ``(C,)``.

    Raises:
        BandMismatchError: If the spectra have other bands.
        ValueError: If *order* is negative.

    Example:
        >>> import numpy as np
        >>> bands = BandSet(np.linspace(0.45, 1.3, 120))
        >>> spectra = torch.tensor(np.sin(5 * bands.wavelength))[:, None, None]
        >>> slope, inside = derivative_spectra(spectra, bands, smoothness=0.001)
        >>> truth = 5 * np.cos(5 * bands.wavelength)
        >>> error = np.abs(slope[:, 0, 0].numpy() - truth)
        >>> bool(inside.all()), bool(error[5:-5].max() < 1e-4)
        (True, True)
    """
    _check_bands(spectra, bands, dim)
    matrix, inside = derivative_matrix(bands, order, weights, **options)
    values = without(floating(spectra).movedim(dim, -1), weights)
    found = (values @ matrix.to(values).T).movedim(-1, dim)
    return found, inside.to(found.device)


def red_edge_position(
    spectra: Tensor,
    bands: BandSet,
    low: float = 0.68,
    high: float = 0.75,
    dim: int = -3,
    **options: Any,
) -> Tensor:
    """Find the wavelength where spectra rise most steeply: the red edge of vegetation.

    It moves towards longer wavelengths with the content of chlorophyll
    (https://doi.org/10.1080/01431168308948546). Where nothing grows, the result means
    nothing: mask it, e.g. by the slope.

    Args:
        spectra: Spectra, e.g. of shape ``(..., C, H, W)``.
        bands: Their bands.
        low: Where to begin to look, in micrometres.
        high: Where to end, before the oxygen band at 0.76 um.
        dim: The spectral dimension.
        **options: Arguments of :class:`SpectrumSeries`, such as ``smoothness``.

    Returns:
        Wavelengths in micrometres, without dimension *dim*, at steps of 0.5 nm refined
        by a parabola; NaN for spectra with NaN.

    Raises:
        BandMismatchError: If the spectra have other bands, or these do not cover the
            range.
        ValueError: If *low* is not below *high*.

    Example:
        >>> import numpy as np
        >>> bands = BandSet(np.linspace(0.45, 1.0, 90))
        >>> leaf = 0.04 + 0.4 / (1 + np.exp(-(bands.wavelength - 0.7171) / 0.012))
        >>> round(float(red_edge_position(torch.tensor(leaf), bands, dim=0)), 4)
        0.7171
    """
    _check_bands(spectra, bands, dim)
    series = SpectrumSeries.of(bands, **options)
    if not low + _STEP < high:
        raise ValueError(
            f'Expected low below high in micrometres, got {low:g} and {high:g}.'
        )
    where = np.arange(low, high + _STEP, _STEP)
    matrix, inside = series.evaluation_matrix(where, 1)
    if not bool(inside.all()):
        raise BandMismatchError(
            f'Expected bands from {low:g} to {high:g} um without a gap, got windows '
            f'{[(round(a, 3), round(b, 3)) for a, b in series.windows]}.'
        )
    values = floating(spectra).movedim(dim, -1)
    slope = values @ (matrix @ series.fit_matrix()).to(values).T
    best = slope.argmax(-1, keepdim=True).clamp(1, len(where) - 2)
    left, middle, right = (slope.gather(-1, best + i)[..., 0] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / torch.where(bend < 0, bend, -torch.inf)
    found = low + _STEP * (best[..., 0] + shift.clamp(-1, 1))
    return found.masked_fill(middle.isnan(), torch.nan).to(values)


def _check_bands(spectra: Tensor, bands: BandSet, dim: int) -> None:
    """Refuse spectra with another number of bands."""
    if spectra.shape[dim] != len(bands):
        raise BandMismatchError(
            f'Expected spectra with {len(bands)} bands along dimension {dim}, got '
            f'{tuple(spectra.shape)}.'
        )
