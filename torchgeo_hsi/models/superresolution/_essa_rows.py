# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Convolutions of ESSAformer a few rows at a time, for passes without gradients.

Images have their channels last here, ``(H, W, C)``, so that pixels are the rows of a
matrix.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._essa_winograd import convolve, pays, transform_weight


class RowConv:
    """A convolution of 3 x 3 for a few rows at a time; only columns are padded.

    Args:
        weight: Weight of shape ``(O, C, 3, 3)``.
        bias: Bias of shape ``(O,)``.
        like: Images of the type that rows will have.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, like: Tensor) -> None:
        """Initialize a new RowConv instance."""
        weight = weight.detach().to(like)
        self._bias = None if bias is None else bias.detach().to(like)
        self._fast = pays(weight, like)
        self._weight = (
            transform_weight(weight)
            if self._fast
            else weight.contiguous(memory_format=torch.channels_last)
        )

    def __call__(self, window: Tensor) -> Tensor:
        """Convolve rows of shape ``(R + 2, W, C)`` to rows of shape ``(R, W, O)``."""
        if self._fast:
            return convolve(window, self._weight, self._bias)
        image = window[None].permute(0, 3, 1, 2)
        rows = F.conv2d(image, self._weight, self._bias, padding=(0, 1))
        return rows.permute(0, 2, 3, 1)[0]


def row_windows(image: Tensor, rows: int) -> Iterator[tuple[int, int, Tensor]]:
    """Cut an image into rows, each part with one more row above and below.

    Args:
        image: Image of shape ``(H, W, C)``; zeros lie around it.
        rows: Rows of a part.

    Yields:
        First row, the row after the last, and rows of shape ``(stop - start + 2, W,
        C)``.
    """
    height = len(image)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        window = image[max(start - 1, 0) : stop + 1]
        padding = (0, 0, 0, 0, int(start == 0), int(stop == height))
        yield start, stop, F.pad(window, padding) if any(padding) else window


def add_upsampled(
    image: Tensor, conv: nn.Conv2d, factor: int, out: Tensor, block: int
) -> Tensor:
    """Convolve, turn channels into pixels, and add them to a larger image.

    Args:
        image: Image of shape ``(h, w, C)``.
        conv: Convolution with ``factor**2`` times the channels.
        factor: Factor of rows and columns.
        out: Image of shape ``(factor * h, factor * w, C)``; it is changed.
        block: Pixels of *out* at a time.

    Returns:
        *out*.
    """
    width, channels = image.shape[1], out.shape[2]
    # the channels of a pixel of the output together
    weight = _pixels_first(conv.weight, factor)
    bias = None if conv.bias is None else _pixels_first(conv.bias, factor)
    convolve_rows = RowConv(weight, bias, image)
    rows = max(1, block // (factor**2 * width))
    for start, stop, window in row_windows(image, rows):
        part = convolve_rows(window)
        part = part.view(-1, width, factor, factor, channels).transpose(1, 2)
        out[start * factor : stop * factor].view_as(part).add_(part)
    return out


def _pixels_first(parameter: Tensor, factor: int) -> Tensor:
    """Order the outputs of a convolution by pixel and not by channel."""
    parts = parameter.detach().reshape(-1, factor**2, *parameter.shape[1:])
    return parts.transpose(0, 1).flatten(0, 1)


def downsample(image: Tensor, conv: nn.Conv2d, factor: int, block: int) -> Tensor:
    """Convolve, and turn pixels into channels.

    Args:
        image: Image of shape ``(H, W, C)``.
        conv: Convolution with ``factor**2`` times fewer channels.
        factor: Factor of rows and columns.
        block: Pixels of *image* at a time.

    Returns:
        Image of shape ``(H / factor, W / factor, C)``.
    """
    height, width = image.shape[0] // factor, image.shape[1] // factor
    channels = conv.out_channels
    out = image.new_empty(height, width, channels * factor**2)
    convolve_rows = RowConv(conv.weight, conv.bias, image)
    rows = factor * max(1, block // (factor * image.shape[1]))
    for start, stop, window in row_windows(image, rows):
        part = convolve_rows(window)
        part = part.view(-1, factor, width, factor, channels).permute(0, 2, 4, 1, 3)
        out[start // factor : stop // factor].view(part.shape).copy_(part)
    return out
