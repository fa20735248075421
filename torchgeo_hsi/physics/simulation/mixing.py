# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From what lies on the ground to spectra of mixed pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .landscape import Surface, sample_surface
from .materials import (
    COVER_OF_MATERIAL,
    LAND_COVER,
    MATERIALS,
    NODES,
    NODES_PER_MATERIAL,
)
from .random_field import hash_integers, uniform

type Field = NDArray[np.float32]

#: Parts along each side of a pixel.
OVERSAMPLING = 4

_S_BRIGHTNESS = 940_000_001

# Share of a pixel and of its neighbour in the signal, along one axis: optics and motion
# blur the ground by a Gaussian of sigma 16 m (modulation transfer at 60 m of 0.25 across
# and 0.16 along the track, https://doi.org/10.3390/rs70708830, without the pixel itself).
_BLUR = (0.660, 0.170)

_ROUGHNESS = np.array([m.roughness for m in MATERIALS], dtype=np.float32)


@dataclass(frozen=True)
class Mixture:
    """What each pixel is a mixture of.

    Args:
        weights: Weight of each spectrum of the library, brightness included, of shape
            ``(H, W, materials x nodes)``.
        abundances: Share of each class, sums to 1, of shape ``(H, W, K)``.
    """

    weights: Field
    abundances: Field


def mix_surface(left: int, top: int, width: int, height: int, seed: int) -> Mixture:
    """Find out what each pixel is a mixture of, as the instrument sees it.

    Args:
        left: First column, in the coordinates of the world.
        top: First row.
        width: Columns.
        height: Rows.
        seed: Seed of the scene.

    Returns:
        The mixture.
    """
    # the instrument sees a little of the neighbours
    left, top, width, height = left - 1, top - 1, width + 2, height + 2
    surface = sample_surface(left, top, width, height, seed, OVERSAMPLING)
    rows, columns = surface.material.shape
    draw = uniform(
        hash_integers(
            left * OVERSAMPLING + np.arange(columns, dtype=np.int64)[None, :],
            top * OVERSAMPLING + np.arange(rows, dtype=np.int64)[:, None],
            seed + _S_BRIGHTNESS,
        ),
        0,
    )
    # a uniform number has a standard deviation of 1 / sqrt(12)
    spread = _ROUGHNESS[surface.material] * np.float32(np.sqrt(12))
    brightness = 1 + spread * (draw - 0.5)
    pixel = (
        np.arange(rows)[:, None] // OVERSAMPLING * width
        + np.arange(columns)[None, :] // OVERSAMPLING
    )
    shape = (height, width)
    return Mixture(
        weights=_blur(_library_weights(surface, brightness, pixel, shape)),
        abundances=_blur(_abundances(surface, pixel, shape)),
    )


def _library_weights(
    surface: Surface,
    brightness: Field,
    pixel: NDArray[np.int64],
    shape: tuple[int, int],
) -> Field:
    """Spread the parts of pixels over the nearest spectra of the library."""
    count_p, count_q = len(NODES[0]), len(NODES[1])
    p, q = surface.p * (count_p - 1), surface.q * (count_q - 1)
    lower_p = np.minimum(p.astype(np.int64), count_p - 2)
    lower_q = np.minimum(q.astype(np.int64), count_q - 2)
    over_p, over_q = p - lower_p, q - lower_q
    count = len(MATERIALS) * NODES_PER_MATERIAL
    node = surface.material.astype(np.int64) * NODES_PER_MATERIAL
    node += lower_p * count_q + lower_q + pixel * count
    corners = (
        (0, (1 - over_p) * (1 - over_q)),
        (1, (1 - over_p) * over_q),
        (count_q, over_p * (1 - over_q)),
        (count_q + 1, over_p * over_q),
    )
    total = np.bincount(
        np.concatenate([(node + step).ravel() for step, _ in corners]),
        np.concatenate([(part * brightness).ravel() for _, part in corners]),
        minlength=shape[0] * shape[1] * count,
    )
    weights = total.astype(np.float32).reshape(*shape, count)
    return np.asarray(weights / np.float32(OVERSAMPLING**2))


def _abundances(
    surface: Surface, pixel: NDArray[np.int64], shape: tuple[int, int]
) -> Field:
    """Count the classes in each pixel."""
    count = len(LAND_COVER)
    index = pixel * count + COVER_OF_MATERIAL[surface.material]
    total = np.bincount(index.ravel(), minlength=shape[0] * shape[1] * count)
    shares = total.reshape(*shape, count).astype(np.float32)
    return np.asarray(shares / np.float32(OVERSAMPLING**2))


def _blur(values: Field) -> Field:
    """Blur along both axes; the outermost pixels are used up."""
    centre, side = np.float32(_BLUR[0]), np.float32(_BLUR[1])
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        values = centre * values[1:-1] + side * (values[:-2] + values[2:])
        values = np.moveaxis(values, 0, axis)
    return np.ascontiguousarray(values)
