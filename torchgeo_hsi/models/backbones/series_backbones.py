# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbones with the adapter that sees series: ``spec_*_series``."""

from ..adapters.series_adapter import SeriesAdapter
from .wavelength_backbones import register_backbones

#: What all names end with.
SUFFIX = '_series'

register_backbones(
    __name__, SUFFIX, SeriesAdapter, 'sees spectra as series of fixed windows'
)
