# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks between coefficients of series, which solve equations without data."""

from .builders import fourier_neural_operator, spectral_operator
from .fourier_neural_operator import FourierNeuralOperator
from .spectral_operator import GridActivation, SpectralConvolution, SpectralOperator

__all__ = (
    'FourierNeuralOperator',
    'GridActivation',
    'SpectralConvolution',
    'SpectralOperator',
    'fourier_neural_operator',
    'spectral_operator',
)
