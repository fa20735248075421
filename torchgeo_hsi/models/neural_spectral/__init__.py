# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks between coefficients of series, which solve equations without data."""

from .spectral_operator import GridActivation, SpectralConvolution, SpectralOperator

__all__ = ('GridActivation', 'SpectralConvolution', 'SpectralOperator')
