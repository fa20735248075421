# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Models: backbones for many bands.

Importing this sub-package registers the backbones in timm, so every trainer that
builds its network by ``timm.create_model`` (or by segmentation_models_pytorch's
``tu-`` prefix) knows them.
"""

# the import registers the names that end with _wl
from . import wavelength_backbones as wavelength_backbones
from ._bands import use_bands
from .adapter_backbone import SpectralAdapterBackbone
from .api import get_builder, get_model, list_models, register_model
from .checkpoint_backbone import backbone_from_checkpoint
from .classical import (
    BM3D,
    BM4D,
    CollaborativeFilter,
    EigenImageNetwork,
    LowRankTV,
    MeanDenoiser,
    RobustSubspaceDenoiser,
    SubspaceDenoiser,
    WaveletShrinkage,
    bm4d,
    fasthyde,
    hyres,
    lrtv,
    robust_subspace,
    subspace,
    svd,
)
from .classifier import Classifier, classifier
from .foundation import FoundationTransformer
from .heads import ConvHead, FCNHead, FeaturePyramid, LinearHead, MLPHead, UPerNetHead
from .hsdt import HSDT, hsdt_l, hsdt_m, hsdt_pnp, hsdt_s
from .man import MAN, man_l, man_m, man_s
from .man_v1 import MANv1, man_v1, man_v1_b, man_v1_m, man_v1_s
from .masked_autoencoder import MaskedAutoencoder
from .pansharpening import (
    DHPDARN,
    EXP,
    GSA,
    MTFGLPFS,
    PCAZPNN,
    RPNN,
    BandRecord,
    DIPHyperKite,
    HSpeNet,
    HyperDSNet,
    HyperPNN,
    Losses,
    Margins,
    MeasuringPansharpener,
    Pair,
    Pansharpener,
    PanStatistics,
    RhoNetwork,
    RhoPNNOptions,
    Samples,
    SpectralTarget,
    Switch,
    Tuner,
    Views,
    deep_hyperspectral_prior,
    deep_image_prior,
    dhp_darn,
    dip_hyperkite,
    exp,
    gsa,
    hspenet,
    hyper_dsnet,
    hyperpnn,
    mtf_glp_fs,
    pca_z_pnn,
    r_pnn,
)
from .pretrained_subspace import pretrained_subspace
from .restoration_weights import list_weights, load_restoration_weights
from .restore_scene import restore_scene
from .segmenter import Segmenter, segmenter
from .sharpen_scene import sharpen_scene
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
from .wavelength_adapter import WavelengthAdapter
from .weight_report import WeightReport
from .weights import load_spectral_earth_weights, meet_torchgeo
from .weights_export import export_spectral_earth_weights

__all__ = (
    'BM3D',
    'BM4D',
    'DHPDARN',
    'EXP',
    'GSA',
    'HSDT',
    'MAN',
    'MTFGLPFS',
    'PCAZPNN',
    'RPNN',
    'BandRecord',
    'Classifier',
    'CollaborativeFilter',
    'ConvHead',
    'DIPHyperKite',
    'EigenImageNetwork',
    'FCNHead',
    'FeaturePyramid',
    'FoundationTransformer',
    'HSpeNet',
    'HyperDSNet',
    'HyperPNN',
    'LinearHead',
    'Losses',
    'LowRankTV',
    'MANv1',
    'MLPHead',
    'Margins',
    'MaskedAutoencoder',
    'MeanDenoiser',
    'MeasuringPansharpener',
    'Pair',
    'PanStatistics',
    'Pansharpener',
    'RhoNetwork',
    'RhoPNNOptions',
    'RobustSubspaceDenoiser',
    'Samples',
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
    'SpectralTarget',
    'SpectralWhitening',
    'SubspaceDenoiser',
    'Switch',
    'Tuner',
    'UPerNetHead',
    'Views',
    'WavelengthAdapter',
    'WaveletShrinkage',
    'WeightReport',
    'backbone_from_checkpoint',
    'bm4d',
    'classifier',
    'deep_hyperspectral_prior',
    'deep_image_prior',
    'dhp_darn',
    'dip_hyperkite',
    'exp',
    'export_spectral_earth_weights',
    'fasthyde',
    'get_builder',
    'get_model',
    'gsa',
    'hsdt_l',
    'hsdt_m',
    'hsdt_pnp',
    'hsdt_s',
    'hspenet',
    'hyper_dsnet',
    'hyperpnn',
    'hyres',
    'list_models',
    'list_weights',
    'load_restoration_weights',
    'load_spectral_earth_weights',
    'lrtv',
    'man_l',
    'man_m',
    'man_s',
    'man_v1',
    'man_v1_b',
    'man_v1_m',
    'man_v1_s',
    'mtf_glp_fs',
    'pca_z_pnn',
    'pretrained_subspace',
    'r_pnn',
    'register_model',
    'restore_scene',
    'robust_subspace',
    'segmenter',
    'sharpen_scene',
    'spec_resnet50',
    'spec_vit_base',
    'spec_vit_giant',
    'spec_vit_huge',
    'spec_vit_large',
    'spec_vit_small',
    'spec_vit_tiny',
    'spectral_mlp',
    'subspace',
    'svd',
    'use_bands',
)

# where torchgeo was imported first; building a network does the same later
meet_torchgeo()
