# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of a cube and a panchromatic image: what belongs together stays on one grid.

A pixel ``(i, j)`` of the cube lies on the sample ``(ratio * i + ratio // 2, ratio * j +
ratio // 2)`` of the panchromatic image. Crops keep that. A flip does not where the ratio
is even: it leads to ``ratio // 2 - 1``, one sample beside. So there are no flips and
rotations of pairs here, and :class:`~torchgeo_hsi.transforms.RandomDihedral` is only for
pairs of an odd ratio.
"""

from .crop import RandomPairCrop
from .full import FullResolution
from .reduced import ReducedResolution

__all__ = ('FullResolution', 'RandomPairCrop', 'ReducedResolution')
