# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising: HSDT, MAN, and classical methods."""

from .hsdt import HSDT, hsdt_l, hsdt_m, hsdt_pnp, hsdt_s
from .man import MAN, man_l, man_m, man_s
from .man_v1 import MANv1, man_v1, man_v1_b, man_v1_m, man_v1_s
from .pretrained_subspace import pretrained_subspace

__all__ = (
    'HSDT',
    'MAN',
    'MANv1',
    'hsdt_l',
    'hsdt_m',
    'hsdt_pnp',
    'hsdt_s',
    'man_l',
    'man_m',
    'man_s',
    'man_v1',
    'man_v1_b',
    'man_v1_m',
    'man_v1_s',
    'pretrained_subspace',
)
