# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Backbones for many bands, all registered in timm."""

# the imports register the names that end with _series and _wl
from . import series_backbones as series_backbones
from . import wavelength_backbones as wavelength_backbones
from .adapter_backbone import SpectralAdapterBackbone
from .checkpoint_backbone import backbone_from_checkpoint
from .foundation import FoundationTransformer
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
from .weights_export import export_spectral_earth_weights

__all__ = (
    'FoundationTransformer',
    'SpecResNet',
    'SpecVisionTransformer',
    'SpectralAdapterBackbone',
    'backbone_from_checkpoint',
    'export_spectral_earth_weights',
    'spec_resnet50',
    'spec_vit_base',
    'spec_vit_giant',
    'spec_vit_huge',
    'spec_vit_large',
    'spec_vit_small',
    'spec_vit_tiny',
)
