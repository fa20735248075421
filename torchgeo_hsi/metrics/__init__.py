# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Metrics that torchmetrics does not have, or not for unknown labels and nodata."""

from .alignment import Alignment, alignment
from .average_precision import KnownAveragePrecision, average_precision
from .classification_report import ClassificationReport
from .consistency import RERGAS, RSAM, RQ2n
from .cross_correlation import CrossCorrelation, cross_correlation
from .d_lambda import DLambda, d_lambda
from .d_lambda_k import DLambdaK, d_lambda_k
from .d_rho import DRho, d_rho
from .d_s import DS, d_s
from .d_s_regression import DSR, d_s_regression
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
from .no_reference import HQNR, QNR, RQNR
from .q2n import Q2n, q2n
from .quality_index import quality_index
from .relative_l2 import RelativeL2, relative_l2
from .rmse import RMSE, rmse
from .spectral_angle import SpectralAngle, mean_spectral_angle
from .uniformity import Uniformity, uniformity

__all__ = (
    'DS',
    'DSR',
    'ERGAS',
    'HQNR',
    'MPSNR',
    'MSSIM',
    'QNR',
    'RERGAS',
    'RMSE',
    'RQNR',
    'RSAM',
    'Alignment',
    'ClassificationReport',
    'CrossCorrelation',
    'DLambda',
    'DLambdaK',
    'DRho',
    'EffectiveRank',
    'EigenSpectrum',
    'HyperviewScore',
    'KnownAveragePrecision',
    'Q2n',
    'RQ2n',
    'RelativeL2',
    'SpectralAngle',
    'Uniformity',
    'alignment',
    'average_precision',
    'cross_correlation',
    'd_lambda',
    'd_lambda_k',
    'd_rho',
    'd_s',
    'd_s_regression',
    'effective_rank',
    'eigen_spectrum',
    'ergas',
    'hyperview_score',
    'mean_spectral_angle',
    'mpsnr',
    'mssim',
    'q2n',
    'quality_index',
    'relative_l2',
    'rmse',
    'spectrum_rank',
    'uniformity',
)
