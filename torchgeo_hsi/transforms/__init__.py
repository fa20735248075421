# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Transforms of whole samples: what belongs together moves together."""

# naming one of our transforms in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .crop import CenterResizedCrop, RandomResizedCrop
from .dihedral import RandomDihedral
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

__all__ = (
    'BandGaussianNoise',
    'CenterResizedCrop',
    'CorrelatedNoise',
    'DeadlineNoise',
    'GaussianNoise',
    'ImpulseNoise',
    'MixtureNoise',
    'NoiseChoice',
    'NoiseSequence',
    'NoiseTransform',
    'NormalizeValid',
    'PoissonNoise',
    'PushbroomStriping',
    'RandomDihedral',
    'RandomResizedCrop',
    'SensorNoise',
    'StripeNoise',
    'get_noise',
    'list_noises',
)
