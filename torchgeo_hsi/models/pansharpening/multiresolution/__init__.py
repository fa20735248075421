# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Multiresolution analysis: details of the PAN are added to the bands."""

from .awlp import AWLP, awlp
from .mf import MF, mf
from .mtf_glp import MTFGLP, mtf_glp
from .mtf_glp_cbd import MTFGLPCBD, mtf_glp_cbd
from .mtf_glp_fs import MTFGLPFS, mtf_glp_fs
from .mtf_glp_hpm import MTFGLPHPM, mtf_glp_hpm
from .mtf_glp_hpm_h import MTFGLPHPMH, mtf_glp_hpm_h
from .mtf_glp_hpm_r import MTFGLPHPMR, mtf_glp_hpm_r

__all__ = (
    'AWLP',
    'MF',
    'MTFGLP',
    'MTFGLPCBD',
    'MTFGLPFS',
    'MTFGLPHPM',
    'MTFGLPHPMH',
    'MTFGLPHPMR',
    'awlp',
    'mf',
    'mtf_glp',
    'mtf_glp_cbd',
    'mtf_glp_fs',
    'mtf_glp_hpm',
    'mtf_glp_hpm_h',
    'mtf_glp_hpm_r',
)
