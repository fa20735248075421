# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks for pansharpening."""

from .deep_hyperspectral_prior import deep_hyperspectral_prior
from .deep_image_prior import deep_image_prior
from .dhp_darn import DHPDARN, dhp_darn
from .dip_hyperkite import DIPHyperKite, dip_hyperkite
from .hspenet import HSpeNet, hspenet
from .hyper_dsnet import HyperDSNet, hyper_dsnet
from .hyperpnn import HyperPNN, hyperpnn
from .pca_z_pnn import PCAZPNN, pca_z_pnn
from .r_pnn import RPNN, r_pnn

__all__ = (
    'DHPDARN',
    'PCAZPNN',
    'RPNN',
    'DIPHyperKite',
    'HSpeNet',
    'HyperDSNet',
    'HyperPNN',
    'deep_hyperspectral_prior',
    'deep_image_prior',
    'dhp_darn',
    'dip_hyperkite',
    'hspenet',
    'hyper_dsnet',
    'hyperpnn',
    'pca_z_pnn',
    'r_pnn',
)
