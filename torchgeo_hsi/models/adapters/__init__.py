# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What stands between the bands of a sensor and the first layer of a backbone."""

from ._bands import use_bands
from .series_adapter import SeriesAdapter
from .spectral_adapter import SpectralAdapter
from .wavelength_adapter import WavelengthAdapter

__all__ = ('SeriesAdapter', 'SpectralAdapter', 'WavelengthAdapter', 'use_bands')
