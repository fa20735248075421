# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blur kernels that are matched to the modulation transfer function of a sensor."""

import math

import torch
from torch import Tensor

from ._axes import cached_matrix
from .decimate import check_ratio

#: Shape of the Kaiser window.
_BETA = 0.5


def check_gain(gain: float) -> float:
    """Check a gain of a modulation transfer function.

    Args:
        gain: Gain at the Nyquist frequency.

    Returns:
        The gain.

    Raises:
        ValueError: If it does not lie between 0 and 1.
    """
    gain = float(gain)
    if not 0 < gain < 1:
        raise ValueError(
            f'Expected a gain at the Nyquist frequency between 0 and 1, got {gain}. '
            'That of most hyperspectral sensors is about 0.3.'
        )
    return gain


def mtf_kernel(gain: float, ratio: int, size: int = 41) -> Tensor:
    """Make the blur kernel whose gain at the Nyquist frequency is that of a sensor.

    The frequency response is Gaussian; the samples of the kernel are weighted with a
    Kaiser window of the distance from the center (0.5). As in the toolbox of the review
    (https://doi.org/10.48550/arXiv.2407.01355), the kernel is not normalized: a uniform
    image loses 0.3 % for a gain of 0.3, a ratio of 6 and 41 samples.

    Args:
        gain: Gain at the Nyquist frequency of the coarse image, 0 to 1: 0.3 for PRISMA
            and, where nothing better is known, for other hyperspectral sensors.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.

    Returns:
        Kernel of shape ``(size, size)``, float64.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> kernel = mtf_kernel(0.3, ratio=6)
        >>> kernel.shape, round(float(kernel.sum()), 6)
        (torch.Size([41, 41]), 0.997188)
    """
    return _kernel(
        check_gain(gain), check_ratio(ratio), check_odd(size), size - 1
    ).clone()


def gaussian_kernel(gain: float, ratio: int, size: int = 41) -> Tensor:
    """Make the blur kernel of methods that do without the window's exact width.

    It is :func:`mtf_kernel` with a frequency response that is wider by ``size / (size -
    1)``: the toolbox has both, and BT-H and MTF-GLP-HPM use this one.

    Args:
        gain: Gain at the Nyquist frequency of the coarse image, 0 to 1.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.

    Returns:
        Kernel of shape ``(size, size)``, float64.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> round(float(gaussian_kernel(0.3, ratio=6).sum()), 6)
        0.997322
    """
    return _kernel(check_gain(gain), check_ratio(ratio), check_odd(size), size).clone()


@cached_matrix
def _kernel(gain: float, ratio: int, size: int, width: int) -> Tensor:
    alpha = math.sqrt((width / ratio / 2) ** 2 / (-2 * math.log(gain)))
    half = size // 2
    axis = torch.arange(-half, half + 1, dtype=torch.float64)
    squares = axis.square()[:, None] + axis.square()
    response = torch.exp(-squares / (2 * alpha**2))
    response[response < torch.finfo(torch.float64).eps * response.max()] = 0
    kernel: Tensor = torch.fft.fftshift(
        torch.fft.ifft2(torch.fft.ifftshift(response))
    ).real
    return kernel * _radial_window(squares.sqrt() / half, size)


def _radial_window(radius: Tensor, size: int) -> Tensor:
    """Look up the window of a line at distances from the center, 0 from 1 on."""
    line = torch.kaiser_window(size, periodic=False, beta=_BETA, dtype=torch.float64)
    # linear between the samples of the line, as the window has been published
    place = ((radius + 1) * (size - 1) / 2).clamp(max=size - 1)
    left = place.floor().long().clamp(max=size - 2)
    share = place - left
    window = line[left] * (1 - share) + line[left + 1] * share
    return window.masked_fill(radius > 1, 0.0)


def check_odd(size: int) -> int:
    """Check the length of a kernel.

    Args:
        size: Its rows and columns.

    Returns:
        The same as an integer.

    Raises:
        ValueError: If it has no middle, or is shorter than 3.
    """
    if int(size) != size or size < 3 or size % 2 == 0:
        raise ValueError(f'Expected an odd size of the kernel from 3 on, got {size}.')
    return int(size)


@cached_matrix
def kernel_factors(gain: float, ratio: int, size: int, width: int) -> Tensor:
    """Split a kernel into products of a column and a row.

    The window is a function of the distance from the center, so that the kernel is not
    separable; but a few products sum up to it.

    Args:
        gain: Gain at the Nyquist frequency.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel.
        width: ``size - 1`` (:func:`mtf_kernel`) or ``size`` (:func:`gaussian_kernel`).

    Returns:
        Columns and rows of shape ``(2, K, size)``, float64, exact to 1e-9 of the center.
    """
    left, values, right = torch.linalg.svd(_kernel(gain, ratio, size, width))
    count = int((values > 1e-9 * values[0]).sum())
    root = values[:count].sqrt()[:, None]
    return torch.stack([left[:, :count].mT * root, right[:count] * root])
