# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses that know about pixels and samples without a label."""

from .binary_cross_entropy import MaskedBinaryCrossEntropy
from .cross_entropy import MaskedCrossEntropy
from .labelled_pixels import LabelledPixels
from .normalized_mse import KnownTargets, NormalizedMSELoss

__all__ = (
    'KnownTargets',
    'LabelledPixels',
    'MaskedBinaryCrossEntropy',
    'MaskedCrossEntropy',
    'NormalizedMSELoss',
)
