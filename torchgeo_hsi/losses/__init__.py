# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses that know about pixels and samples without a label or without data."""

from .band_psnr import BandPSNRLoss
from .binary_cross_entropy import MaskedBinaryCrossEntropy
from .charbonnier import CharbonnierLoss
from .cross_entropy import MaskedCrossEntropy
from .gradient import GradientLoss
from .intl import INTLLoss, intl_trace_weight
from .iterative_normalization import (
    iterative_normalization,
    normalized_spectrum,
    trace_loss,
)
from .labelled_pixels import LabelledPixels
from .local_correlation import LocalCorrelationLoss, correlation_threshold
from .masked_l1 import MaskedL1Loss
from .masked_mse import MaskedMSELoss
from .mtf_spectral import MTFSpectralLoss
from .mutual_information import MutualInformationLoss
from .normalized_mse import KnownTargets, NormalizedMSELoss
from .queue_contrast import QueueContrastLoss
from .restoration import RestorationLoss
from .soft_whitening import SoftWhiteningLoss
from .spatial_variation import SpatialVariationLoss
from .spectral_angle import SpectralAngleLoss
from .spectral_residual import SpectralResidualLoss
from .spectral_transformation import SpectralTransformationLoss, spectral_transformation
from .spectral_variation import SpectralVariationLoss

__all__ = (
    'BandPSNRLoss',
    'CharbonnierLoss',
    'GradientLoss',
    'INTLLoss',
    'KnownTargets',
    'LabelledPixels',
    'LocalCorrelationLoss',
    'MTFSpectralLoss',
    'MaskedBinaryCrossEntropy',
    'MaskedCrossEntropy',
    'MaskedL1Loss',
    'MaskedMSELoss',
    'MutualInformationLoss',
    'NormalizedMSELoss',
    'QueueContrastLoss',
    'RestorationLoss',
    'SoftWhiteningLoss',
    'SpatialVariationLoss',
    'SpectralAngleLoss',
    'SpectralResidualLoss',
    'SpectralTransformationLoss',
    'SpectralVariationLoss',
    'correlation_threshold',
    'intl_trace_weight',
    'iterative_normalization',
    'normalized_spectrum',
    'spectral_transformation',
    'trace_loss',
)
