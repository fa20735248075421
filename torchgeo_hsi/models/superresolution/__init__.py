# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution: more pixels for a cube, from nothing but the cube."""

from .base import SuperResolver
from .bicubic import Bicubic, bicubic

__all__ = ('Bicubic', 'SuperResolver', 'bicubic')
