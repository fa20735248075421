# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Leaves: the generalized plate model.

A leaf is a pile of N plates that absorb and refract light. Plates: Allen et al. 1969,
https://doi.org/10.1364/JOSA.59.001376; pile: Stokes 1862,
https://doi.org/10.1098/rspl.1860.0119; leaves: Jacquemoud and Baret 1990,
https://doi.org/10.1016/0034-4257(90)90100-Z.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..._typing import FloatArray
from .spectral_grid import WATER_ABSORPTION, WAVELENGTH, bumps

#: Refractive index of leaf tissue; falls with wavelength (Feret et al. 2008,
#: https://doi.org/10.1016/j.rse.2008.02.012).
LEAF_INDEX: FloatArray = 1.50 - 0.085 * (WAVELENGTH - 0.4)

# Specific absorption as sums of Gaussian bands. Positions of the pigments: Lichtenthaler
# 1987, https://doi.org/10.1016/0076-6879(87)48036-1; heights in a leaf, where bands are
# flatter than in solution: Feret et al. 2017, https://doi.org/10.1016/j.rse.2017.03.004.
_CHLOROPHYLL = bumps(
    [
        (0.405, 0.026, 0.060),
        (0.437, 0.036, 0.045),
        (0.472, 0.030, 0.050),
        (0.505, 0.010, 0.060),
        (0.560, 0.0085, 0.110),
        (0.618, 0.018, 0.055),
        (0.650, 0.026, 0.040),
        (0.677, 0.046, 0.028),
        (0.695, 0.006, 0.024),
        (0.706, 0.0030, 0.028),
        (0.720, 0.0006, 0.040),
    ]
)
_CAROTENOIDS = bumps(
    [(0.425, 0.050, 0.045), (0.452, 0.062, 0.040), (0.485, 0.060, 0.040)]
) + bumps([(0.512, 0.018, 0.030)])
_BROWN = 0.55 * np.exp(-(WAVELENGTH - 0.4) / 0.17)

# Dry matter: lignin, cellulose, starch, protein. Positions: Curran 1989,
# https://doi.org/10.1016/0034-4257(89)90069-2; heights: Feret et al. 2008 (above).
_DRY_MATTER = (
    1.1
    + 40 * np.exp(-(WAVELENGTH - 0.4) / 0.06)
    + 14 * (np.clip(WAVELENGTH - 0.9, 0, None) / 1.6) ** 2.1
    + bumps([(1.20, 0.7, 0.07), (1.49, 2.6, 0.13), (1.58, 1.2, 0.09)])
    + bumps([(1.727, 2.4, 0.06), (1.78, 1.2, 0.06), (1.93, 2.0, 0.09)])
    + bumps([(2.095, 6.0, 0.13), (2.18, 1.5, 0.06), (2.27, 3.2, 0.06)])
    + bumps([(2.312, 3.4, 0.05), (2.347, 3.0, 0.05), (2.485, 4.5, 0.09)])
)


@dataclass(frozen=True)
class Leaf:
    """What a leaf is made of.

    Args:
        structure: Number of plates N, at least 1; more for thick or dry leaves.
        chlorophyll: Chlorophyll a and b in µg/cm².
        carotenoids: Carotenoids in µg/cm².
        brown: Brown pigments of dead tissue, from 0 to about 1.
        water: Equivalent water thickness in cm.
        dry_matter: Dry matter in g/cm².
    """

    structure: float = 1.5
    chlorophyll: float = 40.0
    carotenoids: float = 8.0
    brown: float = 0.0
    water: float = 0.012
    dry_matter: float = 0.005


def leaf_optics(leaf: Leaf) -> tuple[FloatArray, FloatArray]:
    """Compute how much light a leaf reflects and transmits.

    Args:
        leaf: The leaf.

    Returns:
        Reflectance and transmittance on
        :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    absorption = (
        leaf.chlorophyll * _CHLOROPHYLL
        + leaf.carotenoids * _CAROTENOIDS
        + leaf.brown * _BROWN
        # the table is in 1/m, the thickness in cm
        + leaf.water * WATER_ABSORPTION / 100
        + leaf.dry_matter * _DRY_MATTER
    )
    inside = _through_plate(absorption / leaf.structure)
    # light meets the leaf within 40 degrees, but travels inside in all directions
    reflected, transmitted = _plate(inside, entry_angle=40.0)
    plate = _plate(inside, entry_angle=90.0)
    pile_r, pile_t = _pile(*plate, leaf.structure - 1)
    bounce = 1 - plate[0] * pile_r
    # the first plate on the others; light goes to and fro between them
    return (
        reflected + transmitted * pile_r * plate[1] / bounce,
        transmitted * pile_t / bounce,
    )


def _through_plate(absorption: FloatArray) -> FloatArray:
    """Share of diffuse light that crosses an absorbing layer once."""
    k = np.maximum(absorption, 1e-9)
    # scipy takes its time to import
    from scipy.special import exp1

    return np.asarray((1 - k) * np.exp(-k) + k**2 * exp1(k))


def interface_transmittance(index: FloatArray, angle: float) -> FloatArray:
    """Transmittance of a surface for unpolarized light from within a cone.

    The Fresnel equations, averaged over the cone by Gauss-Legendre quadrature.

    Args:
        index: Refractive index.
        angle: Largest angle of incidence in degrees; 90 for a hemisphere.

    Returns:
        Share of the light that enters.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    # equal steps of sin² of the angle carry equal flux
    sine2 = (nodes + 1) / 2 * np.sin(np.radians(angle)) ** 2
    cosine = np.sqrt(1 - sine2)[:, None]
    n = index[None]
    inner = np.sqrt(1 - sine2[:, None] / n**2)
    parallel = ((n * cosine - inner) / (n * cosine + inner)) ** 2
    crossed = ((cosine - n * inner) / (cosine + n * inner)) ** 2
    return np.asarray((weights / 2) @ (1 - (parallel + crossed) / 2))


@cache
def _leaf_surface(angle: float) -> FloatArray:
    return interface_transmittance(LEAF_INDEX, angle)


def _plate(inside: FloatArray, entry_angle: float) -> tuple[FloatArray, FloatArray]:
    """Reflectance and transmittance of one plate, all inner reflections added up."""
    enter = _leaf_surface(entry_angle)
    # by reciprocity of the two directions through the surface
    leave = _leaf_surface(90.0) / LEAF_INDEX**2
    back = 1 - leave
    series = 1 - (back * inside) ** 2
    transmitted = enter * inside * leave / series
    return (1 - enter) + transmitted * back * inside, transmitted


def _pile(r: FloatArray, t: FloatArray, count: float) -> tuple[FloatArray, FloatArray]:
    """Reflectance and transmittance of any positive number of equal plates."""
    if count == 0:
        return np.zeros_like(r), np.ones_like(t)
    # a plate that absorbs nothing needs another limit of the same formula
    t = np.minimum(t, 1 - r - 1e-9)
    root = np.sqrt((1 + r + t) * (1 + r - t) * (1 - r + t) * (1 - r - t))
    a = (1 + r**2 - t**2 + root) / (2 * r)
    b = ((1 - r**2 + t**2 + root) / (2 * t)) ** count
    scale = a**2 * b**2 - 1
    return a * (b**2 - 1) / scale, b * (a**2 - 1) / scale
