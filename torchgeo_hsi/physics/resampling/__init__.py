# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From one pixel size to another: blur of a sensor, decimation, interpolation.

One convention holds everywhere: of images whose pixel sizes differ by *ratio*, the
coarse pixel ``(i, j)`` lies on the fine sample ``(ratio * i + ratio // 2, ratio * j +
ratio // 2)``.
"""

from .atrous import atrous_lowpass
from .decimate import decimate
from .imresize import imresize_down, imresize_up
from .interpolate import interpolate
from .mtf import gaussian_lowpass, mtf_decimate, mtf_decimate_adjoint, mtf_filter
from .mtf_kernel import gaussian_kernel, mtf_kernel

__all__ = (
    'atrous_lowpass',
    'decimate',
    'gaussian_kernel',
    'gaussian_lowpass',
    'imresize_down',
    'imresize_up',
    'interpolate',
    'mtf_decimate',
    'mtf_decimate_adjoint',
    'mtf_filter',
    'mtf_kernel',
)
