# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fields: blocks between tracks, divided into parcels with one crop each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from .materials import CODES
from .random_field import hash_integers, uniform, voronoi_parts

_SEED = 500_000_003

#: Size of a block of fields in pixels.
_BLOCK = 34.0

#: What grows on a parcel in July: material, share, and ranges of p and q.
_CROPS = (
    ('straw', 0.26, (0.55, 1.0), (0.45, 1.0)),  # cereals before the harvest
    ('straw', 0.17, (0.0, 0.35), (0.1, 0.8)),  # stubble
    ('crop', 0.19, (0.35, 0.9), (0.0, 0.5)),  # maize
    ('crop', 0.08, (0.6, 1.0), (0.8, 1.0)),  # beet, potatoes
    ('grass', 0.22, (0.25, 0.95), (0.05, 0.75)),
    ('soil', 0.08, (0.1, 1.0), (0.0, 0.6)),
)


@dataclass(frozen=True)
class Farmland:
    """Fields at some points.

    Args:
        material: Code of the material, uint8.
        p: First variable of its spectrum.
        q: Second variable of its spectrum.
        chance: A random number from 0 to 1 for each parcel.
    """

    material: NDArray[np.uint8]
    p: NDArray[np.float32]
    q: NDArray[np.float32]
    chance: NDArray[np.float32]


def plant_fields(
    x: FloatArray,
    y: FloatArray,
    seed: int,
    broad: NDArray[np.float32],
    fine: NDArray[np.float32],
    factor: int,
) -> Farmland:
    """Divide the plane into parcels and plant them.

    Args:
        x: Columns of parts of pixels, shape ``(1, W)``.
        y: Rows of parts of pixels, shape ``(H, 1)``.
        seed: Seed of the scene.
        broad: Variation of the soil over kilometres.
        fine: Variation of the soil over some hundred metres.
        factor: Parts along each side of a pixel.

    Returns:
        The fields.
    """
    block = voronoi_parts(x, y, seed + _SEED, _BLOCK, factor)
    parcel = _parcels(x, y, seed, block.ident)
    chance = uniform(parcel, 0)
    material = np.zeros(chance.shape, dtype=np.uint8)
    p, q = np.empty_like(chance), np.empty_like(chance)
    draw_p, draw_q = uniform(parcel, 1), uniform(parcel, 2)
    crop = uniform(parcel, 3)
    upper = np.cumsum([share for _, share, _, _ in _CROPS]) / sum(c[1] for c in _CROPS)
    kind = np.minimum(np.searchsorted(upper, crop), len(_CROPS) - 1)
    for code, (name, _, range_p, range_q) in enumerate(_CROPS):
        here = kind == code
        material[here] = CODES[name]
        p[here] = range_p[0] + (range_p[1] - range_p[0]) * draw_p[here]
        q[here] = range_q[0] + (range_q[1] - range_q[0]) * draw_q[here]
    # the soil shows through every crop
    p += 0.085 * fine + 0.05 * broad
    q += 0.05 * fine
    track = block.edge < 0.10
    material[track] = CODES['soil']
    verge = (block.edge >= 0.10) & (block.edge < 0.28)
    material[verge] = CODES['grass']
    p[verge], q[verge] = 0.6, 0.3
    return Farmland(material, p, q, chance)


def _parcels(
    x: FloatArray, y: FloatArray, seed: int, block: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Number the rectangles into which each block is divided."""
    angle = uniform(block, 10) * np.float32(np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    along = (cosine * x + sine * y).astype(np.float32)
    across = (cosine * y - sine * x).astype(np.float32)
    width = 5 + 10 * uniform(block, 11)
    length = 10 + 22 * uniform(block, 12)
    strip = np.floor(across / width).astype(np.int64)
    # strips are divided at different places
    shift = uniform(hash_integers(strip, np.zeros(1, np.int64), seed), 13)
    piece = np.floor(along / length + shift).astype(np.int64)
    return hash_integers(strip ^ block.astype(np.int64), piece, seed)
