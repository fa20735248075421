# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Transforms of whole samples: what belongs together moves together."""

from .._timm import import_with_timm as _import_with_timm
from .crop import CenterResizedCrop, RandomResizedCrop
from .dihedral import RandomDihedral
from .gas_plume import GasPlume
from .noise import (
    BandGaussianNoise,
    CorrelatedNoise,
    DeadlineNoise,
    GaussianNoise,
    ImpulseNoise,
    MixtureNoise,
    NoiseChoice,
    NoiseSequence,
    NoiseTransform,
    PoissonNoise,
    PushbroomStriping,
    SensorNoise,
    StripeNoise,
    get_noise,
    list_noises,
)
from .normalize import NormalizeValid
from .pansharpening import FullResolution, RandomPairCrop, ReducedResolution
from .spectral_derivative import SpectralDerivative
from .superresolution import Downscale, RGBToBands, SyntheticRGB
from .views import (
    BandDropout,
    BandScaling,
    Illumination,
    MultiView,
    PhysicalUnits,
    RandomBandSubset,
    RandomSensor,
    SpatialBlur,
    SpectralJitter,
    SpectralMask,
    SpectralMixup,
    SpectralView,
    dino_views,
    intl_views,
    mae_views,
    moco_views,
)

# naming one of our transforms in a config is enough to register our backbones in timm
_import_with_timm('torchgeo_hsi.models')

__all__ = (
    'BandDropout',
    'BandGaussianNoise',
    'BandScaling',
    'CenterResizedCrop',
    'CorrelatedNoise',
    'DeadlineNoise',
    'Downscale',
    'FullResolution',
    'GasPlume',
    'GaussianNoise',
    'Illumination',
    'ImpulseNoise',
    'MixtureNoise',
    'MultiView',
    'NoiseChoice',
    'NoiseSequence',
    'NoiseTransform',
    'NormalizeValid',
    'PhysicalUnits',
    'PoissonNoise',
    'PushbroomStriping',
    'RGBToBands',
    'RandomBandSubset',
    'RandomDihedral',
    'RandomPairCrop',
    'RandomResizedCrop',
    'RandomSensor',
    'ReducedResolution',
    'SensorNoise',
    'SpatialBlur',
    'SpectralDerivative',
    'SpectralJitter',
    'SpectralMask',
    'SpectralMixup',
    'SpectralView',
    'StripeNoise',
    'SyntheticRGB',
    'dino_views',
    'get_noise',
    'intl_views',
    'list_noises',
    'mae_views',
    'moco_views',
)
