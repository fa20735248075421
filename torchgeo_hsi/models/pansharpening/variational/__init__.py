# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Variational methods: the cube that explains what both sensors saw."""

from .hysure import Blur, HySURE, hysure
from .sparse_details import SparseDetails, sr_d
from .total_variation import Looks, TotalVariation, tv

__all__ = (
    'Blur',
    'HySURE',
    'Looks',
    'SparseDetails',
    'TotalVariation',
    'hysure',
    'sr_d',
    'tv',
)
