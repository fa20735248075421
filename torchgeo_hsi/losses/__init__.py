# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses that know about pixels and samples without a label or without data."""

from .binary_cross_entropy import MaskedBinaryCrossEntropy
from .charbonnier import CharbonnierLoss
from .cross_entropy import MaskedCrossEntropy
from .gradient import GradientLoss
from .labelled_pixels import LabelledPixels
from .masked_l1 import MaskedL1Loss
from .masked_mse import MaskedMSELoss
from .normalized_mse import KnownTargets, NormalizedMSELoss
from .restoration import RestorationLoss
from .spectral_angle import SpectralAngleLoss

__all__ = (
    'CharbonnierLoss',
    'GradientLoss',
    'KnownTargets',
    'LabelledPixels',
    'MaskedBinaryCrossEntropy',
    'MaskedCrossEntropy',
    'MaskedL1Loss',
    'MaskedMSELoss',
    'NormalizedMSELoss',
    'RestorationLoss',
    'SpectralAngleLoss',
)
