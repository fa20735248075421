# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Models: backbones for many bands.

Importing this sub-package registers the backbones in timm, so every trainer that
builds its network by ``timm.create_model`` (or by segmentation_models_pytorch's
``tu-`` prefix) knows them.
"""

from .adapter_backbone import SpectralAdapterBackbone
from .api import get_builder, get_model, list_models, register_model
from .classifier import Classifier, classifier
from .heads import ConvHead, FCNHead, FeaturePyramid, LinearHead, MLPHead, UPerNetHead
from .segmenter import Segmenter, segmenter
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
from .spectral_earth_weights import (
    SpecResNet50_Weights,
    SpectralEarthWeights,
    SpecViTBase_Weights,
    SpecViTGiant_Weights,
    SpecViTHuge_Weights,
    SpecViTLarge_Weights,
    SpecViTSmall_Weights,
)
from .spectral_mlp import SpectralMLP, SpectralWhitening, spectral_mlp
from .weight_report import WeightReport
from .weights import load_spectral_earth_weights, meet_torchgeo
from .weights_export import export_spectral_earth_weights

__all__ = (
    'Classifier',
    'ConvHead',
    'FCNHead',
    'FeaturePyramid',
    'LinearHead',
    'MLPHead',
    'Segmenter',
    'SpecResNet',
    'SpecResNet50_Weights',
    'SpecViTBase_Weights',
    'SpecViTGiant_Weights',
    'SpecViTHuge_Weights',
    'SpecViTLarge_Weights',
    'SpecViTSmall_Weights',
    'SpecVisionTransformer',
    'SpectralAdapter',
    'SpectralAdapterBackbone',
    'SpectralEarthWeights',
    'SpectralMLP',
    'SpectralWhitening',
    'UPerNetHead',
    'WeightReport',
    'classifier',
    'export_spectral_earth_weights',
    'get_builder',
    'get_model',
    'list_models',
    'load_spectral_earth_weights',
    'register_model',
    'segmenter',
    'spec_resnet50',
    'spec_vit_base',
    'spec_vit_giant',
    'spec_vit_huge',
    'spec_vit_large',
    'spec_vit_small',
    'spec_vit_tiny',
    'spectral_mlp',
)

# where torchgeo was imported first; building a network does the same later
meet_torchgeo()
