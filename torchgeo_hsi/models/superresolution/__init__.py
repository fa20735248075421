# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution: more pixels for a cube, from nothing but the cube."""

from .band_windows import BandWindowSuperResolver, band_window_superresolution
from .base import SuperResolver
from .bicubic import Bicubic, bicubic
from .deepshare import DeepShare, deepshare
from .essaformer import ESSAformer, essaformer
from .pretrained import pretrained_superresolution
from .subspace import SubspaceSuperResolver, subspace_superresolution

__all__ = (
    'BandWindowSuperResolver',
    'Bicubic',
    'DeepShare',
    'ESSAformer',
    'SubspaceSuperResolver',
    'SuperResolver',
    'band_window_superresolution',
    'bicubic',
    'deepshare',
    'essaformer',
    'pretrained_superresolution',
    'subspace_superresolution',
)
