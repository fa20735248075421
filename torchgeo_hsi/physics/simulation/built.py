# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Built surfaces: asphalt, concrete, clay tiles and metal.

Levels and features after the urban spectral libraries of Herold et al. 2004,
https://doi.org/10.1016/j.rse.2004.02.004, and Heiden et al. 2007,
https://doi.org/10.1016/j.rse.2007.04.008.
"""

import numpy as np

from ..._typing import FloatArray
from .spectral_grid import bumps, curve

# hydrocarbons of bitumen
_HYDROCARBON = bumps([(1.727, 0.05, 0.05), (2.31, 0.08, 0.06), (2.35, 0.05, 0.04)])
# water of hydration, and the calcite of aggregate and cement
_CEMENT = bumps([(1.41, 0.05, 0.05), (1.45, 0.04, 0.12), (1.93, 0.16, 0.10)]) + bumps(
    [(2.21, 0.03, 0.06), (2.335, 0.10, 0.06)]
)
# hematite of fired clay; firing drives out the hydroxyl of 2.2 µm
_FIRED_CLAY = bumps([(0.53, 0.45, 0.08), (0.66, 0.05, 0.06), (0.87, 0.12, 0.14)])


def asphalt_reflectance(age: float) -> FloatArray:
    """Asphalt: bitumen wears off with age, so it gets brighter and less organic.

    Args:
        age: 0 for new, 1 for old.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    new = curve({0.4: 0.045, 0.7: 0.058, 1.2: 0.078, 1.7: 0.090, 2.5: 0.085})
    old = curve(
        {0.4: 0.088, 0.6: 0.128, 0.9: 0.152, 1.5: 0.180, 2.1: 0.180, 2.5: 0.160}
    )
    new = new * np.exp(-_HYDROCARBON)
    old = old * np.exp(-0.5 * _CEMENT)
    return np.asarray((1 - age) * new + age * old)


def concrete_reflectance(brightness: float) -> FloatArray:
    """Concrete, paving stones and gravel.

    Args:
        brightness: 0 for grey and dirty, 1 for new and light.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    level = curve(
        {0.4: 0.42, 0.5: 0.62, 0.6: 0.78, 0.8: 0.88, 1.3: 1.0, 1.75: 1.0, 2.15: 0.94}
        | {2.5: 0.78}
    )
    return np.asarray((0.17 + 0.20 * brightness) * level * np.exp(-_CEMENT))


def tile_reflectance(brightness: float, red: float) -> FloatArray:
    """Roof tiles of fired clay.

    Args:
        brightness: 0 for old and dark, 1 for new.
        red: Hematite, 0 to 1.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    level = curve(
        {0.4: 0.13, 0.5: 0.22, 0.56: 0.36, 0.62: 0.66, 0.7: 0.75, 0.8: 0.82, 1.0: 0.88}
        | {1.3: 1.0, 1.8: 1.06, 2.5: 1.02}
    )
    depth = (0.4 + 0.6 * red) * _FIRED_CLAY
    return np.asarray((0.15 + 0.19 * brightness) * level * np.exp(-depth))


def metal_reflectance(brightness: float, coated: float) -> FloatArray:
    """Roofs of zinc, steel and light membranes.

    Args:
        brightness: 0 for weathered, 1 for bright.
        coated: Share of paint or plastic with the features of polymers.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    # the d band of zinc absorbs near 1.02 µm
    zinc = curve({0.4: 0.80, 0.6: 0.93, 0.8: 0.90, 1.02: 0.76, 1.3: 0.95, 1.7: 1.0})
    polymer = curve(
        {0.4: 0.75, 0.45: 1.05, 0.8: 1.08, 1.3: 0.98, 1.6: 0.85, 2.0: 0.66, 2.5: 0.50}
    )
    features = bumps([(1.19, 0.05, 0.05), (1.42, 0.08, 0.06), (1.72, 0.20, 0.06)]) + (
        bumps([(2.31, 0.30, 0.08)])
    )
    mixed = (1 - coated) * zinc + coated * polymer * np.exp(-features)
    return np.asarray((0.17 + 0.28 * brightness) * mixed)
