# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maths of light and sensors: units, bands, responses, spectra."""

from .bands import BandSet
from .units import check_fwhm, check_micrometres, to_micrometres

__all__ = ('BandSet', 'check_fwhm', 'check_micrometres', 'to_micrometres')
