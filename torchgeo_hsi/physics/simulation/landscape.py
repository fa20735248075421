# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A landscape of the Central European lowlands as a function of position.

Distances are in pixels of 30 m. Large forms come from smooth fields, and what people
made comes from polygons and rotated grids: see :mod:`.settlement` and :mod:`.farmland`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from .farmland import Farmland, plant_fields
from .materials import CODES
from .random_field import fractal, hash_integers, uniform, voronoi
from .settlement import Town, build_town, town_centres

type Field = NDArray[np.float32]

#: Height in metres of one standard deviation of the terrain.
RELIEF = 55.0

# share of the plane above these values of fields of unit variance: 38 % and 2.5 %
_FOREST = 0.31
_LAKE = 1.95

# offsets of the seeds of the fields
(
    _S_RIVER, _S_BEND, _S_WIDTH, _S_LAKE, _S_TERRAIN, _S_FOREST, _S_CONIFER, _S_STAND,
    _S_FINE, _S_BROAD, _S_ROAD, _S_MOTORWAY, _S_SUBPIXEL, _S_VILLAGE,
) = (1_000_003 * (i + 1) for i in range(14))  # fmt: skip


@dataclass(frozen=True)
class LargeForms:
    """Smooth fields of the landscape.

    Args:
        river: Distance to the bank of a river; negative in it.
        lake: Positive in lakes.
        forest: Positive in forests.
        conifer: Positive where conifers grow better than broadleaf trees.
        road: Distance to the middle of a road, positive on one side of it.
        motorway: The same for motorways.
        fine: Variation over some hundred metres, of unit variance.
        broad: Variation over some kilometres, of unit variance.
        town: Towns.
    """

    river: Field
    lake: Field
    forest: Field
    conifer: Field
    road: Field
    motorway: Field
    fine: Field
    broad: Field
    town: Town


@dataclass(frozen=True)
class Surface:
    """What lies at some points.

    Args:
        material: Code of the material, uint8.
        p: First variable of its spectrum, 0 to 1.
        q: Second variable of its spectrum, 0 to 1.
    """

    material: NDArray[np.uint8]
    p: Field
    q: Field


def _distance_to_zero(
    x: FloatArray, y: FloatArray, seed: int, scale: float, octaves: int
) -> Field:
    """Signed distance to the nearest zero of a smooth field, to first order.

    The zeros of a random field are winding lines without ends.
    """
    here = fractal(x, y, seed, scale, octaves, 0.45)
    east = fractal(x + 0.5, y, seed, scale, octaves, 0.45) - here
    south = fractal(x, y + 0.5, seed, scale, octaves, 0.45) - here
    slope = 2 * np.hypot(east, south)
    return np.asarray(here / np.maximum(slope, 0.25 / scale))


def large_forms(x: FloatArray, y: FloatArray, seed: int) -> LargeForms:
    """Compute the smooth fields on a grid.

    Args:
        x: Columns, shape ``(1, W)``.
        y: Rows, shape ``(H, 1)``.
        seed: Seed of the scene.

    Returns:
        The fields.
    """
    half_width = 2.0 + 0.9 * fractal(x, y, seed + _S_WIDTH, 90, 2)
    middle = np.abs(_distance_to_zero(x, y, seed + _S_RIVER, 420, 4))
    river = middle - np.maximum(half_width, 0.7)
    lake = fractal(x, y, seed + _S_LAKE, 130, 4) - _LAKE
    broad = fractal(x, y, seed + _S_BROAD, 70, 4)
    fine = fractal(x, y, seed + _S_FINE, 9, 4, 0.6)
    near = np.minimum(river, 30) / 30
    return LargeForms(
        river=river,
        lake=lake,
        forest=fractal(x, y, seed + _S_FOREST, 110, 5, 0.55) - _FOREST,
        conifer=0.8 * broad + 0.4 + 0.5 * near,
        road=_distance_to_zero(x, y, seed + _S_ROAD, 210, 3),
        motorway=_distance_to_zero(x, y, seed + _S_MOTORWAY, 900, 2),
        fine=fine,
        broad=broad,
        town=town_centres(x, y, seed + _S_VILLAGE),
    )


def elevation(x: FloatArray, y: FloatArray, seed: int) -> Field:
    """Compute the height of the terrain in metres; valleys follow the rivers.

    Args:
        x: Columns, shape ``(1, W)``.
        y: Rows, shape ``(H, 1)``.
        seed: Seed of the scene.

    Returns:
        Heights of shape ``(H, W)``.
    """
    hills = fractal(x, y, seed + _S_TERRAIN, 240, 5, 0.42)
    river = np.abs(fractal(x, y, seed + _S_RIVER, 420, 4, 0.45))
    valley = np.clip(river / 0.35, 0, 1)
    return np.asarray(RELIEF * (1.6 + hills) * valley * valley * (3 - 2 * valley))


def resample(values: Field, factor: int) -> Field:
    """Interpolate a field from pixels to parts of pixels.

    Args:
        values: Values at the centres of pixels, with one pixel more at each side.
        factor: Parts along each side of a pixel.

    Returns:
        Values at the centres of the parts.
    """
    offset = (np.arange(factor, dtype=np.float32) + 0.5) / factor - 0.5
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        before, here, after = values[:-2], values[1:-1], values[2:]
        parts = [
            here + (here - before) * o if o < 0 else here + (after - here) * o
            for o in offset
        ]
        joined = np.stack(parts, axis=1).reshape(-1, *values.shape[1:])
        values = np.moveaxis(joined, 0, axis)
    return values


def sample_surface(
    left: int, top: int, width: int, height: int, seed: int, factor: int
) -> Surface:
    """Find out what lies in each part of each pixel.

    Args:
        left: First column, in the coordinates of the world.
        top: First row.
        width: Columns of pixels.
        height: Rows of pixels.
        seed: Seed of the scene.
        factor: Parts along each side of a pixel.

    Returns:
        The surface, arrays of shape ``(height x factor, width x factor)``.
    """
    column = left + np.arange(-1, width + 1)[None, :] + 0.5
    row = top + np.arange(-1, height + 1)[:, None] + 0.5
    forms = _refine(large_forms(column, row, seed), factor)
    x = left + (np.arange(width * factor)[None, :] + 0.5) / factor
    y = top + (np.arange(height * factor)[:, None] + 0.5) / factor
    farm = plant_fields(x, y, seed, forms.broad, forms.fine, factor)
    stand = voronoi(column[:, 1:-1], row[1:-1], seed + _S_STAND, 15.0).ident
    stand = np.repeat(np.repeat(stand, factor, axis=0), factor, axis=1)
    surface = _layers(x, y, seed, forms, farm, stand)
    noise = uniform(
        hash_integers(
            left * factor + np.arange(width * factor, dtype=np.int64)[None, :],
            top * factor + np.arange(height * factor, dtype=np.int64)[:, None],
            seed + _S_SUBPIXEL,
        ),
        0,
    )
    # no two parts are quite the same
    p = np.clip(surface.p + 0.18 * (noise - 0.5), 0, 1)
    return Surface(surface.material, p, np.clip(surface.q, 0, 1))


def _refine(forms: LargeForms, factor: int) -> LargeForms:
    fields = {
        name: resample(value, factor)
        for name, value in vars(forms).items()
        if name != 'town'
    }
    town = {name: resample(value, factor) for name, value in vars(forms.town).items()}
    return LargeForms(**fields, town=Town(**town))


def _layers(
    x: FloatArray,
    y: FloatArray,
    seed: int,
    forms: LargeForms,
    farm: Farmland,
    stand: NDArray[np.uint64],
) -> Surface:
    """Lay forest, towns, roads and water over the fields."""
    material, p, q = farm.material, farm.p, farm.q

    def lay(
        where: NDArray[np.bool_], code: NDArray[np.uint8] | str, *pq: FloatArray
    ) -> None:
        values = np.uint8(CODES[code]) if isinstance(code, str) else code
        np.copyto(material, values, where=where)
        np.copyto(p, pq[0], where=where)
        np.copyto(q, pq[1], where=where)

    # the edge of a forest follows the parcels as much as nature
    wooded = forms.forest + 0.55 * (farm.chance - 0.5) > 0
    vigour = 0.5 + 0.30 * (uniform(stand, 3) - 0.5) + 0.14 * forms.fine
    age = 0.15 + 0.7 * uniform(stand, 4) + 0.08 * forms.fine
    clearing = uniform(stand, 5) < 0.035
    is_conifer = forms.conifer + 1.1 * (uniform(stand, 6) - 0.5) > 0
    lay(wooded & ~is_conifer, 'broadleaf', vigour, age)
    lay(wooded & is_conifer, 'conifer', vigour, age)
    lay(wooded & clearing, 'grass', 0.4 + 0.2 * forms.fine, age)
    # trees and meadows along the water
    bank = np.minimum(forms.river, -40 * forms.lake)
    lay(bank < 0.8 + 1.6 * forms.broad, 'grass', vigour + 0.25, 0.3 * age)
    lay(bank < 0.5 + 0.9 * forms.fine, 'broadleaf', vigour, age)
    town = build_town(x, y, seed, forms.town, forms.fine)
    lay(town.where, town.material, town.p, town.q)
    wear = 0.45 + 0.12 * forms.fine
    road, motorway = np.abs(forms.road), np.abs(forms.motorway)
    lay(road < 0.22, 'asphalt', wear, wear)
    lay(motorway < 0.55, 'asphalt', wear + 0.2, wear)
    lay(motorway < 0.08, 'grass', wear, wear)
    algae = 0.45 + 0.16 * forms.broad + 0.03 * forms.fine
    # bridges: roads over rivers but not over lakes
    bridge = (road < 0.22) | (motorway < 0.55)
    lay((forms.river < 0) & ~bridge, 'water', algae, 0.5 + 0.1 * forms.broad)
    lay(forms.lake > 0, 'water', algae - 0.12, 0.5 - 0.2 * forms.broad)
    return Surface(material, p, q)
