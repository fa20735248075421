# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""rho-PNN: zero-shot pansharpening, band by band."""

from .method import RhoPNN, rho_pnn
from .network import RhoNetwork
from .options import RhoPNNOptions
from .tuning import BandRecord

__all__ = ('BandRecord', 'RhoNetwork', 'RhoPNN', 'RhoPNNOptions', 'rho_pnn')
