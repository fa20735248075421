# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks on graphs of pixels, superpixels or tiles."""

from .encoder import GraphEncoder, propagation_matrix
from .pooling import mean_pool
from .two_views import BilinearDiscriminator, TwoViewEncoder

__all__ = (
    'BilinearDiscriminator',
    'GraphEncoder',
    'TwoViewEncoder',
    'mean_pool',
    'propagation_matrix',
)
