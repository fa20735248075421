# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs for super-resolution, and color images beside them.

The fine pixels of a coarse one cover the same area, so corners of images stay where they
are, and flips and rotations of pairs stay pairs.
"""

from .color import RGBToBands, SyntheticRGB
from .downscale import Downscale

__all__ = ('Downscale', 'RGBToBands', 'SyntheticRGB')
