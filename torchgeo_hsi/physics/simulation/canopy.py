# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Canopies seen from above: leaves in layers over soil.

The four fluxes of SAIL (Verhoef 1984, https://doi.org/10.1016/0034-4257(84)90057-9) for
a view from the nadir. A thin layer is doubled until it has the wanted leaf area, with
the adding method (Verhoef 1985, https://doi.org/10.1016/0034-4257(85)90072-0), which
needs no special cases.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..._typing import FloatArray

#: Shape of the leaf angle distribution, after de Wit 1965,
#: https://edepot.wur.nl/187115.
LeafAngles = Literal['planophile', 'spherical', 'erectophile']

#: Halvings of the leaf area until a layer is thin.
_HALVINGS = 14


@dataclass(frozen=True)
class _Layer:
    """Reflectance and transmittance; s: sun, d: diffuse light, o: observer."""

    r_sd: FloatArray
    r_dd: FloatArray
    r_so: FloatArray
    r_do: FloatArray
    t_sd: FloatArray
    t_dd: FloatArray
    t_do: FloatArray
    t_ss: float
    t_oo: float


def canopy_reflectance(
    leaf: tuple[FloatArray, FloatArray],
    soil: FloatArray,
    leaf_area: float,
    sun_zenith: float,
    angles: LeafAngles = 'spherical',
) -> FloatArray:
    """Compute the reflectance of a canopy, seen from the nadir in direct sun.

    Args:
        leaf: Reflectance and transmittance of the leaves.
        soil: Reflectance of the soil.
        leaf_area: Leaf area index in m²/m².
        sun_zenith: Zenith angle of the sun in degrees, below 80.
        angles: How the leaves are inclined.

    Returns:
        Reflectance factor of canopy and soil.
    """
    layer = _thin_layer(leaf, leaf_area / 2**_HALVINGS, sun_zenith, angles)
    for _ in range(_HALVINGS):
        layer = _double(layer)
    # light from the soil is reflected to and fro between soil and leaves
    bounce = 1 - soil * layer.r_dd
    direct = layer.r_so + layer.t_ss * layer.t_oo * soil
    seen = (layer.t_ss + layer.t_sd) * layer.t_do
    gap = (layer.t_sd + layer.t_ss * soil * layer.r_dd) * layer.t_oo
    return np.asarray(direct + (seen + gap) * soil / bounce)


def _inclinations(angles: LeafAngles) -> tuple[FloatArray, FloatArray]:
    """Leaf inclinations in radians and their shares."""
    theta = np.radians(np.arange(2.5, 90, 5))
    shares = {
        'planophile': 1 + np.cos(2 * theta),
        'spherical': np.sin(theta),
        'erectophile': 1 - np.cos(2 * theta),
    }[angles]
    return theta, shares / shares.sum()


def _thin_layer(
    leaf: tuple[FloatArray, FloatArray],
    area: float,
    sun_zenith: float,
    angles: LeafAngles,
) -> _Layer:
    """One layer in which light meets at most one leaf."""
    theta, share = _inclinations(angles)
    sun = np.radians(sun_zenith)
    cos_cos = np.cos(sun) * np.cos(theta)
    sin_sin = np.sin(sun) * np.sin(theta)
    # azimuth at which a leaf turns its lower side to the sun
    ratio = cos_cos / np.maximum(sin_sin, 1e-12)
    turn = np.where(ratio >= 1, np.pi, np.arccos(np.clip(-ratio, -1, 1)))
    caught = 2 / np.pi * ((turn - np.pi / 2) * cos_cos + np.sin(turn) * sin_sin)
    # leaf area projected towards the sun and the observer, and its mean square slope
    k_s = float(share @ caught / np.cos(sun))
    k_o = float(share @ np.cos(theta))
    slope = float(share @ np.cos(theta) ** 2)
    # light that comes from the sun and leaves straight up, from and through a leaf
    both = np.cos(theta) * (turn * cos_cos + np.sin(turn) * sin_sin)
    back = float(share @ both / np.pi / np.cos(sun))
    through = float(share @ (both / np.pi - np.cos(theta) * cos_cos) / np.cos(sun))
    r, t = leaf

    def mix(projection: float, sign: int) -> FloatArray:
        first, second = (projection + sign * slope) / 2, (projection - sign * slope) / 2
        return np.asarray(first * r + second * t) * area

    return _Layer(
        r_sd=mix(k_s, 1),
        r_dd=mix(1.0, 1),
        r_so=np.asarray(back * r + through * t) * area,
        r_do=mix(k_o, 1),
        t_sd=mix(k_s, -1),
        t_dd=1 - area + mix(1.0, -1),
        t_do=mix(k_o, -1),
        t_ss=1 - k_s * area,
        t_oo=1 - k_o * area,
    )


def _double(x: _Layer) -> _Layer:
    """Put a layer on its like."""
    bounce = 1 - x.r_dd**2
    # diffuse light between the two, down and up, from the sun and from diffuse light
    down = (x.t_sd + x.t_ss * x.r_sd * x.r_dd) / bounce
    up = x.t_ss * x.r_sd + down * x.r_dd
    down_d = x.t_dd / bounce
    up_d = down_d * x.r_dd
    return replace(
        x,
        r_sd=x.r_sd + up * x.t_dd,
        r_dd=x.r_dd + up_d * x.t_dd,
        r_so=x.r_so + x.t_ss * x.r_so * x.t_oo + down * x.r_do * x.t_oo + up * x.t_do,
        r_do=x.r_do + down_d * x.r_do * x.t_oo + up_d * x.t_do,
        t_sd=x.t_ss * x.t_sd + down * x.t_dd,
        t_dd=down_d * x.t_dd,
        t_do=x.t_do * x.t_oo + down_d * x.t_do + up_d * x.r_do * x.t_oo,
        t_ss=x.t_ss**2,
        t_oo=x.t_oo**2,
    )
