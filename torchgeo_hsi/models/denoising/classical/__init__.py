# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoisers that need no training."""

from .bm3d import BM3D
from .bm4d import BM4D, bm4d
from .collaborative_filter import CollaborativeFilter
from .eigen_image_network import EigenImageNetwork
from .low_rank_tv import LowRankTV, lrtv
from .mean_denoiser import MeanDenoiser
from .robust_subspace import RobustSubspaceDenoiser, robust_subspace
from .subspace import SubspaceDenoiser, fasthyde, hyres, subspace, svd
from .wavelet_shrinkage import WaveletShrinkage

__all__ = (
    'BM3D',
    'BM4D',
    'CollaborativeFilter',
    'EigenImageNetwork',
    'LowRankTV',
    'MeanDenoiser',
    'RobustSubspaceDenoiser',
    'SubspaceDenoiser',
    'WaveletShrinkage',
    'bm4d',
    'fasthyde',
    'hyres',
    'lrtv',
    'robust_subspace',
    'subspace',
    'svd',
)
