# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Correlation of two images around each pixel."""

import math

from torch import Tensor
from torch.nn import functional as F

from ..errors import BandMismatchError

#: Smallest sum of squares, as published.
_LEAST = 1e-20


def box_sums(image: Tensor, half: int) -> Tensor:
    """Sum the window of ``2 * half`` rows and columns around each pixel.

    The window of pixel ``k`` reaches from ``k - half + 1`` to ``k + half``; beyond the
    border there are zeros.

    Args:
        image: Images of shape ``(..., H, W)``.
        half: Half the width of the window.

    Returns:
        Sums of the same shape.

    Raises:
        ValueError: If *half* is not positive.

    Example:
        >>> import torch
        >>> box_sums(torch.ones(1, 3, 3), 1)
        tensor([[[4., 4., 2.],
                 [4., 4., 2.],
                 [2., 2., 1.]]])
    """
    if half < 1:
        raise ValueError(f'Expected half a window from 1 on, got {half}.')
    return window_sums(F.pad(image, (half - 1, half) * 2), 2 * half)


def window_sums(image: Tensor, window: int) -> Tensor:
    """Sum the pixels of all windows that lie in an image.

    Args:
        image: Images of shape ``(..., H, W)``.
        window: Pixels along a side.

    Returns:
        Sums of shape ``(..., H - window + 1, W - window + 1)``.
    """
    return _line_sums(_line_sums(image, window, -2), window, -1)


def _line_sums(image: Tensor, window: int, axis: int) -> Tensor:
    length = image.shape[axis] - window + 1
    # windows of powers of two double themselves; their sums are exact, where the
    # difference of two running sums would lose digits
    result: Tensor | None = None
    start, size, block = 0, 1, image
    while True:
        if window & size:
            part = block.narrow(axis, start, length)
            result = part if result is None else result + part
            start += size
        if 2 * size > window:
            break
        kept = block.shape[axis] - size
        block = block.narrow(axis, 0, kept) + block.narrow(axis, size, kept)
        size *= 2
    assert result is not None
    return result


def local_correlation(first: Tensor, second: Tensor, half_width: float) -> Tensor:
    """Correlate two images around each pixel.

    From each pixel, the mean of the window around it is taken; then the products are
    summed over the window. That is what rho-PNN and D_rho do
    (https://doi.org/10.1109/TGRS.2025.3583877), and not Pearson's correlation of the
    window, whose mean is the same for all its pixels.

    Args:
        first: Images of shape ``(..., C, H, W)``.
        second: Images of shape ``(..., C, H, W)`` or ``(..., 1, H, W)``.
        half_width: Half the width of the window, rounded up. The window has an even
            number of pixels, and reaches one further down and to the right. Beyond the
            border are zeros.

    Returns:
        Correlations of shape ``(..., C, H, W)``, about -1 to 1; 0 where an image is
        the same everywhere.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the width is not positive.

    Example:
        >>> import torch
        >>> image = torch.rand(2, 16, 16)
        >>> bool((local_correlation(image, 3 * image, 3) > 0.999).all())
        True
    """
    check_shapes(first, second)
    half = math.ceil(half_width)
    first, second = _centered(first, half), _centered(second, half)
    product = box_sums(first * second, half)
    norms = [
        box_sums(x.square(), half).clamp_min(_LEAST).sqrt() for x in (first, second)
    ]
    return product / (norms[0] * norms[1]).clamp_min(_LEAST)


def check_shapes(first: Tensor, second: Tensor) -> None:
    """Check that two images can be compared pixel by pixel.

    Args:
        first: Images of shape ``(..., C, H, W)``.
        second: Images of the same shape, or with a single band.

    Raises:
        BandMismatchError: If they cannot.
    """
    same = (
        first.ndim == second.ndim >= 3
        and first.shape[-2:] == second.shape[-2:]
        and second.shape[-3] in (1, first.shape[-3])
    )
    if not same:
        raise BandMismatchError(
            'Expected two images of the same size, the second with as many bands or '
            f'one, got {tuple(first.shape)} and {tuple(second.shape)}.'
        )


def _centered(image: Tensor, half: int) -> Tensor:
    return image - box_sums(image, half) / (4 * half * half)
