# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From a map of a gas to a plume, its mass, and what its source emits."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..._typing import BoolArray
from ...errors import EmptyDataError
from .absorption import GasAbsorption

#: Slope and offset in m/s of the effective wind of plumes in images of 30 m.
_WIND = (0.34, 0.44)

#: Seconds of an hour.
_HOUR = 3600.0


@dataclass(frozen=True)
class Emission:
    """What a source emits, as far as a plume tells.

    Args:
        mass: Mass of the gas in the plume in kg.
        mass_error: Its standard error from that of the pixels, in kg.
        area: Area of the plume in m2.
        length: Its length scale in m, the root of the area.
        wind: Effective wind in m/s.
        wind_error: Its standard error in m/s.
        rate: Emission rate in kg/h.
        rate_error: Its standard error from pixels and wind, in kg/h.
    """

    mass: float
    mass_error: float
    area: float
    length: float
    wind: float
    wind_error: float
    rate: float
    rate_error: float


def plume_mask(
    enhancement: ArrayLike,
    error: ArrayLike,
    *,
    threshold: float = 2.0,
    source: tuple[int, int] | None = None,
    reach: int = 3,
    least: int = 5,
) -> BoolArray:
    """Outline a plume: connected pixels whose neighborhood stands out.

    The medians of 3 x 3 pixels are compared with the errors of single pixels. A
    threshold is no proof: on real ground, roofs and quarries make such areas, too. Look
    at each of them.

    Args:
        enhancement: Map in ppm m, shape ``(H, W)``; NaN where there is no data.
        error: Standard errors, likewise.
        threshold: Standard errors from which on a pixel belongs to it.
        source: Row and column of the source; by default the area with the most gas is
            taken.
        reach: Pixels around the source in which the plume has to begin.
        least: Fewest pixels of an area.

    Returns:
        True in the plume, shape ``(H, W)``; nowhere if there is none.

    Raises:
        ValueError: If shapes differ, or the source lies outside.

    Example:
        >>> gas = np.zeros((20, 20))
        >>> gas[5:9, 4:14] = 900
        >>> int(plume_mask(gas, np.full_like(gas, 200)).sum())
        36
    """
    column, sigma = (np.asarray(values, float) for values in (enhancement, error))
    if column.ndim != 2 or column.shape != sigma.shape:
        raise ValueError(
            'Expected two maps of the same rows and columns, got shapes '
            f'{column.shape} and {sigma.shape}.'
        )
    known = np.isfinite(column) & np.isfinite(sigma)
    smooth = ndimage.median_filter(np.where(known, column, 0.0), 3, mode='nearest')
    labels, count = ndimage.label(known & (smooth > threshold * sigma), np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(known, labels, numbers)
    amounts = ndimage.sum_labels(np.where(known, column, 0.0), labels, numbers)
    amounts = np.where(sizes >= least, amounts, -np.inf)
    if source is not None:
        row, col = source
        if not (0 <= row < column.shape[0] and 0 <= col < column.shape[1]):
            raise ValueError(
                f'Expected a source inside of {column.shape[0]} rows and '
                f'{column.shape[1]} columns, got row {row}, column {col}.'
            )
        around = np.s_[
            max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1
        ]
        near = np.isin(numbers, labels[around])
        amounts = np.where(near, amounts, -np.inf)
    if not (amounts > -np.inf).any():
        return np.zeros(column.shape, dtype=bool)
    found: BoolArray = labels == numbers[amounts.argmax()]
    return found


def effective_wind(wind: float) -> float:
    """Turn the wind at 10 m into the one that carries a plume away.

    The relation was fitted to simulated plumes of methane in images of 30 m (PRISMA, and
    used for EnMAP), 1 to 8 m/s: https://doi.org/10.1016/j.rse.2021.112671. It belongs to
    the length scale of :func:`emission_rate`, and holds for nothing else.

    Args:
        wind: Wind at a height of 10 m in m/s.

    Returns:
        Effective wind in m/s.

    Raises:
        ValueError: If the wind is no positive number.

    Example:
        >>> round(effective_wind(3.0), 2)
        1.46
    """
    if not 0 < wind < math.inf:
        raise ValueError(f'Expected a positive wind in m/s, got {wind}.')
    return _WIND[0] * wind + _WIND[1]


def emission_rate(
    enhancement: ArrayLike,
    mask: ArrayLike,
    gas: GasAbsorption,
    *,
    pixel_size: float,
    wind: float,
    wind_error: float | None = None,
    error: ArrayLike | None = None,
) -> Emission:
    r"""Estimate what a source emits from the integrated mass of its plume.

    .. math:: Q = U_\mathrm{eff} \, \mathrm{IME} / L, \qquad L = \sqrt{A}

    with the mass IME of the plume and its area A. Take the result as an order of
    magnitude. The wind is rarely known to better than half, the rate is proportional to
    it, the outline of the plume decides about both mass and length, and the errors of
    pixels are those of :class:`MatchedFilter`, without those of the absorption.

    * https://doi.org/10.5194/amt-11-5673-2018

    Args:
        enhancement: Map in ppm m, shape ``(H, W)``, not restricted to positive numbers.
        mask: True in the plume, as of :func:`plume_mask`.
        gas: The gas, see :func:`~torchgeo_hsi.physics.gases.get_gas`.
        pixel_size: Side of a pixel in m.
        wind: Effective wind in m/s, see :func:`effective_wind`.
        wind_error: Its standard error in m/s; half of it by default.
        error: Standard errors of the pixels in ppm m.

    Returns:
        Mass, area, length, wind and rate with their errors.

    Raises:
        EmptyDataError: If the plume has no pixel with data.
        ValueError: If a shape differs, or a number is out of its range.

    Example:
        >>> from torchgeo_hsi.physics.gases import get_gas
        >>> gas = np.zeros((20, 20))
        >>> gas[5:9, 4:14] = 900
        >>> found = emission_rate(gas, gas > 0, get_gas('methane'), pixel_size=30, wind=2)
        >>> round(found.mass, 1), round(found.rate)
        (22.0, 834)
    """
    column, inside = np.asarray(enhancement, float), np.asarray(mask, bool)
    sigma = np.zeros_like(column) if error is None else np.asarray(error, float)
    for name, shape in (('mask', inside.shape), ('error', sigma.shape)):
        if shape != column.shape:
            raise ValueError(f'Expected {name} of shape {column.shape}, got {shape}.')
    spread = wind / 2 if wind_error is None else wind_error
    for name, value in (('pixel_size', pixel_size), ('wind', wind)):
        if not 0 < value < math.inf:
            raise ValueError(f'Expected a positive {name}, got {value}.')
    if not 0 <= spread < math.inf:
        raise ValueError(f'Expected wind_error of 0 or more, got {spread}.')
    inside = inside & np.isfinite(column)
    count = int(inside.sum())
    if not count:
        raise EmptyDataError('The plume has no pixel with data. Check its outline.')
    per_pixel = gas.to_mass(1.0) * pixel_size**2
    mass = per_pixel * float(column[inside].sum())
    noise = per_pixel * _root(sigma[inside])
    area = count * pixel_size**2
    length = math.sqrt(area)
    rate = _HOUR * wind * mass / length
    share = math.hypot(_HOUR * wind * noise / length, _HOUR * spread * mass / length)
    return Emission(mass, noise, area, length, wind, spread, rate, share)


def _root(errors: NDArray[np.float64]) -> float:
    """Return the root of the sum of squares, as of independent errors."""
    return float(np.sqrt(np.square(errors).sum()))
