# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Inland water: a semi-analytical bio-optical model.

From absorption and backscattering to reflectance: Gordon et al. 1988,
https://doi.org/10.1029/JD093iD09p10909 and Lee et al. 1998,
https://doi.org/10.1364/AO.37.006329.
"""

from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from .spectral_grid import WATER_ABSORPTION, WAVELENGTH, bumps

# shape of the absorption by phytoplankton, 1 at 440 nm: Bricaud et al. 1995,
# https://doi.org/10.1029/95JC00463
_PHYTOPLANKTON = bumps(
    [(0.415, 0.55, 0.06), (0.440, 0.62, 0.05), (0.47, 0.5, 0.06)]
) + (
    bumps([(0.51, 0.28, 0.07), (0.58, 0.12, 0.09), (0.628, 0.14, 0.05)])
    + bumps([(0.676, 0.50, 0.032)])
)


@dataclass(frozen=True)
class WaterBody:
    """What is in the water.

    Args:
        chlorophyll: Chlorophyll a of phytoplankton in mg/m³.
        cdom: Absorption by dissolved organic matter at 440 nm in 1/m.
        sediment: Suspended mineral matter in g/m³.
        glint: Skylight that the surface reflects, as a reflectance.
    """

    chlorophyll: float = 15.0
    cdom: float = 0.8
    sediment: float = 4.0
    glint: float = 0.002


def water_reflectance(water: WaterBody) -> FloatArray:
    """Compute the reflectance of optically deep water.

    Args:
        water: The water.

    Returns:
        Reflectance (pi times the remote sensing reflectance) on
        :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    nm = WAVELENGTH * 1000
    phytoplankton = 0.0403 * water.chlorophyll**0.668 * _PHYTOPLANKTON
    dissolved = water.cdom * np.exp(-0.015 * (nm - 440))
    # Babin et al. 2003, https://doi.org/10.1029/2001JC000882
    mineral = 0.041 * water.sediment * np.exp(-0.0123 * (nm - 443))
    absorption = WATER_ABSORPTION + phytoplankton + dissolved + mineral
    # half of what water molecules scatter goes back (Morel 1974); particles: Babin et
    # al. 2003, https://doi.org/10.4319/lo.2003.48.2.0843, of which 2 % go back
    molecules = 0.00144 * (500 / nm) ** 4.32
    particles = 0.02 * (0.5 * water.sediment + 0.2 * water.chlorophyll**0.6)
    back = molecules + particles * (555 / nm) ** 0.6
    ratio = back / (absorption + back)
    below = (0.0895 + 0.1247 * ratio) * ratio
    # through the surface: Lee et al. 1998
    above = 0.5 * below / (1 - 1.5 * below)
    return np.asarray(np.pi * above + water.glint)
