# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of hyperspectral images, as functions of cubes of shape (..., C, H, W).

All axes before the bands are independent samples, each of which draws its own noise.
With a generator, numbers are drawn where the generator is and then moved, so that the
noise is the same on every device; without one, they are drawn where the cube is.
"""

from .columns import COLUMNS, add_deadlines, add_stripes
from .curve import NoiseCurve
from .draw import draw_bands, draw_level
from .gaussian import SIGMA_SCALE, add_gaussian, correlated_sigma
from .impulse import AMOUNTS, add_impulses
from .levels import noise_levels
from .pushbroom import add_striping, fill_dead
from .resampling import draw_resampled
from .sensor import add_sensor_noise
from .shot import add_shot

__all__ = (
    'AMOUNTS',
    'COLUMNS',
    'SIGMA_SCALE',
    'NoiseCurve',
    'add_deadlines',
    'add_gaussian',
    'add_impulses',
    'add_sensor_noise',
    'add_shot',
    'add_stripes',
    'add_striping',
    'correlated_sigma',
    'draw_bands',
    'draw_level',
    'draw_resampled',
    'fill_dead',
    'noise_levels',
)
