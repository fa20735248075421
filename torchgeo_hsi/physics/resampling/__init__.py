# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From one pixel size to another: blur of a sensor, decimation, interpolation.

Where the coarse pixel ``(i, j)`` lies, if pixel sizes differ by *ratio*:

* for pansharpening (:func:`decimate`, :func:`mtf_decimate`, :func:`interpolate`), on the
  fine sample ``(ratio * i + ratio // 2, ratio * j + ratio // 2)``;
* for super-resolution (:func:`imresize_down`, :func:`imresize_up`, :func:`gaussian_down`,
  :func:`box_down`), in the middle of the fine pixels that it covers, so that the corners
  of images stay. For odd ratios it is the same.
"""

from .atrous import atrous_lowpass
from .decimate import decimate
from .gaussian_reduce import box_down, gaussian_down, mtf_sigma
from .imresize import imresize_down, imresize_up
from .interpolate import interpolate
from .mtf import gaussian_lowpass, mtf_decimate, mtf_decimate_adjoint, mtf_filter
from .mtf_kernel import gaussian_kernel, mtf_kernel

__all__ = (
    'atrous_lowpass',
    'box_down',
    'decimate',
    'gaussian_down',
    'gaussian_kernel',
    'gaussian_lowpass',
    'imresize_down',
    'imresize_up',
    'interpolate',
    'mtf_decimate',
    'mtf_decimate_adjoint',
    'mtf_filter',
    'mtf_kernel',
    'mtf_sigma',
)
