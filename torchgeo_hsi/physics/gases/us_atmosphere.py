# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The U.S. Standard Atmosphere of 1976, up to 86 km."""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..._typing import FloatArray

#: Standard pressure in hPa, the temperature in K at which volumes of gas are stated, and
#: the temperature of the standard atmosphere at the ground.
STANDARD_PRESSURE, ICE_POINT, GROUND_TEMPERATURE = 1013.25, 273.15, 288.15

#: Gas constant in J/(mol K).
GAS_CONSTANT = 8.314462618

#: Height of the top in metres, beyond which there is no gas to speak of.
TOP = 86_000.0

# geopotential height in m of the layers, and their lapse rate in K/m
_LAYERS = (
    (0.0, -0.0065),
    (11_000.0, 0.0),
    (20_000.0, 0.001),
    (32_000.0, 0.0028),
    (47_000.0, 0.0),
    (51_000.0, -0.0028),
    (71_000.0, -0.002),
)
_EARTH_RADIUS = 6_356_766.0
# weight of the molar mass of air over the gas constant, in K/m
_HYDROSTATIC = 9.80665 * 0.0289644 / 8.31432


def standard_atmosphere(altitude: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Compute pressure and temperature of the standard atmosphere.

    U.S. Standard Atmosphere, 1976, https://ntrs.nasa.gov/citations/19770009539.

    Args:
        altitude: Heights above sea level in metres, 0 to 86 000, of any shape.

    Returns:
        Pressure in hPa and temperature in K, of the same shape.

    Raises:
        ValueError: If a height is out of the range.

    Example:
        >>> pressure, temperature = standard_atmosphere([0, 11_000])
        >>> pressure.round(1), temperature.round(1)
        (array([1013.2,  227. ]), array([288.2, 216.8]))
    """
    height = np.asarray(altitude, dtype=np.float64)
    if not ((height >= 0) & (height <= TOP)).all():
        raise ValueError(
            f'Expected heights from 0 to {TOP:g} m, got {height.min():g} to '
            f'{height.max():g}.'
        )
    geopotential = _EARTH_RADIUS * height / (_EARTH_RADIUS + height)
    base_pressure, base_temperature = STANDARD_PRESSURE, GROUND_TEMPERATURE
    pressure, temperature = np.empty_like(height), np.empty_like(height)
    tops = [base for base, _ in _LAYERS[1:]] + [math.inf]
    for (base, lapse), top in zip(_LAYERS, tops, strict=True):
        here = (geopotential >= base) & (geopotential < top)
        above = geopotential - base
        pressure[here], temperature[here] = _layer(
            base_pressure, base_temperature, lapse, above[here]
        )
        if math.isfinite(top):
            ends = _layer(base_pressure, base_temperature, lapse, np.array(top - base))
            base_pressure, base_temperature = float(ends[0]), float(ends[1])
    return pressure, temperature


def _layer(
    pressure: float, temperature: float, lapse: float, above: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute pressure and temperature above the base of a layer."""
    here = temperature + lapse * above
    if lapse == 0:
        ratio = np.exp(-_HYDROSTATIC * above / temperature)
    else:
        ratio = (temperature / here) ** (_HYDROSTATIC / lapse)
    return np.asarray(pressure * ratio), np.asarray(here)
