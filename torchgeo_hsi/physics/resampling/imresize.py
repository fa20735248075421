# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bicubic resizing as MATLAB does it."""

import torch
from torch import Tensor

from ._axes import apply_axes, cached_matrix, scatter_rows, symmetric
from .decimate import check_divides, check_ratio
from .interpolate import cubic


def imresize_down(image: Tensor, ratio: int) -> Tensor:
    """Make an image smaller by cubic convolution with a wider kernel, against aliasing.

    Equal to ``imresize(image, 1 / ratio)`` of MATLAB. Inside of the image, so is
    :func:`torch.nn.functional.interpolate` with ``mode='bicubic', antialias=True``, but
    not at its border, which is mirrored here.

    Args:
        image: Images of shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of shape ``(..., H / ratio, W / ratio)``. Their pixels lie in the middle of
        the fine ones that they cover, half a fine pixel before those of
        :func:`decimate` if the ratio is even.

    Raises:
        ValueError: If a size is no multiple of the ratio.

    Example:
        >>> import torch
        >>> imresize_down(torch.ones(1, 12, 12), 6).shape
        torch.Size([1, 2, 2])
    """
    check_divides(image, ratio)
    height, width = image.shape[-2:]
    return apply_axes(image, down_matrix(height, ratio), down_matrix(width, ratio))


def imresize_up(image: Tensor, ratio: int) -> Tensor:
    """Make an image larger by cubic convolution.

    Equal to ``imresize(image, ratio)`` of MATLAB.

    Args:
        image: Images of shape ``(..., h, w)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of shape ``(..., h * ratio, w * ratio)``.

    Raises:
        ValueError: If the ratio is no whole number from 2 on.

    Example:
        >>> import torch
        >>> imresize_up(torch.ones(1, 2, 2), 6).shape
        torch.Size([1, 12, 12])
    """
    check_ratio(ratio)
    height, width = image.shape[-2:]
    return apply_axes(image, _up(height, ratio), _up(width, ratio))


@cached_matrix
def down_matrix(size: int, ratio: int) -> Tensor:
    """Return the weights of :func:`imresize_down` along a line.

    Args:
        size: Number of fine samples.
        ratio: Ratio of pixel sizes.

    Returns:
        Matrix of shape ``(size / ratio, size)``, float64.
    """
    # center of each coarse pixel, in fine samples
    center = (torch.arange(size // ratio, dtype=torch.float64) + 0.5) * ratio - 0.5
    reach = torch.arange(-2 * ratio, 2 * ratio + 2)
    index = center.floor().long()[:, None] + reach
    weights = cubic((center[:, None] - index) / ratio)
    weights = weights / weights.sum(1, keepdim=True)
    return scatter_rows(symmetric(index, size), weights, size)


@cached_matrix
def _up(size: int, ratio: int) -> Tensor:
    center = (torch.arange(size * ratio, dtype=torch.float64) + 0.5) / ratio - 0.5
    index = center.floor().long()[:, None] + torch.arange(-1, 3)
    weights = cubic(center[:, None] - index)
    return scatter_rows(symmetric(index, size), weights, size)
