# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Interpolation of coarse images on a fine grid."""

from typing import Literal

import torch
from torch import Tensor

from ._axes import apply_axes, cached_matrix, circular, scatter_rows, symmetric
from .decimate import check_ratio

Method = Literal['ideal', 'bicubic']
Edge = Literal['symmetric', 'circular']

#: One side of the half-band filter of 23 samples that doubles the number of samples.
_HALF_BAND = (
    1.0,
    0.610668182370,
    0.0,
    -0.145397186478,
    0.0,
    0.043619155884,
    0.0,
    -0.010385513306,
    0.0,
    0.001615524292,
    0.0,
    -0.000120162964,
)

#: Samples on each side that the interpolation by an odd factor takes into account.
_REACH = 30

#: Coarse pixels on each side that a fine pixel may depend on.
REACH = _REACH + 6


def interpolate(
    image: Tensor, ratio: int, *, method: Method = 'ideal', boundary: Edge = 'symmetric'
) -> Tensor:
    """Interpolate an image on the grid of a finer one.

    The samples stay as they are, at ``ratio * i + ratio // 2``. ``'ideal'`` is what the
    protocols of pansharpening do: by each odd factor of the ratio with a sinc of 61
    samples, then by 2 with a half-band filter of 23 samples
    (https://doi.org/10.1109/TGRS.2014.2361734); so close to no aliasing and no loss as
    such filters are.

    Args:
        image: Images of shape ``(..., h, w)``.
        ratio: Ratio of pixel sizes.
        method: ``'ideal'``, or ``'bicubic'``: cubic convolution (a = -0.5) of the four
            neighbors, at the same places.
        boundary: What lies beyond the border: the mirrored image, or (``'circular'``) its
            other side, as published for the factors of 2.

    Returns:
        Images of shape ``(..., h * ratio, w * ratio)``.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> image = torch.rand(3, 8, 8)
        >>> fine = interpolate(image, ratio=6)
        >>> fine.shape, torch.allclose(fine[:, 3::6, 3::6], image)
        (torch.Size([3, 48, 48]), True)
    """
    rows = interpolation_matrix(image.shape[-2], ratio, method, boundary)
    cols = interpolation_matrix(image.shape[-1], ratio, method, boundary)
    return apply_axes(image, rows, cols)


def interpolation_matrix(
    size: int, ratio: int, method: Method = 'ideal', boundary: Edge = 'symmetric'
) -> Tensor:
    """Write the interpolation of a line as a matrix.

    Args:
        size: Number of samples.
        ratio: Ratio of pixel sizes.
        method: ``'ideal'`` or ``'bicubic'``.
        boundary: ``'symmetric'`` or ``'circular'``.

    Returns:
        Matrix of shape ``(ratio * size, size)``, float64; not to be changed.

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_ratio(ratio)
    if method not in ('ideal', 'bicubic'):
        raise ValueError(f'Expected the method ideal or bicubic, got {method!r}.')
    if boundary not in ('symmetric', 'circular'):
        raise ValueError(
            f'Expected the boundary symmetric or circular, got {boundary!r}.'
        )
    if size < 1:
        raise ValueError('Expected an image with at least one row and column.')
    if method == 'bicubic':
        return _cubic(size, ratio, boundary)
    return _ideal(size, ratio, boundary)


@cached_matrix
def _ideal(size: int, ratio: int, boundary: Edge) -> Tensor:
    matrix = torch.eye(size, dtype=torch.float64)
    twos = 0
    while ratio % 2 == 0:
        ratio, twos = ratio // 2, twos + 1
    for factor in _odd_factors(ratio):
        matrix = _sinc(len(matrix), factor) @ matrix
    for number in range(twos):
        # the first step moves samples to the odd places, so that all end in the middle
        matrix = _double(len(matrix), 1 if number == 0 else 0, boundary) @ matrix
    return matrix


def _odd_factors(number: int) -> list[int]:
    factors, factor = [], 3
    while number > 1:
        while number % factor == 0:
            factors.append(factor)
            number //= factor
        factor += 2
    return factors


def _sinc(size: int, factor: int) -> Tensor:
    """Interpolate by an odd factor; the samples lie in the middle of each new pixel."""
    reach = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    start = torch.arange(size)[:, None]
    rows = []
    for phase in range(factor):
        step = phase - factor // 2
        # places before a sample are counted from the one before, as published
        before = int(step < 0)
        weights = torch.sinc(step / factor + before - reach)
        weights = (weights / weights.sum()).expand(size, -1)
        index = symmetric(start - before + reach.long(), size)
        rows.append(scatter_rows(index, weights, size))
    return torch.stack(rows, 1).reshape(factor * size, size)


def _double(size: int, first: int, boundary: Edge) -> Tensor:
    """Interpolate by 2; the samples lie at the even or odd places."""
    side = torch.tensor(_HALF_BAND, dtype=torch.float64)
    kernel = torch.cat([side.flip(0)[:-1], side])
    reach = torch.arange(-11, 12)
    # places among the doubled samples, of which every other one is zero
    place = torch.arange(2 * size)[:, None] + reach - first
    known = (place % 2 == 0).double()
    edge = circular if boundary == 'circular' else symmetric
    return scatter_rows(
        edge(place.div(2, rounding_mode='floor'), size), known * kernel, size
    )


@cached_matrix
def _cubic(size: int, ratio: int, boundary: Edge) -> Tensor:
    place = (torch.arange(ratio * size, dtype=torch.float64) - ratio // 2) / ratio
    left = place.floor().long()
    index = left[:, None] + torch.arange(-1, 3)
    edge = circular if boundary == 'circular' else symmetric
    return scatter_rows(edge(index, size), cubic(place[:, None] - index), size)


def cubic(distance: Tensor) -> Tensor:
    """Weigh a sample by its distance, for cubic convolution with a = -0.5.

    Args:
        distance: Distances in samples.

    Returns:
        Weights of the same shape. https://doi.org/10.1109/TASSP.1981.1163711
    """
    d = distance.abs()
    near = (1.5 * d - 2.5) * d.square() + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
