# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening as an inverse problem: what explains both images, and is simple."""

from .hysure import HySURE, hysure
from .sparse_details import SparseDetails, sr_d
from .total_variation import TotalVariation, tv

__all__ = ('HySURE', 'SparseDetails', 'TotalVariation', 'hysure', 'sr_d', 'tv')
