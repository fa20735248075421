# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The low-pass of the a-trous wavelet, as methods of pansharpening use it."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ._axes import symmetric
from .decimate import check_ratio

#: Spline whose repeated convolution is the filter.
_SPLINE = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def atrous_lowpass(image: Tensor, ratio: int) -> Tensor:
    """Take the details of one ratio of pixel sizes out of an image.

    The spline filter ``[1, 4, 6, 4, 1] / 16``, once for analysis and once for synthesis
    on each of ``ceil(log2(ratio))`` levels, without dilation: that is how the toolbox of
    the review computes its wavelet (https://doi.org/10.48550/arXiv.2407.01355), and for a
    ratio of 6 it comes to a single separable filter of 25 samples.

    Args:
        image: Images of shape ``(..., H, W)``; mirrored at the border.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of the same shape.

    Raises:
        ValueError: If the ratio is no whole number from 2 on.

    Example:
        >>> import torch
        >>> bool(torch.allclose(atrous_lowpass(torch.ones(1, 9, 9), 6), torch.ones(9)))
        True
    """
    levels = math.ceil(math.log2(check_ratio(ratio)))
    kernel = np.ones(1)
    for _ in range(2 * levels):
        kernel = np.convolve(kernel, _SPLINE)
    weights = torch.from_numpy(kernel).to(image)
    half = len(kernel) // 2
    rows, cols = (
        symmetric(torch.arange(-half, n + half, device=image.device), n)
        for n in image.shape[-2:]
    )
    flat = image.reshape(-1, 1, *image.shape[-2:])
    once = F.conv2d(flat[..., rows, :], weights[None, None, :, None])
    return F.conv2d(once[..., cols], weights[None, None, None]).reshape(image.shape)
