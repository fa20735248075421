# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Soils: brightness, shape, minerals and moisture.

Minerals: Ben-Dor et al. 1999 in Remote Sensing for the Earth Sciences, chapter 3, and
Clark et al. 1990, https://doi.org/10.1029/JB095iB08p12653. The split into brightness,
shape and moisture follows Verhoef and Bach 2007,
https://doi.org/10.1016/j.rse.2006.12.013.
"""

from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from .spectral_grid import WATER_ABSORPTION, WATER_INDEX, WAVELENGTH, bumps

# goethite and hematite: charge transfer near 0.5 µm, crystal field near 0.67 and 0.87
_IRON = bumps([(0.47, 0.55, 0.14), (0.53, 0.12, 0.10), (0.67, 0.04, 0.10)]) + bumps(
    [(0.88, 0.16, 0.16)]
)
# water in clay minerals, and their Al-OH and Mg-OH combinations
_CLAY = bumps(
    [(1.412, 0.10, 0.035), (1.915, 0.16, 0.06), (2.206, 0.14, 0.040)]
) + bumps([(2.26, 0.03, 0.05), (2.35, 0.05, 0.05), (2.44, 0.06, 0.08)])
_CARBONATE = bumps([(1.88, 0.02, 0.03), (2.00, 0.03, 0.04), (2.160, 0.03, 0.04)]) + (
    bumps([(2.340, 0.22, 0.06)])
)

#: Probability that light inside a film of water is reflected back at its surface: of
#: what meets the surface from below, 1 - (1 - r) / n² stays inside.
_INNER_REFLECTION = 1 - (1 - 0.066) / WATER_INDEX**2


@dataclass(frozen=True)
class Soil:
    """What a soil is made of.

    Args:
        brightness: Reflectance of the dry soil in the short-wave infrared.
        iron: Iron oxides, 0 to 1.
        clay: Clay minerals, 0 to 1.
        carbonate: Carbonates, 0 to 1.
        organic: Organic matter, 0 to 1.
        moisture: 0 for dry, 1 for saturated.
    """

    brightness: float = 0.34
    iron: float = 0.3
    clay: float = 0.5
    carbonate: float = 0.0
    organic: float = 0.3
    moisture: float = 0.0


def soil_reflectance(soil: Soil) -> FloatArray:
    """Compute the reflectance of a bare soil.

    Args:
        soil: The soil.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    rise = 1 - np.exp(-(WAVELENGTH - 0.33) / 0.46)
    # the flank of the fundamental of water and hydroxyl near 3 µm
    flank = 0.14 * (np.clip(WAVELENGTH - 2.0, 0, None) / 0.5) ** 2
    depth = (
        soil.iron * _IRON
        + soil.clay * (_CLAY + flank)
        + soil.carbonate * _CARBONATE
        + 0.9 * soil.organic * np.exp(-(WAVELENGTH - 0.4) / 0.6)
    )
    return wet(soil.brightness * rise * np.exp(-depth), soil.moisture)


def wet(dry: FloatArray, moisture: float) -> FloatArray:
    """Wet a rough surface with a film of water.

    Part of the light that the surface reflects is sent back by the film (Lekner and
    Dorf 1988, https://doi.org/10.1364/AO.27.001278), and the film absorbs (Bach and
    Mauser 1994, https://doi.org/10.1109/IGARSS.1994.399758).

    Args:
        dry: Reflectance of the dry surface.
        moisture: 0 for dry, 1 for a film everywhere.

    Returns:
        Reflectance of the wet surface.
    """
    p = _INNER_REFLECTION
    # light goes to and fro between the surface and the film; the glint of the film
    # itself does not go to the nadir
    filmed = (1 - p) * dry / (1 - p * dry)
    film = 2e-4 * moisture
    mixed = (1 - moisture) * dry + moisture * filmed
    return np.asarray(mixed * np.exp(-2 * WATER_ABSORPTION * film))
