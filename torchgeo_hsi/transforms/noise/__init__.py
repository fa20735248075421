# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Transforms that make pairs of a noisy and a clean image."""

from .band_gaussian import BandGaussianNoise
from .base import NoiseTransform
from .catalog import get_noise, list_noises
from .choice import NoiseChoice
from .correlated import CorrelatedNoise
from .deadline import DeadlineNoise
from .gaussian import GaussianNoise
from .impulse import ImpulseNoise
from .mixture import MixtureNoise
from .poisson import PoissonNoise
from .pushbroom import PushbroomStriping
from .sensor import SensorNoise
from .sequence import NoiseSequence
from .stripe import StripeNoise

__all__ = (
    'BandGaussianNoise',
    'CorrelatedNoise',
    'DeadlineNoise',
    'GaussianNoise',
    'ImpulseNoise',
    'MixtureNoise',
    'NoiseChoice',
    'NoiseSequence',
    'NoiseTransform',
    'PoissonNoise',
    'PushbroomStriping',
    'SensorNoise',
    'StripeNoise',
    'get_noise',
    'list_noises',
)
