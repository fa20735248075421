# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian blur and mean, with coarse pixels in the middle of what they cover."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import BandMismatchError
from ._axes import apply_axes, cached_matrix, scatter_rows, symmetric
from .decimate import check_divides, check_ratio
from .imresize import down_matrix
from .mtf_kernel import check_gain

#: Where a Gaussian ends, in standard deviations.
_REACH = 5.0

#: Weights below this share of the largest one let nothing noticeable in.
_SHARE = 0.01


def mtf_sigma(gain: float, ratio: int) -> float:
    """Return the width of the Gaussian blur with a gain at the Nyquist frequency.

    The blur that :func:`mtf_kernel` samples in frequency: its response is a Gaussian that
    falls to *gain* at the Nyquist frequency of the coarse image. Sampled on the fine
    pixels, :func:`gaussian_down` has this gain within 1 % up to 0.5, even for a ratio of 2; a
    larger gain is too sharp for so few pixels.

    Args:
        gain: Gain at the Nyquist frequency of the coarse image, 0 to 1.
        ratio: Ratio of pixel sizes.

    Returns:
        Standard deviation in fine pixels.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> round(mtf_sigma(0.3, ratio=2), 4)
        0.9879
    """
    return check_ratio(ratio) * math.sqrt(-2 * math.log(check_gain(gain))) / math.pi


def gaussian_down(
    image: Tensor, ratio: int, sigma: float | Sequence[float] | Tensor
) -> Tensor:
    """Blur images with a Gaussian, and take a sample in the middle of each coarse pixel.

    The weights of a coarse pixel are those of a Gaussian at the centers of the fine
    pixels, out to five standard deviations, and sum to 1. Rows and columns are mirrored
    at the border. For an even ratio the middle lies between two fine pixels, half of one
    before the sample of :func:`mtf_decimate`.

    Args:
        image: Images of shape ``(..., C, H, W)``.
        ratio: Ratio of pixel sizes.
        sigma: Standard deviation in fine pixels, one for all bands or one for each.

    Returns:
        Images of shape ``(..., C, H / ratio, W / ratio)``.

    Raises:
        BandMismatchError: If there is another number of widths than of bands.
        ValueError: If a width is not positive, or a size no multiple of the ratio.

    Example:
        >>> import torch
        >>> gaussian_down(torch.rand(5, 8, 12), 4, sigma=1.5).shape
        torch.Size([5, 2, 3])
    """
    check_divides(image, ratio)
    height, width = image.shape[-2:]

    def reduce(part: Tensor, value: float) -> Tensor:
        rows, cols = (gaussian_matrix(n, ratio, value) for n in (height, width))
        return apply_axes(part, rows, cols)

    sigmas = _per_band(sigma, image.shape[-3] if image.ndim > 2 else 1)
    distinct = sorted(set(sigmas))
    if len(distinct) == 1:
        return reduce(image, distinct[0])
    places = [[i for i, s in enumerate(sigmas) if s == value] for value in distinct]
    parts = [
        reduce(image[..., place, :, :], value)
        for place, value in zip(places, distinct, strict=True)
    ]
    order = torch.tensor([i for place in places for i in place]).argsort()
    return torch.cat(parts, -3)[..., order.to(image.device), :, :]


def box_down(image: Tensor, ratio: int) -> Tensor:
    """Average the fine pixels that each coarse one covers.

    Args:
        image: Images of shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of shape ``(..., H / ratio, W / ratio)``.

    Raises:
        ValueError: If a size is no multiple of the ratio.

    Example:
        >>> import torch
        >>> box_down(torch.arange(8.0).view(2, 4), 2)
        tensor([[2.5000, 4.5000]])
    """
    height, width = check_divides(image, ratio)
    cells = image.reshape(*image.shape[:-2], height, ratio, width, ratio)
    return cells.mean((-3, -1))


def touched_rows(size: int, ratio: int, sigma: float | None) -> Tensor:
    """Tell which fine samples make up each coarse one.

    Args:
        size: Number of fine samples of a line.
        ratio: Ratio of pixel sizes.
        sigma: Standard deviation of a Gaussian in fine samples; 0 for the mean of what
            is covered, None for cubic convolution.

    Returns:
        1 where a sample is covered, or its weight has at least 1 % of the largest one,
        and else 0; shape ``(size / ratio, size)``.
    """
    cells = torch.eye(size // ratio).repeat_interleave(ratio, 1)
    if sigma == 0:
        return cells
    if sigma is None:
        weights = down_matrix(size, ratio)
    else:
        weights = gaussian_matrix(size, ratio, sigma)
    weights = weights.abs()
    return ((weights >= _SHARE * weights.amax(1, keepdim=True)) | (cells > 0)).float()


@cached_matrix
def gaussian_matrix(size: int, ratio: int, sigma: float) -> Tensor:
    """Return the weights of :func:`gaussian_down` along a line.

    Args:
        size: Number of fine samples.
        ratio: Ratio of pixel sizes.
        sigma: Standard deviation in fine samples.

    Returns:
        Matrix of shape ``(size / ratio, size)``, float64.
    """
    center = (torch.arange(size // ratio, dtype=torch.float64) + 0.5) * ratio - 0.5
    # as many samples on both sides of the center, which may lie between two
    reach = math.ceil(_REACH * sigma)
    offset = torch.arange(-reach, reach + 1 + (ratio % 2 == 0))
    index = center.floor().long()[:, None] + offset
    distance = center[:, None] - index
    weights = torch.softmax(-(distance / sigma).square() / 2, 1)
    return scatter_rows(symmetric(index, size), weights, size)


def _per_band(sigma: float | Sequence[float] | Tensor, bands: int) -> list[float]:
    """Return one width for all bands, or one for each."""
    values = torch.as_tensor(sigma, dtype=torch.float64).flatten().tolist()
    if len(values) not in (1, bands):
        raise BandMismatchError(
            f'Expected one sigma, or one for each of {bands} bands, got {len(values)}.'
        )
    if not all(0 < value < math.inf for value in values):
        raise ValueError(f'Expected a positive sigma, in fine pixels, got {sigma}.')
    return [float(value) for value in values]
