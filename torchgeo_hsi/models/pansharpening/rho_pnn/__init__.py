# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Zero-shot pansharpening by a network that is tuned band by band."""

from .losses import PanStatistics, SpectralTarget
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
    'RhoPNNOptions',
    'Samples',
    'SpectralTarget',
    'Switch',
    'Tuner',
)
