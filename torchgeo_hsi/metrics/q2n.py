# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Similarity of two cubes as hypercomplex numbers."""

from functools import lru_cache

import torch
from torch import Tensor

from ._blocks import Blocks, blocks_of, check_block
from ._images import Clamp, Cubes, ImageMetric, Scores, finish, prepare

#: What the standard deviation of a band without contrast is taken for.
_FLAT = 1e-10


@lru_cache(maxsize=16)
def _signs(size: int) -> Tensor:
    """Return the signs of the products of the units of hypercomplex numbers.

    The product of the units *i* and *j* is the unit *i xor j* with this sign. Numbers of
    twice the size are pairs, with
    ``(p, r)(s, u) = (p s - conj(u) r, conj(p) conj(u) + s conj(r))``.

    Args:
        size: Number of units, a power of two.

    Returns:
        Signs of shape ``(size, size)``, float64.
    """
    if size == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    half = _signs(size // 2)
    conjugate = -torch.ones(size // 2, dtype=torch.float64)
    conjugate[0] = 1
    rows, swapped = conjugate[:, None], half.T
    top = torch.cat([half, rows * conjugate * half], 1)
    return torch.cat([top, torch.cat([rows * swapped, -conjugate * swapped], 1)])


def _units(bands: int) -> int:
    """Return the number of units for a number of bands: the next power of two."""
    return 1 << (bands - 1).bit_length()


@lru_cache(maxsize=16)
def _table(bands: int) -> tuple[Tensor, Tensor]:
    """Return where the terms of a product stand, and with which sign.

    Args:
        bands: Number of bands.

    Returns:
        For each unit of the product and each band of the first factor, the place in the
        flat matrix of all pairs of bands, and the sign, which is 0 where the second
        factor would be beyond the last band. Both of shape (units, bands).
    """
    size = _units(bands)
    first = torch.arange(bands)
    second = torch.arange(size)[:, None] ^ first
    signs = _signs(size)[first.expand_as(second), second]
    inside = second < bands
    place = first * bands + second.masked_fill(~inside, 0)
    return place, signs.masked_fill(~inside, 0)


def _centered(values: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return values less their mean over valid pixels, 0 elsewhere, and the mean."""
    mean = (values * valid).sum(-1, keepdim=True) / count
    return (values - mean) * valid, mean


def _normalized(part: Blocks, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put blocks on the scale of the truth.

    Returns:
        Normalized truth and prediction less their means, 0 where they are not valid, and
        the means of the prediction of shape (N, C). Those of the truth are 1.
    """
    prediction, target = part.images
    valid = part.valid.to(target)
    centered, mean = _centered(target, valid, count)
    deviation = (centered.square().sum(-1, keepdim=True) / (count - 1)).sqrt()
    # rounding of the mean must not pass for contrast
    low = target.masked_fill(~part.valid, torch.inf).amin(-1, keepdim=True)
    high = target.masked_fill(~part.valid, -torch.inf).amax(-1, keepdim=True)
    flat = low == high
    mean = torch.where(flat, low, mean)
    deviation = deviation.masked_fill(flat, _FLAT)
    centered = centered.masked_fill(flat, 0) / deviation
    dark = mean == 0
    offset, scale = mean.masked_fill(dark, 0), deviation.masked_fill(dark, 1)
    second, level = _centered((prediction - offset) / scale + 1, valid, count)
    return centered, second, level.squeeze(-1)


def _block_scores(part: Blocks) -> tuple[Tensor, Tensor]:
    """Score blocks.

    A band that only fills up the number of units is the constant 1 in both images. It
    has no covariance with any other, so only pairs of true bands are multiplied; it
    counts in the means alone.

    Returns:
        Scores of shape (N,), and whether half of the pixels of a block are valid.
    """
    bands, pixels = part.images[1].shape[1:]
    number = part.valid.sum(-1, keepdim=True)
    known = (2 * number >= pixels).reshape(-1)
    count = number.clamp_min(2).to(part.images[1])
    first, second, level = _normalized(part, count)
    count = count.reshape(-1, 1)
    size = _units(bands)
    place, signs = (x.to(first.device) for x in _table(bands))
    # the second factor is conjugated
    flips = -torch.ones(bands, dtype=first.dtype, device=first.device)
    flips[0] = 1
    pairs = first @ (second * flips[:, None]).mT
    terms = pairs.flatten(1)[:, place.flatten()].reshape(-1, *place.shape)
    product = (terms * signs).sum(-1) / (count - 1)
    squares = first.square().sum((1, 2)) + second.square().sum((1, 2))
    variance = squares / (count.squeeze(1) - 1)
    mean = (level.square().sum(1) + size - bands).sqrt()
    bias = 2 * size**0.5 * mean / (size + mean.square())
    norm = torch.linalg.vector_norm(product, dim=1)
    contrast = variance != 0
    similarity = 2 * norm / variance.masked_fill(~contrast, 1)
    return bias * similarity.where(contrast, torch.ones_like(norm)), known


def _score_image(image: Cubes, block: int) -> tuple[Tensor, Tensor]:
    """Return the sum over the blocks of one image, and how many of them count."""
    total = image.target.new_zeros((), dtype=torch.float64)
    number = torch.zeros((), dtype=torch.int64, device=total.device)
    for part in blocks_of((image.prediction, image.target), image.valid, block):
        values, known = _block_scores(part)
        total = total + values.masked_fill(~known, 0).sum()
        number = number + known.sum()
    return total, number


def score_q2n(cubes: Cubes, block: int = 32, rounded: bool = False) -> Scores:
    """Score checked cubes.

    Args:
        cubes: The cubes.
        block: Pixels along a side of a block.
        rounded: Whether values are rounded to integers first.

    Returns:
        Scores of shape ``(B,)``.
    """
    if not cubes.target.numel():
        known = cubes.valid.new_zeros(len(cubes.target))
        return Scores(cubes.target.new_full(known.shape, torch.nan), known)
    if rounded:
        cubes = Cubes(cubes.prediction.round(), cubes.target.round(), cubes.valid)
    images = [_score_image(Cubes(*image), block) for image in zip(*cubes, strict=True)]
    total, number = (torch.stack(parts) for parts in zip(*images, strict=True))
    return Scores((total / number).to(cubes.target.dtype), number > 0)


def q2n(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    block: int = 32,
    rounded: bool = False,
    clamp: Clamp = None,
) -> Tensor:
    """Compute the hypercomplex quality index of cubes, Q2n.

    It is Wang and Bovik's index for spectra: the spectrum of a pixel is one number with
    as many units as there are bands, up to the next power of two, so that errors of
    brightness, of contrast and of the angle between spectra all lower the index. Each
    block of pixels is scored, after each band was brought to the mean 1 and the standard
    deviation 1 of its truth, and the blocks are averaged. 1 is perfect.

    It equals the index of the toolbox on hyperspectral pansharpening, by another way:
    the product of two such numbers is a table of signs, so that one product of matrices
    takes the place of a recursion, and bands that only fill up the number of units are
    never computed. Computations are in float64.

    * Alparone et al. (2004), https://doi.org/10.1109/LGRS.2004.836784
    * Garzelli and Nencini (2009), https://doi.org/10.1109/LGRS.2009.2022650

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default. Statistics of a block are those of its valid pixels. Blocks of which
            less than a half is valid do not count.
        block: Pixels along a side of a block. Images are mirrored at the bottom and the
            right up to whole blocks.
        rounded: Whether to round values to integers first. The toolbox does; it changes
            the index of digital numbers a little, and that of reflectance between 0 and 1
            is lost.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Scores of shape ``(B,)`` or ``()``, 0 to 1; NaN for images without a block that
        counts. Where the truth of a band is the same in a whole block, any other value
        of the prediction takes the score of that block to 0, as in the toolbox.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If an option is out of its range.

    Example:
        >>> import torch
        >>> cube = torch.rand(5, 40, 40)
        >>> q2n(cube, cube)
        tensor(1.)
    """
    check_block(block)
    cubes = prepare(prediction, target, valid, clamp)
    return finish(score_q2n(cubes, block, rounded), target.ndim)


class Q2n(ImageMetric):
    """Hypercomplex quality index of cubes, mean over images.

    See :func:`q2n` for its definition.

    Example:
        >>> import torch
        >>> metric = Q2n()
        >>> cube = torch.rand(2, 5, 40, 40)
        >>> metric.update(cube, cube)
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True

    def __init__(
        self, block: int = 32, rounded: bool = False, clamp: Clamp = None
    ) -> None:
        """Initialize a new Q2n instance.

        Args:
            block: Pixels along a side of a block.
            rounded: Whether to round values to integers first, as the toolbox does.
            clamp: Lowest and highest value that predictions are clamped to.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__(clamp)
        check_block(block)
        self.block = block
        self.rounded = rounded

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return score_q2n(cubes, self.block, self.rounded)
