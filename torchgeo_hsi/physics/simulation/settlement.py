# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Towns: streets, roofs and gardens that get denser towards the centre."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from .materials import CODES
from .random_field import fractal, hash_integers, uniform

_SEED = 700_000_001

#: Distance of towns in pixels.
_SPACING = 88.0

#: Materials of a lot by neighbourhood: cumulative shares are drawn from these.
_LOTS = ('tiles', 'metal', 'concrete', 'asphalt', 'grass', 'broadleaf')
_CENTRE = np.array([0.38, 0.06, 0.12, 0.16, 0.10, 0.18], dtype=np.float32)
_SUBURB = np.array([0.21, 0.02, 0.05, 0.06, 0.36, 0.30], dtype=np.float32)
_PARK = np.array([0.01, 0.00, 0.01, 0.03, 0.50, 0.45], dtype=np.float32)
_INDUSTRY = np.array([0.05, 0.26, 0.14, 0.36, 0.15, 0.04], dtype=np.float32)


@dataclass(frozen=True)
class Town:
    """Smooth fields of a town.

    Args:
        density: 1 in the centre; 0 at the border, negative beyond.
        industry: Positive in industrial areas.
        green: How green a quarter is, of unit variance; large in parks.
        along: Distance along the streets, in pixels.
        across: Distance across the streets, in pixels.
    """

    density: NDArray[np.float32]
    industry: NDArray[np.float32]
    green: NDArray[np.float32]
    along: NDArray[np.float32]
    across: NDArray[np.float32]


@dataclass(frozen=True)
class Buildings:
    """What is built at some points.

    Args:
        where: True in towns.
        material: Code of the material, uint8.
        p: First variable of its spectrum.
        q: Second variable of its spectrum.
    """

    where: NDArray[np.bool_]
    material: NDArray[np.uint8]
    p: NDArray[np.float32]
    q: NDArray[np.float32]


def town_centres(x: FloatArray, y: FloatArray, seed: int) -> Town:
    """Place towns and their street grids.

    Args:
        x: Columns in pixels, shape ``(1, W)``.
        y: Rows in pixels, shape ``(H, 1)``.
        seed: Seed of the towns.

    Returns:
        Fields of shape ``(H, W)``.
    """
    column = np.floor(x / _SPACING).astype(np.int64)
    row = np.floor(y / _SPACING).astype(np.int64)
    density = np.full(np.broadcast_shapes(x.shape, y.shape), -1e3, dtype=np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            ident = hash_integers(column + dx, row + dy, seed)
            centre_x = (column + dx + 0.2 + 0.6 * uniform(ident, 1)) * _SPACING
            centre_y = (row + dy + 0.2 + 0.6 * uniform(ident, 2)) * _SPACING
            # many villages, few cities
            radius = 7 + 27 * uniform(ident, 3) ** 2.2
            inside = 1 - np.hypot(x - centre_x, y - centre_y) / radius
            density = np.maximum(
                density, np.where(uniform(ident, 5) < 0.9, inside, -1e3)
            )
    rough = fractal(x, y, seed + 1, 16, 3)
    bend_x = x + 2.5 * fractal(x, y, seed + 2, 40, 2)
    bend_y = y + 2.5 * fractal(x, y, seed + 3, 40, 2)
    # streets turn slowly from one quarter to the next
    angle = 0.35 * fractal(x, y, seed + 4, 260, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    return Town(
        density=(density + 0.22 * rough).astype(np.float32),
        industry=fractal(x, y, seed + 5, 22, 2) - np.float32(1.15),
        green=fractal(x, y, seed + 6, 10, 3, 0.6),
        along=(cosine * bend_x + sine * bend_y).astype(np.float32),
        across=(cosine * bend_y - sine * bend_x).astype(np.float32),
    )


def build_town(
    x: FloatArray, y: FloatArray, seed: int, town: Town, fine: NDArray[np.float32]
) -> Buildings:
    """Build streets and lots.

    Args:
        x: Columns in pixels, shape ``(1, W)``.
        y: Rows in pixels, shape ``(H, 1)``.
        seed: Seed of the scene.
        town: Fields of the towns at the same points.
        fine: Variation over some hundred metres.

    Returns:
        The buildings.
    """
    where = town.density > 0.06
    shape = where.shape
    material = np.zeros(shape, dtype=np.uint8)
    p, q = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if where.any():
        along, across = town.along[where], town.across[where]
        is_works = town.industry[where] > 0
        lot, lots = _lots(along, across, seed, is_works)
        built_up = town.density[where] - 0.38 * town.green[where]
        material[where] = _occupy(lot, built_up, is_works)
        p[where] = 0.15 + 0.7 * uniform(lots, 21) + 0.06 * fine[where]
        q[where] = 0.1 + 0.8 * uniform(lots, 22)
        street = _is_street(along, across, is_works)
        index = np.flatnonzero(where)[street]
        material.flat[index] = CODES['asphalt']
        p.flat[index] = 0.35
    return Buildings(where, material, p, q)


def _is_street(
    along: NDArray[np.float32], across: NDArray[np.float32], is_works: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Streets of 12 m, every 100 m one way and every 200 m the other."""
    block_a = np.where(is_works, 12.0, 6.6)
    block_b = np.where(is_works, 8.0, 3.3)
    # every fifth street is an avenue
    wide = np.where(np.floor(across / block_b) % 5 == 0, 0.75, 0.40)
    return np.asarray((along % block_a < 0.40) | (across % block_b < wide))


def _lots(
    along: NDArray[np.float32],
    across: NDArray[np.float32],
    seed: int,
    is_works: NDArray[np.bool_],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Number the parts of lots (roof, yard, garden), and the lots."""
    size = np.where(is_works, 2.2, 0.55)

    def number(scale: float) -> NDArray[np.uint64]:
        column = np.floor(along / (size * scale)).astype(np.int64)
        row = np.floor(across / (size * scale)).astype(np.int64)
        return hash_integers(column, row, seed + _SEED)

    return number(1.0), number(2.6)


def _occupy(
    lot: NDArray[np.uint64], density: NDArray[np.float32], is_works: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Choose the material of each lot."""
    centre = np.clip(density / 0.75, 0, 1)[:, None]
    park = np.clip((-0.05 - density) / 0.12, 0, 1)[:, None]
    shares = centre * _CENTRE + (1 - centre) * _SUBURB
    shares[is_works] = _INDUSTRY
    shares += park * (_PARK - shares)
    upper = np.cumsum(shares, axis=1)
    kind = (uniform(lot, 20)[:, None] > upper[:, :-1]).sum(axis=1)
    codes = np.array([CODES[name] for name in _LOTS], dtype=np.uint8)
    return np.asarray(codes[kind])
