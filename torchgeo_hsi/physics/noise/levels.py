# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Known levels of noise, whoever gave them, as one number for each band or pixel."""

from typing import Any

import torch
from torch import Tensor

from ...errors import BandMismatchError


def noise_levels(sigma: Any, image: Tensor) -> Tensor:
    """Give known noise the axes of the images that it belongs to.

    A batch begins with the axis of its images, so a row of numbers beside a batch is one
    for each image, and never one for each band, however many bands there are.

    Args:
        sigma: Standard deviation of the noise, times 255. Beside an image of shape
            ``(C, H, W)``: a number, one for each band, shape ``(C,)``, or one for each
            value, shape ``(C, H, W)``. Beside a batch: a number, one for each image,
            shape ``(B,)``, for each band, ``(B, C)``, or for each value,
            ``(B, C, H, W)``. An axis of length 1 stands for all.
        image: Image of shape ``(C, H, W)``, or batch of shape ``(B, C, H, W)``.

    Returns:
        Standard deviations of the shape ``(B, C)`` or ``(B, C, H, W)``, where B is 1 for
        a single image, in float32 and on the device of the image.

    Raises:
        BandMismatchError: If they do not fit the image.

    Example:
        >>> noise_levels([10, 50], torch.zeros(2, 3, 8, 8))
        tensor([[10., 10., 10.],
                [50., 50., 50.]])
        >>> noise_levels([10, 50, 90], torch.zeros(3, 8, 8))
        tensor([[10., 50., 90.]])
    """
    given = torch.as_tensor(sigma, dtype=torch.float32, device=image.device)
    level = given if image.ndim == 4 else given.unsqueeze(0)
    shape = image.shape if image.ndim == 4 else image.unsqueeze(0).shape
    if level.ndim < 2:
        # one number for each image
        level = level.reshape(-1, 1)
    wanted = shape if level.ndim == 4 else shape[:2]
    fits = level.ndim in (2, 4) and all(
        n in (1, m) for n, m in zip(level.shape, wanted, strict=True)
    )
    if not fits:
        forms = '(), (B,), (B, C) or' if image.ndim == 4 else '(), (C,) or'
        raise BandMismatchError(
            f'Expected sigma of shape {forms} that of the image, '
            f'{tuple(image.shape)}, got {tuple(given.shape)}.'
        )
    return level.expand(wanted)


def band_power(level: Tensor, valid: Tensor | None = None) -> Tensor:
    """Average the variance of noise over the valid pixels of each band.

    Args:
        level: Standard deviations of shape ``(B, C)`` or ``(B, C, H, W)``. Those that
            are NaN, where the light is not known, do not count.
        valid: True for pixels that count, shape ``(B, H, W)``; all by default.

    Returns:
        Variances of shape ``(B, C)``, in float64; 0 without a valid pixel.

    Example:
        >>> band_power(torch.tensor([[3.0, 4.0]]))
        tensor([[ 9., 16.]], dtype=torch.float64)
    """
    power = level.double().square()
    if power.ndim == 2:
        return power
    known = ~power.isnan()
    if valid is not None:
        known = known & valid.unsqueeze(-3)
    count = known.sum((-2, -1)).clamp(min=1)
    return power.masked_fill(~known, 0).sum((-2, -1)) / count
