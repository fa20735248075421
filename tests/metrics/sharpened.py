# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small sharpened cubes, and their sensor written another way."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def kernel(gain: float, ratio: int, size: int = 41) -> Array:
    """Return the blur of a sensor: a window on the transform of a Gaussian."""
    deviation = np.sqrt(((size - 1) / ratio / 2) ** 2 / (-2 * np.log(gain)))
    place = np.arange(size) - size // 2
    response = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * deviation**2))
    response[response < np.finfo(float).eps] = 0
    spatial = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(response))).real
    line = np.linspace(-1, 1, size)
    radius = np.hypot(line[:, None], line[None])
    window = np.interp(radius, line, np.kaiser(size, 0.5))
    return spatial * np.where(radius > 1, 0, window)


def seen(image: Array, gain: float, ratio: int, valid: Array | None = None) -> Array:
    """Blur and decimate an image of shape (C, H, W), coarse pixel by coarse pixel.

    With valid pixels, the others under the kernel take the weight of those missing.
    """
    weights = kernel(gain, ratio)
    pad = ((0, 0), (20, 20), (20, 20))
    mask = np.ones(image.shape[-2:]) if valid is None else valid.astype(float)
    image, mask = (np.pad(x, pad, mode='edge') for x in (image * mask, mask[None]))
    rows, columns = (n // ratio for n in (image.shape[1] - 40, image.shape[2] - 40))
    result = np.zeros((len(image), rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = ratio * i + ratio // 2, ratio * j + ratio // 2
            place = np.s_[:, top : top + 41, left : left + 41]
            part = (weights * mask[place]).sum() / weights.sum()
            if part < 0.9:
                result[:, i, j] = np.nan
            else:
                result[:, i, j] = (weights * image[place]).sum((1, 2)) / part
    return result


def sharpened(
    batch: int = 2, bands: int = 4, rows: int = 12, columns: int = 15, ratio: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sharpened cubes, cubes and PAN, float64, alike but not equal."""
    generator = torch.Generator().manual_seed(bands)

    def rand(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, dtype=torch.float64)

    cube = 0.5 + rand(bands, rows, columns)
    up = cube.repeat_interleave(ratio, -2).repeat_interleave(ratio, -1)
    detail = rand(1, ratio * rows, ratio * columns)
    pan = up.mean(1, keepdim=True) + detail
    fused = up + 0.5 * detail + 0.2 * rand(*up.shape[1:])
    return fused, cube, pan


def masks(cube: Tensor, ratio: int = 4) -> tuple[Tensor, Tensor]:
    """Return valid pixels of a cube and of its PAN."""
    valid = torch.ones(len(cube), *cube.shape[-2:], dtype=torch.bool)
    valid[:, 2, 3] = False
    pan_valid = valid.repeat_interleave(ratio, -2).repeat_interleave(ratio, -1)
    pan_valid = torch.ones_like(pan_valid)
    pan_valid[:, -7:, :6] = False
    return valid, pan_valid
