# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Orthogonal series: functions, and spectra, as coefficients."""

from ...errors import UnknownNameError
from .base import Series
from .chebyshev import Chebyshev
from .derivatives import derivative_matrix, derivative_spectra, red_edge_position
from .fourier import Fourier
from .legendre import Legendre
from .spectrum import WATER_BANDS, SpectrumSeries, find_windows

_SERIES: dict[str, Series] = {
    series.name: series for series in (Chebyshev(), Fourier(), Legendre())
}


def get_series(name: str) -> Series:
    """Look up a series by its name.

    Args:
        name: ``'chebyshev'``, ``'fourier'`` or ``'legendre'``.

    Returns:
        The series.

    Raises:
        UnknownNameError: If there is no such series.
    """
    if name not in _SERIES:
        raise UnknownNameError('series', name, _SERIES)
    return _SERIES[name]


def list_series() -> list[str]:
    """List the names of the series.

    Returns:
        The names, sorted.
    """
    return sorted(_SERIES)


__all__ = (
    'WATER_BANDS',
    'Chebyshev',
    'Fourier',
    'Legendre',
    'Series',
    'SpectrumSeries',
    'derivative_matrix',
    'derivative_spectra',
    'find_windows',
    'get_series',
    'list_series',
    'red_edge_position',
)
