# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Units of wavelength: micrometres everywhere, and no guessing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .._typing import FloatArray
from ..errors import BandMismatchError, UnitError

#: Shortest and longest wavelength in µm that an imaging spectrometer records.
#: Nanometres start at 200, so the two ranges do not overlap.
MICROMETRE_RANGE = (0.1, 30.0)

#: Widest plausible FWHM in µm (a panchromatic band is about 0.4 µm wide, a thermal
#: band about 1 µm); FWHMs in nm are larger by a factor of 1000.
MAX_FWHM = 2.0

_TO_MICROMETRES = {
    'µm': 1.0,
    'μm': 1.0,
    'um': 1.0,
    'micron': 1.0,
    'microns': 1.0,
    'micrometer': 1.0,
    'micrometers': 1.0,
    'micrometre': 1.0,
    'micrometres': 1.0,
    'nm': 1e-3,
    'nanometer': 1e-3,
    'nanometers': 1e-3,
    'nanometre': 1e-3,
    'nanometres': 1e-3,
    'm': 1e6,
    'metre': 1e6,
    'metres': 1e6,
    'meter': 1e6,
    'meters': 1e6,
    'å': 1e-4,
    'angstrom': 1e-4,
    'angstroms': 1e-4,
}


def to_micrometres(values: ArrayLike, unit: str) -> FloatArray:
    """Convert wavelengths to micrometres.

    Args:
        values: Wavelengths, or widths, in *unit*.
        unit: Name of the unit as files write it: ``'nm'``, ``'Nanometers'``,
            ``'µm'``, ``'Micrometers'``, ``'Angstroms'``, ...

    Returns:
        The values in micrometres, float64.

    Raises:
        UnitError: If *unit* is not a unit of wavelength (wavenumbers and frequencies
            are not linear in wavelength, so they are not converted).

    Example:
        >>> to_micrometres([418.24, 2445.3], 'Nanometers').tolist()
        [0.41824, 2.4453]
    """
    factor = _TO_MICROMETRES.get(unit.strip().lower())
    if factor is None:
        raise UnitError(
            f'Expected a unit of wavelength such as "nm" or "um", got {unit!r}. '
            'Pass the unit of the file explicitly.'
        )
    converted: FloatArray = np.asarray(values, dtype=np.float64) * factor
    # 418.24 * 1e-3 is not 0.41824; the decimals of the file are to come out as they are,
    # so that the same band read from two files is the same band
    return converted.round(12)


def _per_band(values: ArrayLike, num_bands: int | None, name: str) -> FloatArray:
    """Make a float64 vector and check its length."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or num_bands not in (None, len(array)):
        count = 'a vector' if num_bands is None else f'{num_bands} values'
        raise BandMismatchError(
            f'Expected {count} of {name}, one for each band, got shape {array.shape}.'
        )
    return array


def check_micrometres(
    wavelength: ArrayLike, num_bands: int | None = None, name: str = 'wavelength'
) -> FloatArray:
    """Check that wavelengths are plausible micrometres.

    Args:
        wavelength: Band centres of shape ``(C,)``.
        num_bands: Number of bands that they have to describe.
        name: What the values are called in the error message.

    Returns:
        The wavelengths as a float64 array.

    Raises:
        UnitError: If the values are not finite, or look like nanometres.
        BandMismatchError: If their number is not *num_bands*.
    """
    values = _per_band(wavelength, num_bands, name)
    low, high = MICROMETRE_RANGE
    if values.size and not (np.isfinite(values).all() and values.min() > 0):
        raise UnitError(f'Expected finite positive values of {name}, in micrometres.')
    if values.size and (values.min() < low or values.max() > high):
        span = f'{values.min():g} to {values.max():g}'
        nanometres = values.max() > high
        hint = (
            'These look like nanometres: divide by 1000'
            if nanometres
            else 'Check the unit of the source'
        )
        raise UnitError(
            f'Expected {name} in micrometres ({low:g} to {high:g}), got {span}. '
            f'{hint}, or use torchgeo_hsi.physics.to_micrometres(values, unit).'
        )
    return values


def check_fwhm(fwhm: ArrayLike, num_bands: int | None = None) -> FloatArray:
    """Check that band widths are plausible micrometres.

    Args:
        fwhm: Full widths at half maximum of shape ``(C,)``.
        num_bands: Number of bands that they have to describe.

    Returns:
        The widths as a float64 array.

    Raises:
        UnitError: If the values are not positive, or look like nanometres.
        BandMismatchError: If their number is not *num_bands*.
    """
    values = _per_band(fwhm, num_bands, 'fwhm')
    if values.size and not (np.isfinite(values).all() and values.min() > 0):
        raise UnitError('Expected finite positive FWHMs, in micrometres.')
    if values.size and values.max() > MAX_FWHM:
        raise UnitError(
            f'Expected FWHMs in micrometres (at most {MAX_FWHM:g}), got '
            f'{values.max():g}. This looks like nanometres: divide by 1000.'
        )
    return values


def format_micrometres(wavelength: float | Sequence[float]) -> str:
    """Format micrometres for people, e.g. in plot titles.

    Args:
        wavelength: One or several wavelengths in micrometres.

    Returns:
        Text such as ``'0.641 µm'`` or ``'0.641/0.556/0.468 µm'``.

    Example:
        >>> format_micrometres([0.6413, 2.2])
        '0.641/2.200 µm'
    """
    values = np.atleast_1d(np.asarray(wavelength, dtype=np.float64))
    return '/'.join(f'{v:.3f}' for v in values) + ' µm'


def format_nm(wavelength: float | Sequence[float]) -> str:
    """Format micrometres as nanometres for people, e.g. in plot titles.

    Args:
        wavelength: One or several wavelengths in micrometres.

    Returns:
        Text such as ``'641 nm'`` or ``'641/556/468 nm'``.
    """
    values = np.atleast_1d(np.asarray(wavelength, dtype=np.float64)) * 1e3
    return '/'.join(f'{v:.0f}' for v in values) + ' nm'
