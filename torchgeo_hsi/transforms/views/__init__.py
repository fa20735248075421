# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views that make sense for spectra, for learning without labels."""

from .band_dropout import BandDropout
from .band_scaling import BandScaling
from .illumination import Illumination
from .multi_view import MultiView
from .physical_units import PhysicalUnits
from .random_band_subset import RandomBandSubset
from .random_sensor import RandomSensor
from .recipes import dino_views, intl_views, mae_views, moco_views
from .spatial_blur import SpatialBlur
from .spectral_jitter import SpectralJitter
from .spectral_mask import SpectralMask
from .spectral_mixup import SpectralMixup
from .spectral_view import SpectralView

__all__ = (
    'BandDropout',
    'BandScaling',
    'Illumination',
    'MultiView',
    'PhysicalUnits',
    'RandomBandSubset',
    'RandomSensor',
    'SpatialBlur',
    'SpectralJitter',
    'SpectralMask',
    'SpectralMixup',
    'SpectralView',
    'dino_views',
    'intl_views',
    'mae_views',
    'moco_views',
)
