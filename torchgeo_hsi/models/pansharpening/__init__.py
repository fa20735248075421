# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening: details of a panchromatic image for a cube."""

from .base import MeasuringPansharpener, Pansharpener
from .component_substitution import GSA, gsa
from .exp import EXP, exp
from .multiresolution import MTFGLPFS, mtf_glp_fs
from .networks import (
    DHPDARN,
    PCAZPNN,
    RPNN,
    DIPHyperKite,
    HSpeNet,
    HyperDSNet,
    HyperPNN,
    deep_hyperspectral_prior,
    deep_image_prior,
    dhp_darn,
    dip_hyperkite,
    hspenet,
    hyper_dsnet,
    hyperpnn,
    pca_z_pnn,
    r_pnn,
)
from .pair import Margins, Pair, Views
from .rho_pnn import (
    BandRecord,
    Losses,
    PanStatistics,
    RhoNetwork,
    RhoPNNOptions,
    Samples,
    SpectralTarget,
    Switch,
    Tuner,
)

__all__ = (
    'DHPDARN',
    'EXP',
    'GSA',
    'MTFGLPFS',
    'PCAZPNN',
    'RPNN',
    'BandRecord',
    'DIPHyperKite',
    'HSpeNet',
    'HyperDSNet',
    'HyperPNN',
    'Losses',
    'Margins',
    'MeasuringPansharpener',
    'Pair',
    'PanStatistics',
    'Pansharpener',
    'RhoNetwork',
    'RhoPNNOptions',
    'Samples',
    'SpectralTarget',
    'Switch',
    'Tuner',
    'Views',
    'deep_hyperspectral_prior',
    'deep_image_prior',
    'dhp_darn',
    'dip_hyperkite',
    'exp',
    'gsa',
    'hspenet',
    'hyper_dsnet',
    'hyperpnn',
    'mtf_glp_fs',
    'pca_z_pnn',
    'r_pnn',
)
