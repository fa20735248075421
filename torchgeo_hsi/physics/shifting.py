# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images, moved by parts of a pixel."""

import math
from typing import Literal

import torch
from torch import Tensor

from .resampling.interpolate import cubic

#: Kernel with which an image is moved by parts of a pixel.
type MoveMethod = Literal['cubic', 'sinc']

#: Samples on each side of the windowed sinc, and the shape of its window.
_SINC_REACH, _SINC_BETA = 16, 6.0


def move_image(
    image: Tensor, rows: float, cols: float, *, method: MoveMethod = 'cubic'
) -> Tensor:
    """Move what an image shows, by parts of a pixel if need be.

    Args:
        image: Images of shape ``(..., H, W)``, of floating point.
        rows: How far down.
        cols: How far right.
        method: ``'cubic'`` convolution (a = -0.5) of four pixels, which cannot overshoot
            far; or ``'sinc'``, windowed, of 32 pixels, which keeps fine details.

    Returns:
        Images of the same shape; what comes in is the outermost pixel again.

    Raises:
        ValueError: If *method* is unknown, a shift not finite, or the image of integers.

    Example:
        >>> move_image(torch.tensor([[1.0, 2.0, 4.0]]), 0, 1)
        tensor([[1., 1., 2.]])
    """
    if method not in ('cubic', 'sinc'):
        raise ValueError(f'Expected the method cubic or sinc, got {method!r}.')
    if not image.is_floating_point():
        raise ValueError(
            f'Expected an image of floating point, got {image.dtype}. Convert it first.'
        )
    if not (math.isfinite(rows) and math.isfinite(cols)):
        raise ValueError(f'Expected finite shifts, got {rows} and {cols}.')
    for dim, shift in ((-2, rows), (-1, cols)):
        if shift:
            length = image.shape[dim]
            places = torch.arange(length, dtype=torch.float64) - shift
            image = sample_axis(image, places, dim, method)
    return image


def sample_axis(image: Tensor, places: Tensor, dim: int, method: MoveMethod) -> Tensor:
    """Look up an image between its pixels, at equally spaced places along one axis.

    Args:
        image: Images of shape ``(..., H, W)``.
        places: Where, in pixels, with the same fraction each, shape ``(N,)``.
        dim: The axis.
        method: Kernel.

    Returns:
        Images with N pixels along the axis.
    """
    left = places.floor()
    part = float(places[0] - left[0])
    last = image.shape[dim] - 1
    total: Tensor | None = None
    for offset, weight in _taps(part, method):
        index = (left.long() + offset).clamp(0, last).to(image.device)
        term = image.index_select(dim, index) * weight
        total = term if total is None else total + term
    assert total is not None
    return total


def _taps(part: float, method: MoveMethod) -> list[tuple[int, float]]:
    """Return the pixels that the kernel takes, and their weights."""
    if part == 0:
        return [(0, 1.0)]
    if method == 'cubic':
        offsets = torch.arange(-1, 3)
        weights = cubic(part - offsets.double())
    else:
        offsets = torch.arange(1 - _SINC_REACH, _SINC_REACH + 1)
        distance = part - offsets.double()
        inside = (1 - (distance / _SINC_REACH).square()).clamp_min(0).sqrt()
        weights = torch.sinc(distance) * torch.special.i0(_SINC_BETA * inside)
        weights = weights / weights.sum()
    return list(zip(offsets.tolist(), weights.tolist(), strict=True))
