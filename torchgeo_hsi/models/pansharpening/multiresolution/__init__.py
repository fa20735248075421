# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Multiresolution analysis: details of the PAN are injected into a cube."""

from .mtf_glp_fs import MTFGLPFS, mtf_glp_fs

__all__ = ('MTFGLPFS', 'mtf_glp_fs')
