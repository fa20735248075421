# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The blur of a sensor, with and without decimation."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import BandMismatchError
from .decimate import check_divides, check_ratio
from .mtf_kernel import check_gain, check_odd, kernel_factors

Padding = Literal['replicate', 'valid']


def mtf_filter(
    image: Tensor,
    gain: float | Tensor,
    ratio: int,
    size: int = 41,
    *,
    padding: Padding = 'replicate',
) -> Tensor:
    """Blur an image as a coarser sensor does, without decimation.

    Args:
        image: Images of shape ``(..., C, H, W)``.
        gain: Gain at the Nyquist frequency of the coarse image, one for all bands or one
            for each, shape ``(C,)``.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.
        padding: Beyond the border: the outermost pixels again (``'replicate'``), or
            nothing, so that the result is smaller by ``size - 1`` (``'valid'``).

    Returns:
        Images of shape ``(..., C, H, W)``, or smaller.

    Raises:
        BandMismatchError: If there is another number of gains than of bands.
        ValueError: If an argument is out of its range, or the image smaller than the
            kernel without padding.

    Example:
        >>> import torch
        >>> mtf_filter(torch.ones(2, 24, 24), 0.3, ratio=6).mean()
        tensor(0.9972)
    """
    check_ratio(ratio)
    margin = _margin(image, check_odd(size), padding)
    return _by_gain(image, gain, ratio, size, size - 1, partial(_filter, margin=margin))


def gaussian_lowpass(
    image: Tensor, gain: float | Tensor, ratio: int, size: int = 41
) -> Tensor:
    """Blur an image with :func:`gaussian_kernel`, with its outermost pixels again.

    Args:
        image: Images of shape ``(..., C, H, W)``.
        gain: Gain at the Nyquist frequency of the coarse image, one for all bands or one
            for each, shape ``(C,)``.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.

    Returns:
        Images of the same shape.

    Raises:
        BandMismatchError: If there is another number of gains than of bands.
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> gaussian_lowpass(torch.ones(2, 24, 24), 0.3, ratio=6).shape
        torch.Size([2, 24, 24])
    """
    check_ratio(ratio)
    check_odd(size)
    return _by_gain(image, gain, ratio, size, size, partial(_filter, margin=size // 2))


def mtf_decimate(
    image: Tensor,
    gain: float | Tensor,
    ratio: int,
    size: int = 41,
    *,
    padding: Padding = 'replicate',
) -> Tensor:
    """Look at an image with a coarser sensor: blur, and one sample of each pixel.

    The same as :func:`mtf_filter` and then :func:`decimate`, but what decimation throws
    away is not computed.

    Args:
        image: Images of shape ``(..., C, H, W)``.
        gain: Gain at the Nyquist frequency of the coarse image, one for all bands or one
            for each, shape ``(C,)``.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.
        padding: Beyond the border: the outermost pixels again (``'replicate'``), or
            nothing (``'valid'``); then coarse pixels are left out whose kernel would
            reach over it: ``ceil((size // 2 - ratio // 2) / ratio)`` before, and as many
            as it takes behind.

    Returns:
        Images of shape ``(..., C, H / ratio, W / ratio)``, or smaller.

    Raises:
        BandMismatchError: If there is another number of gains than of bands.
        ValueError: If an argument is out of its range, or a size no multiple of the
            ratio.

    Example:
        >>> import torch
        >>> mtf_decimate(torch.rand(2, 24, 24), 0.3, ratio=6).shape
        torch.Size([2, 4, 4])
    """
    check_divides(image, ratio)
    _margin(image, check_odd(size), padding)
    function = _decimate if padding == 'replicate' else _decimate_valid
    return _by_gain(image, gain, ratio, size, size - 1, partial(function, ratio=ratio))


def mtf_decimate_adjoint(
    image: Tensor, gain: float | Tensor, ratio: int, size: int = 41
) -> Tensor:
    """Apply the adjoint of :func:`mtf_decimate`, with ``'replicate'``.

    Args:
        image: Images of shape ``(..., C, h, w)``.
        gain: Gain at the Nyquist frequency of the coarse image, one for all bands or one
            for each, shape ``(C,)``.
        ratio: Ratio of pixel sizes.
        size: Rows and columns of the kernel, an odd number.

    Returns:
        Images of shape ``(..., C, h * ratio, w * ratio)``.

    Raises:
        BandMismatchError: If there is another number of gains than of bands.
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> mtf_decimate_adjoint(torch.rand(2, 4, 4), 0.3, ratio=6).shape
        torch.Size([2, 24, 24])
    """
    check_ratio(ratio)
    height, width = (ratio * length for length in image.shape[-2:])
    fine = image.new_zeros(*image.shape[:-2], height, width)
    forward = partial(mtf_decimate, gain=gain, ratio=ratio, size=size)
    # linear, so its derivative is the same everywhere
    return torch.func.vjp(forward, fine)[1](image)[0]  # type: ignore[no-any-return]


def valid_margins(length: int, ratio: int, size: int) -> tuple[int, int]:
    """Count the coarse pixels that ``padding='valid'`` leaves out of a line.

    Args:
        length: Fine samples.
        ratio: Ratio of pixel sizes.
        size: Samples of the kernel.

    Returns:
        Coarse pixels before the first and behind the last one that is left.
    """
    before = max(0, -(-(size // 2 - ratio // 2) // ratio))
    last = (length - 1 - size // 2 - ratio // 2) // ratio
    return before, max(0, length // ratio - 1 - last)


def _margin(image: Tensor, size: int, padding: Padding) -> int:
    """Return how much to pad."""
    if padding == 'replicate':
        return size // 2
    if padding != 'valid':
        raise ValueError(f'Expected padding replicate or valid, got {padding!r}.')
    if min(image.shape[-2:]) < size:
        raise ValueError(
            f'Expected at least {size} rows and columns, as the kernel has, got '
            f'{image.shape[-2]} x {image.shape[-1]}. Pass a smaller size, or pad.'
        )
    return 0


def _by_gain(
    image: Tensor,
    gain: float | Tensor,
    ratio: int,
    size: int,
    width: int,
    function: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Call a function for all bands with the same gain at once."""
    channels = image.shape[-3]
    gains = [gain] if isinstance(gain, int | float) else gain.flatten().tolist()
    if len(gains) not in (1, channels):
        raise BandMismatchError(
            f'Expected one gain, or one for each of {channels} bands, got {len(gains)}.'
        )
    distinct = sorted({check_gain(value) for value in gains})

    def call(part: Tensor, value: float) -> Tensor:
        factors = kernel_factors(value, ratio, size, width).to(part)
        flat = function(part.reshape(-1, 1, *part.shape[-2:]), factors)
        return flat.reshape(*part.shape[:-2], *flat.shape[-2:])

    if len(distinct) == 1:
        return call(image, distinct[0])
    places = [[i for i, g in enumerate(gains) if g == value] for value in distinct]
    parts = [
        call(image[..., place, :, :], value)
        for place, value in zip(places, distinct, strict=True)
    ]
    order = torch.tensor([i for place in places for i in place]).argsort()
    return torch.cat(parts, -3)[..., order.to(image.device), :, :]


def _filter(image: Tensor, factors: Tensor, margin: int) -> Tensor:
    padded = F.pad(image, (margin,) * 4, mode='replicate') if margin else image
    columns, rows = factors
    once = F.conv2d(padded, columns[:, None, :, None])
    return F.conv2d(once, rows[None, :, None, :])


def _decimate(image: Tensor, factors: Tensor, ratio: int) -> Tensor:
    half, first = factors.shape[-1] // 2, ratio // 2
    # the first kernel begins `half` before sample `first`
    ends = []
    for length in image.shape[-2:]:
        last = (length // ratio - 1) * ratio + first + half
        ends.append((half - first, max(0, last - length + 1)))
    (top, bottom), (left, right) = ends
    padded = F.pad(image, (left, right, top, bottom), mode='replicate')
    return _strided(padded, factors, ratio)


def _decimate_valid(image: Tensor, factors: Tensor, ratio: int) -> Tensor:
    half, first = factors.shape[-1] // 2, ratio // 2
    start = max(0, -(-(half - first) // ratio)) * ratio + first - half
    return _strided(image[..., start:, start:], factors, ratio)


def _strided(image: Tensor, factors: Tensor, ratio: int) -> Tensor:
    columns, rows = factors
    once = F.conv2d(image, columns[:, None, :, None], stride=(ratio, 1))
    return F.conv2d(once, rows[None, :, None, :], stride=(1, ratio))
