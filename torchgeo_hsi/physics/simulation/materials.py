# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the ground is covered with: materials, their classes and their spectra."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ...errors import UnknownNameError
from .built import (
    asphalt_reflectance,
    concrete_reflectance,
    metal_reflectance,
    tile_reflectance,
)
from .canopy import LeafAngles, canopy_reflectance
from .leaf import Leaf, leaf_optics
from .soil import Soil, soil_reflectance
from .spectral_grid import WAVELENGTH
from .water import WaterBody, water_reflectance


@dataclass(frozen=True)
class LandCover:
    """A class of the truth maps.

    Args:
        name: Name for people.
        color: Red, green and blue, 0 to 255.
    """

    name: str
    color: tuple[int, int, int]


#: Classes of the truth maps; the position is the code.
LAND_COVER = (
    LandCover('water', (51, 108, 176)),
    LandCover('broadleaf forest', (56, 142, 60)),
    LandCover('coniferous forest', (20, 83, 45)),
    LandCover('grassland', (164, 207, 104)),
    LandCover('green crops', (90, 190, 40)),
    LandCover('ripe crops', (236, 204, 104)),
    LandCover('bare soil', (150, 98, 60)),
    LandCover('sealed surface', (128, 128, 134)),
    LandCover('roofs', (196, 62, 56)),
)


@dataclass(frozen=True)
class SceneConditions:
    """What all spectra of a scene have in common.

    Args:
        sun_zenith: Zenith angle of the sun in degrees.
        soil: The soil of the region, dry.
        season: 0 for fresh leaves, 1 for the end of a dry summer.
    """

    sun_zenith: float = 31.5
    soil: Soil = field(default_factory=lambda: Soil(brightness=0.28))
    season: float = 0.5

    @classmethod
    def draw(cls, rng: np.random.Generator, sun_zenith: float) -> 'SceneConditions':
        """Draw the conditions of a scene.

        Args:
            rng: Source of randomness.
            sun_zenith: Zenith angle of the sun in degrees.

        Returns:
            The conditions.
        """
        soil = Soil(
            brightness=rng.uniform(0.23, 0.33),
            iron=rng.uniform(0.1, 0.7),
            clay=rng.uniform(0.3, 1.0),
            carbonate=rng.uniform(0.0, 0.5),
            organic=rng.uniform(0.15, 0.6),
        )
        return cls(sun_zenith, soil, rng.uniform(0.2, 0.8))


#: FloatArray of a material by two variables from 0 to 1.
type SpectrumModel = Callable[[float, float, SceneConditions], FloatArray]


@dataclass(frozen=True)
class Material:
    """A material that pixels are mixed from.

    Args:
        name: Name to look it up by.
        cover: Code of its class in :data:`LAND_COVER`.
        model: Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`, as
            a function of two variables from 0 to 1, and the conditions of the scene.
        roughness: Relative standard deviation of the brightness within a pixel.
    """

    name: str
    cover: int
    model: SpectrumModel
    roughness: float


def _shaded(lit: FloatArray, shade: float) -> FloatArray:
    """Mix in the shadows that tree crowns and stalks cast on each other.

    Shadows get skylight and what other crowns scatter, which is blue and infrared.
    """
    sky = 0.12 + 0.25 * np.exp(-(WAVELENGTH - 0.4) / 0.12)
    return np.asarray(lit * (1 - shade * (1 - np.minimum(sky + 0.35 * lit, 1))))


def _canopy(
    leaf: Leaf, area: float, soil: Soil, at: SceneConditions, angles: LeafAngles
) -> FloatArray:
    ground = soil_reflectance(soil)
    return canopy_reflectance(leaf_optics(leaf), ground, area, at.sun_zenith, angles)


def _water(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Clear to productive (p), clear to brown (q)."""
    return water_reflectance(
        WaterBody(2 + 38 * p**1.5, 0.3 + 1.6 * q, 0.8 + 7 * p**2, glint=0.0015)
    )


def _forest(
    leaf: Leaf, area: float, wood: float, shade: float, at: SceneConditions
) -> FloatArray:
    """Crowns of leaves, bark and dead twigs over litter."""
    floor = Soil(brightness=0.30, organic=0.7, moisture=0.15)
    bark = Leaf(2.4, 1.5, 1.5, 0.32, 0.003, 0.010)
    crowns = _canopy(leaf, area, floor, at, 'spherical')
    twigs = _canopy(bark, 0.7 * area, floor, at, 'spherical')
    return _shaded((1 - wood) * crowns + wood * twigs, shade)


def _broadleaf(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Leaf area (p), age of the stand (q)."""
    leaf = Leaf(1.6, 36 + 16 * p, 8, 0.02, 0.0078 + 0.002 * p, 0.0058)
    return _forest(leaf, 3.0 + 2.6 * p, 0.12 + 0.06 * q, 0.20 + 0.14 * q, at)


def _conifer(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Leaf area (p), age of the stand (q)."""
    leaf = Leaf(2.0, 46 + 14 * p, 10, 0.05, 0.0120 + 0.003 * p, 0.013)
    return _forest(leaf, 2.4 + 2.4 * p, 0.17 + 0.07 * q, 0.32 + 0.18 * q, at)


def _mixed_leaves(
    green: Leaf, dry: Leaf, share: float
) -> tuple[FloatArray, FloatArray]:
    """Leaves of two kinds, as in a meadow in summer."""
    first, second = leaf_optics(green), leaf_optics(dry)
    return (
        (1 - share) * first[0] + share * second[0],
        (1 - share) * first[1] + share * second[1],
    )


def _grass(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Leaf area (p), dry share (q)."""
    green = Leaf(1.5, 26 + 18 * p, 7, 0.03, 0.010 + 0.004 * p, 0.0045)
    dry = Leaf(2.0, 1.5, 1.5, 0.38, 0.002, 0.006)
    share = 0.12 + q * (0.35 + 0.5 * at.season)
    leaves = _mixed_leaves(green, dry, share)
    ground = soil_reflectance(replace(at.soil, moisture=0.1, organic=0.5))
    area = 0.9 + 2.6 * p * (1 - 0.4 * q)
    seen = canopy_reflectance(leaves, ground, area, at.sun_zenith, 'spherical')
    return _shaded(seen, 0.12)


def _crop(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Leaf area (p), from maize to beet (q)."""
    leaf = Leaf(1.4 + 0.2 * q, 34 + 20 * p, 8, 0.01, 0.012 + 0.006 * q, 0.0045)
    soil = replace(at.soil, moisture=0.1)
    angles: LeafAngles = 'planophile' if q > 0.75 else 'spherical'
    return _shaded(_canopy(leaf, 0.7 + 4.0 * p, soil, at, angles), 0.16)


def _straw(p: float, q: float, at: SceneConditions) -> FloatArray:
    """From stubble to standing cereals (p), from weathered to golden (q)."""
    leaf = Leaf(2.1, 0.5, 0.4 + 0.8 * q, 0.85 - 0.40 * q, 0.0012, 0.0065)
    return _shaded(
        _canopy(leaf, 0.5 + 2.6 * p, at.soil, at, 'spherical'), 0.12 + 0.10 * p
    )


def _bare(p: float, q: float, at: SceneConditions) -> FloatArray:
    """Brightness (p), moisture (q)."""
    bright = at.soil.brightness * (0.78 + 0.40 * p)
    organic = at.soil.organic * (1.2 - 0.4 * p)
    soil = replace(at.soil, brightness=bright, organic=organic, moisture=0.4 * q**1.5)
    return soil_reflectance(soil)


#: Everything that pixels are mixed from; the position is the code.
MATERIALS = (
    Material('water', 0, _water, 0.02),
    Material('broadleaf', 1, _broadleaf, 0.22),
    Material('conifer', 2, _conifer, 0.24),
    Material('grass', 3, _grass, 0.08),
    Material('crop', 4, _crop, 0.06),
    Material('straw', 5, _straw, 0.06),
    Material('soil', 6, _bare, 0.05),
    Material('asphalt', 7, lambda p, q, at: asphalt_reflectance(p), 0.12),
    Material('concrete', 7, lambda p, q, at: concrete_reflectance(p), 0.16),
    Material('tiles', 8, lambda p, q, at: tile_reflectance(p, q), 0.22),
    Material('metal', 8, lambda p, q, at: metal_reflectance(p, q), 0.25),
)

#: Code of each material by its name.
CODES = {material.name: code for code, material in enumerate(MATERIALS)}

#: Code of the class of each material.
COVER_OF_MATERIAL: NDArray[np.intp] = np.array([m.cover for m in MATERIALS])

#: Values of the two variables for which spectra are computed; linear in between.
NODES = (np.linspace(0, 1, 5), np.linspace(0, 1, 3))

#: Number of spectra of a material.
NODES_PER_MATERIAL = len(NODES[0]) * len(NODES[1])


def material_spectrum(
    name: str, p: float = 0.5, q: float = 0.5, conditions: SceneConditions | None = None
) -> FloatArray:
    """Compute the reflectance of a material.

    Args:
        name: ``'water'``, ``'broadleaf'``, ``'conifer'``, ``'grass'``, ``'crop'``,
            ``'straw'``, ``'soil'``, ``'asphalt'``, ``'concrete'``, ``'tiles'`` or
            ``'metal'``.
        p: First variable, 0 to 1: leaf area, brightness, age or turbidity.
        q: Second variable, 0 to 1: age, dryness, moisture, colour or coating.
        conditions: Sun, soil and season.

    Returns:
        Reflectance, 0 to 1, on
        :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.

    Raises:
        UnknownNameError: If there is no such material.
        ValueError: If a variable is not between 0 and 1.
    """
    if name not in CODES:
        raise UnknownNameError('material', name, CODES)
    if not (0 <= p <= 1 and 0 <= q <= 1):
        raise ValueError(f'Expected p and q between 0 and 1, got {p:g} and {q:g}.')
    return MATERIALS[CODES[name]].model(p, q, conditions or SceneConditions())


def spectral_library(conditions: SceneConditions) -> FloatArray:
    """Compute the spectra that all pixels are mixed from.

    Args:
        conditions: Sun, soil and season.

    Returns:
        Reflectance of shape ``(materials x nodes, wavelengths)``.
    """
    rows: Iterable[FloatArray] = (
        material.model(float(p), float(q), conditions)
        for material in MATERIALS
        for p in NODES[0]
        for q in NODES[1]
    )
    return np.stack(list(rows))
