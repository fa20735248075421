# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which pixels of a reduced image come from data."""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from ...physics.resampling import mtf_kernel

#: Weights below this share of the largest one let nothing noticeable in.
_SHARE = 0.01


@functools.lru_cache(maxsize=8)
def footprint(gain: float, ratio: int, size: int = 41) -> Tensor:
    """Return which samples make up a coarse pixel.

    Args:
        gain: Gain at the Nyquist frequency of the coarse image.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel.

    Returns:
        True where the kernel has at least 1 % of its center, and in the area of the
        pixel, shape ``(size, size)``.
    """
    kernel = mtf_kernel(gain, ratio, size)
    middle = size // 2
    touched = kernel >= _SHARE * kernel[middle, middle]
    first = max(middle - ratio // 2, 0)
    cell = slice(first, middle - ratio // 2 + ratio)
    touched[cell, cell] = True
    return touched


def reduced_valid(valid: Tensor, gain: float, ratio: int, size: int = 41) -> Tensor:
    """Tell which pixels of a reduced image come from data alone.

    Args:
        valid: Where the image has data, shape ``(..., H, W)``.
        gain: Gain at the Nyquist frequency of the reduced image.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel.

    Returns:
        False where a sample without data lies in the :func:`footprint`, shape
        ``(..., H / ratio, W / ratio)``.
    """
    height, width = (length // ratio for length in valid.shape[-2:])
    shape = (*valid.shape[:-2], height, width)
    if valid.device.type == 'cpu' and bool(valid.all()):
        return torch.ones(shape, dtype=torch.bool)
    touched = footprint(gain, ratio, size).to(valid.device, torch.float32)
    gaps = (~valid).reshape(-1, 1, *valid.shape[-2:]).float()
    # beyond the border the filter sees the outermost pixels again
    padded = F.pad(gaps, (size // 2,) * 4, mode='replicate')
    start = ratio // 2
    found = F.conv2d(padded[..., start:, start:], touched[None, None], stride=ratio)
    return found[..., :height, :width].reshape(shape) < 0.5
