# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Layers that several networks share."""

from .recurrence import gated_recurrence
from .scene import SceneModel, ScenePool
from .self_ensemble import self_ensemble
from .spectral_unet import SpectralUNet, pad_to_multiple
from .volume_conv import VolumeConv, VolumeConvTranspose, VolumeUpsample

__all__ = (
    'SceneModel',
    'ScenePool',
    'SpectralUNet',
    'VolumeConv',
    'VolumeConvTranspose',
    'VolumeUpsample',
    'gated_recurrence',
    'pad_to_multiple',
    'self_ensemble',
)
