# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Component substitution: an intensity of the bands gives way to the PAN."""

from .bdsd import BDSD, bdsd
from .bdsd_pc import BDSDPC, bdsd_pc
from .brovey import Brovey, brovey
from .bt_h import BTH, bt_h
from .gs import GS, gs
from .gsa import GSA, gsa
from .pracs import PRACS, pracs

__all__ = (
    'BDSD',
    'BDSDPC',
    'BTH',
    'GS',
    'GSA',
    'PRACS',
    'Brovey',
    'bdsd',
    'bdsd_pc',
    'brovey',
    'bt_h',
    'gs',
    'gsa',
    'pracs',
)
