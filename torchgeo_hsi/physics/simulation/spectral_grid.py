# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The wavelengths on which spectra are computed, and what they are built from."""

from collections.abc import Iterable

import numpy as np

from ..._typing import FloatArray

#: Wavelengths in micrometres of every spectrum of the simulator: 400 to 2500 nm, 1 nm.
WAVELENGTH: FloatArray = np.arange(400, 2501) / 1000
WAVELENGTH.setflags(write=False)

# Absorption coefficient of liquid water in 1/m by wavelength in nm. 400-720 nm: Pope
# and Fry 1997, https://doi.org/10.1364/AO.36.008710; beyond: Kou et al. 1993,
# https://doi.org/10.1364/AO.32.003531 and Hale and Querry 1973,
# https://doi.org/10.1364/AO.12.000555, rounded.
_WATER = {
    400: 0.0066, 420: 0.0045, 440: 0.0064, 460: 0.0098, 480: 0.0127, 500: 0.0204,
    520: 0.0409, 540: 0.0474, 560: 0.0619, 580: 0.0896, 600: 0.222, 620: 0.276,
    640: 0.311, 660: 0.410, 680: 0.465, 700: 0.624, 710: 0.83, 720: 1.2, 730: 1.9,
    740: 2.4, 760: 2.6, 780: 2.3, 800: 2.0, 815: 2.2, 830: 3.0, 850: 4.3, 880: 5.7,
    900: 6.8, 915: 9.2, 930: 18, 940: 28, 950: 37, 960: 43, 970: 45, 980: 44, 1000: 37,
    1020: 27, 1040: 19, 1060: 15, 1070: 14.7, 1080: 15.5, 1100: 20, 1120: 30, 1130: 43,
    1140: 66, 1150: 100, 1160: 116, 1180: 124, 1200: 126, 1220: 121, 1240: 114,
    1260: 108, 1270: 107, 1280: 112, 1300: 135, 1320: 180, 1340: 270, 1360: 420,
    1380: 710, 1390: 960, 1400: 1400, 1410: 2200, 1420: 2800, 1430: 3100, 1450: 3150,
    1465: 3000, 1480: 2550, 1500: 1880, 1520: 1440, 1540: 1180, 1560: 990, 1600: 735,
    1640: 600, 1665: 557, 1700: 580, 1740: 690, 1780: 870, 1800: 945, 1820: 955,
    1840: 1050, 1855: 1650, 1870: 3500, 1885: 6000, 1900: 8600, 1915: 11600,
    1930: 12500, 1945: 12200, 1960: 10800, 1980: 8900, 2000: 6900, 2030: 4950,
    2060: 3780, 2100: 2770, 2140: 2200, 2180: 1950, 2215: 1930, 2250: 2060,
    2300: 2560, 2350: 3400, 2400: 4800, 2450: 6900, 2500: 9550,
}  # fmt: skip


def _water() -> FloatArray:
    # the coefficient spans six orders of magnitude, so it is interpolated in logarithms
    # scipy takes its time to import
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(list(_WATER), np.log(list(_WATER.values())))
    return np.asarray(np.exp(curve(WAVELENGTH * 1000)))


#: Absorption coefficient of liquid water in 1/m.
WATER_ABSORPTION: FloatArray = _water()
WATER_ABSORPTION.setflags(write=False)

#: Refractive index of water in the solar range.
WATER_INDEX = 1.33


def bumps(features: Iterable[tuple[float, float, float]]) -> FloatArray:
    """Add up Gaussian features.

    Args:
        features: Centre in micrometres, height and full width at half maximum in
            micrometres of each.

    Returns:
        Their sum on :data:`WAVELENGTH`.
    """
    total = np.zeros_like(WAVELENGTH)
    for centre, height, width in features:
        total += height * np.exp(-4 * np.log(2) * ((WAVELENGTH - centre) / width) ** 2)
    return total


def curve(nodes: dict[float, float]) -> FloatArray:
    """Draw a smooth curve without overshoot through a few points.

    Args:
        nodes: Value by wavelength in micrometres; constant beyond the ends.

    Returns:
        The curve on :data:`WAVELENGTH`.
    """
    ends = np.clip(WAVELENGTH, min(nodes), max(nodes))
    # scipy takes its time to import
    from scipy.interpolate import PchipInterpolator

    return np.asarray(PchipInterpolator(list(nodes), list(nodes.values()))(ends))
