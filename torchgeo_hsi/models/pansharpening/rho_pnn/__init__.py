# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""rho-PNN: zero-shot pansharpening, band by band."""

from .losses import PanStatistics, SpectralTarget
from .method import RhoPNN, rho_pnn
from .network import RhoNetwork
from .options import RhoPNNOptions
from .samples import Losses, Samples
from .switch import Switch
from .tuning import BandRecord, Tuner

__all__ = (
    'BandRecord',
    'Losses',
    'PanStatistics',
    'RhoNetwork',
    'RhoPNN',
    'RhoPNNOptions',
    'Samples',
    'SpectralTarget',
    'Switch',
    'Tuner',
    'rho_pnn',
)
