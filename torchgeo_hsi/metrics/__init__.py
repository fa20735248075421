# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Metrics that torchmetrics does not have, or not for unknown labels and nodata."""

from .alignment import Alignment, alignment
from .average_precision import KnownAveragePrecision, average_precision
from .cross_correlation import CrossCorrelation, cross_correlation
from .effective_rank import (
    EffectiveRank,
    EigenSpectrum,
    effective_rank,
    eigen_spectrum,
    spectrum_rank,
)
from .ergas import ERGAS, ergas
from .hyperview import HyperviewScore, hyperview_score
from .mpsnr import MPSNR, mpsnr
from .mssim import MSSIM, mssim
from .rmse import RMSE, rmse
from .spectral_angle import SpectralAngle, mean_spectral_angle
from .uniformity import Uniformity, uniformity

__all__ = (
    'ERGAS',
    'MPSNR',
    'MSSIM',
    'RMSE',
    'Alignment',
    'CrossCorrelation',
    'EffectiveRank',
    'EigenSpectrum',
    'HyperviewScore',
    'KnownAveragePrecision',
    'SpectralAngle',
    'Uniformity',
    'alignment',
    'average_precision',
    'cross_correlation',
    'effective_rank',
    'eigen_spectrum',
    'ergas',
    'hyperview_score',
    'mean_spectral_angle',
    'mpsnr',
    'mssim',
    'rmse',
    'spectrum_rank',
    'uniformity',
)
