# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights from files: published ones, those that ship, checkpoints of other trainers."""

from .load import load_spectral_earth_weights, meet_torchgeo
from .report import WeightReport
from .restoration import list_weights, load_restoration_weights
from .spectral_earth import (
    SpecResNet50_Weights,
    SpectralEarthWeights,
    SpecViTBase_Weights,
    SpecViTGiant_Weights,
    SpecViTHuge_Weights,
    SpecViTLarge_Weights,
    SpecViTSmall_Weights,
)

__all__ = (
    'SpecResNet50_Weights',
    'SpecViTBase_Weights',
    'SpecViTGiant_Weights',
    'SpecViTHuge_Weights',
    'SpecViTLarge_Weights',
    'SpecViTSmall_Weights',
    'SpectralEarthWeights',
    'WeightReport',
    'list_weights',
    'load_restoration_weights',
    'load_spectral_earth_weights',
    'meet_torchgeo',
)
