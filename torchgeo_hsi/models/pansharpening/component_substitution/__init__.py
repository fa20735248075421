# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Component substitution: one component of a cube is replaced by the PAN."""

from .gsa import GSA, gsa

__all__ = ('GSA', 'gsa')
