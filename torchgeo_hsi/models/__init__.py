# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Models: backbones for many bands.

Importing this sub-package registers the backbones in timm, so every trainer that
builds its network by ``timm.create_model`` (or by segmentation_models_pytorch's
``tu-`` prefix) knows them.
"""

from .adapter_backbone import SpectralAdapterBackbone
from .api import get_builder, get_model, list_models, register_model
from .spec_resnet import SpecResNet, spec_resnet50
from .spec_vit import (
    SpecVisionTransformer,
    spec_vit_base,
    spec_vit_giant,
    spec_vit_huge,
    spec_vit_large,
    spec_vit_small,
    spec_vit_tiny,
)
from .spectral_adapter import SpectralAdapter
from .spectral_mlp import SpectralMLP, SpectralWhitening, spectral_mlp
from .weights import WeightReport, load_spectral_earth_weights

__all__ = (
    'SpecResNet',
    'SpecVisionTransformer',
    'SpectralAdapter',
    'SpectralAdapterBackbone',
    'SpectralMLP',
    'SpectralWhitening',
    'WeightReport',
    'get_builder',
    'get_model',
    'list_models',
    'load_spectral_earth_weights',
    'register_model',
    'spec_resnet50',
    'spec_vit_base',
    'spec_vit_giant',
    'spec_vit_huge',
    'spec_vit_large',
    'spec_vit_small',
    'spec_vit_tiny',
    'spectral_mlp',
)
