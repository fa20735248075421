# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses that know about pixels without a label."""

from .cross_entropy import MaskedCrossEntropy
from .labelled_pixels import LabelledPixels

__all__ = ('LabelledPixels', 'MaskedCrossEntropy')
