# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Universal quality index of images, in windows or blocks."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import BandMismatchError
from ..physics.local_windows import window_sums
from ._blocks import blocks_of, check_block
from ._images import Scores, finish, mean_where, pixel_mask

#: Values of bands that are looked at together; 32 MB in float64.
_VALUES = 2**22

#: Contrast of a window below which it has none, as a part of the largest square of the
#: image: far below what float32 holds, and above what sums of float64 lose.
_FLAT = 1e-12


class Windows(NamedTuple):
    """Sums of bands over windows."""

    #: Sums of the values.
    total: Tensor
    #: Sums of the values less one number for the whole band.
    shifted: Tensor
    #: Number of pixels squared times the variance.
    spread: Tensor


def centered(image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract from each band its mean, so that sums of squares keep their digits.

    Args:
        image: Bands of shape ``(C, H, W)``, 0 where they are not valid.
        valid: Pixels that count, shape ``(1, H, W)``.

    Returns:
        Bands less their means, 0 where they are not valid, and the means of shape ``(C,
        1, 1)``; float64.
    """
    image = image.double()
    mean = image.sum((-2, -1), keepdim=True) / valid.sum().clamp_min(1)
    return (image - mean) * valid, mean


def windows_of(values: Tensor, mean: Tensor, count: Tensor, window: int) -> Windows:
    """Sum bands over all windows.

    Args:
        values: Bands of shape ``(C, H, W)`` from :func:`centered`.
        mean: What was subtracted from them.
        count: Pixels of each window that count.
        window: Pixels along a side.

    Returns:
        Sums over windows.
    """
    shifted = window_sums(values, window)
    spread = count * window_sums(values.square(), window) - shifted.square()
    least = _FLAT * values.square().amax((-2, -1), keepdim=True) * count.square()
    return Windows(
        shifted + count * mean, shifted, spread.masked_fill(spread <= least, 0)
    )


def index_of(first: Windows, second: Windows, products: Tensor) -> Tensor:
    """Compute the index of windows.

    Args:
        first: Sums of the first image.
        second: Sums of the second image.
        products: Number of pixels squared times the covariance.

    Returns:
        Index of each window. Without contrast in either image it is that of the means;
        1 where both means are 0.
    """
    contrast = first.spread + second.spread
    level = first.total.square() + second.total.square()
    bias = 2 * first.total * second.total / level.masked_fill(level == 0, 1)
    # a window without contrast has no covariance, whatever rounding says
    flat = (first.spread == 0) | (second.spread == 0)
    similarity = 2 * products.masked_fill(flat, 0)
    similarity = similarity / contrast.masked_fill(contrast == 0, 1)
    value = bias * similarity.masked_fill(contrast == 0, 1)
    return value.masked_fill(level == 0, 1)


def _sliding(first: Tensor, second: Tensor, valid: Tensor, window: int) -> Tensor:
    """Return the mean of each band over all windows."""
    count = window_sums(valid.double(), window)
    known = 2 * count >= window**2
    other, mean = centered(second, valid)
    same = windows_of(other, mean, count, window) if len(other) == 1 else None
    means = []
    step = max(1, _VALUES // valid.numel())
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        values, shift = centered(first[part], valid)
        partner = other if same else other[part]
        right = same or windows_of(partner, mean[part], count, window)
        left = windows_of(values, shift, count, window)
        products = count * window_sums(values * partner, window)
        index = index_of(left, right, products - left.shifted * right.shifted)
        means.append(index.masked_fill(~known, 0).sum((-2, -1)) / known.sum())
    return torch.cat(means)


def _in_blocks(first: Tensor, second: Tensor, valid: Tensor, window: int) -> Tensor:
    """Return the mean of each band over blocks that do not overlap."""
    total = first.new_zeros(len(first), dtype=torch.float64)
    number = torch.zeros((), dtype=torch.int64, device=first.device)
    for part in blocks_of((first, second), valid, window):
        count = part.valid.sum(-1).double()
        known = 2 * count >= window**2
        sums, values = [], []
        for image in part.images:
            windows, centers = block_sums(image, part.valid)
            sums.append(windows)
            values.append(centers)
        products = count * (values[0] * values[1]).sum(-1)
        index = index_of(sums[0], sums[1], products)
        total = total + index.masked_fill(~known, 0).sum(0)
        number = number + known.sum()
    return total / number


def block_sums(image: Tensor, valid: Tensor) -> tuple[Windows, Tensor]:
    """Sum bands over the pixels of blocks.

    Args:
        image: Blocks of shape ``(N, C, P)``.
        valid: Pixels that count, shape ``(N, 1, P)``.

    Returns:
        Sums of shape ``(N, C)``, and the values less their means, 0 where they are not
        valid.
    """
    count = valid.sum(-1, keepdim=True).clamp_min(1).double()
    total = (image * valid).sum(-1, keepdim=True)
    low = image.masked_fill(~valid, torch.inf).amin(-1, keepdim=True)
    high = image.masked_fill(~valid, -torch.inf).amax(-1, keepdim=True)
    # rounding of the mean must not pass for contrast
    values = ((image - total / count) * valid).masked_fill(low == high, 0)
    spread = count * values.square().sum(-1, keepdim=True)
    shifted = torch.zeros_like(total)
    return Windows(*(x.squeeze(-1) for x in (total, shifted, spread))), values


def band_quality(
    first: Tensor, second: Tensor, valid: Tensor, window: int, sliding: bool
) -> Tensor:
    """Compute the index of each band of an image.

    Args:
        first: Bands of shape ``(C, H, W)``, 0 where they are not valid.
        second: Bands of the same shape, or of shape ``(1, H, W)``.
        valid: Pixels that count, shape ``(1, H, W)``.
        window: Pixels along a side of a window, or of a smaller image.
        sliding: Whether windows overlap.

    Returns:
        Indices of shape ``(C,)``, float64; NaN if no window counts.
    """
    window = min(window, *valid.shape[-2:])
    return (_sliding if sliding else _in_blocks)(first, second, valid, window)


def enough(valid: Tensor, window: int, sliding: bool) -> Tensor:
    """Tell whether any window counts.

    Args:
        valid: Pixels that count, shape ``(1, H, W)``.
        window: Pixels along a side of a window, or of a smaller image.
        sliding: Whether windows overlap.

    Returns:
        One truth value.
    """
    window = min(window, *valid.shape[-2:])
    if sliding:
        return (2 * window_sums(valid.double(), window) >= window**2).any()
    parts = [x.valid.sum((1, 2)) for x in blocks_of((valid,), valid, window)]
    return (2 * torch.cat(parts) >= window**2).any()


def quality_index(
    first: Tensor,
    second: Tensor,
    valid: Tensor | None = None,
    window: int = 32,
    sliding: bool = True,
) -> Tensor:
    r"""Compute the universal quality index, mean over windows and then bands.

    :math:`Q = \frac{2 \sigma_{xy}}{\sigma_x^2 + \sigma_y^2} \cdot
    \frac{2 \mu_x \mu_y}{\mu_x^2 + \mu_y^2}` in each window. torchmetrics has it with
    a Gaussian window, without a mask, and in the precision of its input.

    * Wang and Bovik (2002), https://doi.org/10.1109/97.995823

    Args:
        first: Images of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        second: Images of the same shape, or with a single band.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default. Statistics of a window are those of its valid pixels. Windows of
            which less than a half is valid do not count.
        window: Pixels along a side of a window. Smaller images are one window wide.
        sliding: Whether to take the window around every pixel; otherwise blocks that do
            not overlap, with the image mirrored at the bottom and the right up to whole
            blocks.

    Returns:
        Indices of shape ``(B,)`` or ``()``, -1 to 1; NaN if no window counts. Windows
        without contrast have that of their means.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the window has fewer than 2 pixels along a side.

    Example:
        >>> import torch
        >>> image = torch.rand(3, 40, 40)
        >>> quality_index(image, image)
        tensor(1.)
    """
    check_block(window, 'window')
    _check(first, second)
    mask = pixel_mask(valid, first)
    images = [x.to(first.device).masked_fill(~mask, 0) for x in (first, second)]
    if first.ndim == 3:
        images, mask = [x[None] for x in images], mask[None]
    rows = [
        band_quality(a, b, v, window, sliding)
        for a, b, v in zip(*images, mask, strict=True)
    ]
    known = [enough(v, window, sliding) for v in mask]
    dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
    if not rows:
        return first.new_zeros(0, dtype=dtype)
    values = torch.stack(rows).to(dtype)
    scores: Scores = mean_where(values, torch.stack(known)[:, None].expand_as(values))
    return finish(scores, first.ndim)


def _check(first: Tensor, second: Tensor) -> None:
    """Check the shapes of two images.

    Raises:
        BandMismatchError: If they do not fit.
    """
    same = (
        first.ndim == second.ndim
        and first.ndim in (3, 4)
        and first.shape[:-3] == second.shape[:-3]
        and first.shape[-2:] == second.shape[-2:]
        and second.shape[-3] in (1, first.shape[-3])
    )
    if not same:
        raise BandMismatchError(
            'Expected two images of shape (B, C, H, W) or (C, H, W), the second with as '
            f'many bands or one, got {tuple(first.shape)} and {tuple(second.shape)}.'
        )
