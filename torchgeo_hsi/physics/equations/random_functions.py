# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random smooth functions."""

from typing import Literal

import torch
from torch import Tensor

from ..series.base import kept

Kernel = Literal['periodic', 'squared_exponential']


def gaussian_process(
    points: tuple[Tensor, ...],
    length: float,
    count: int,
    kernel: Kernel = 'periodic',
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw functions of a Gaussian process with mean 0 and variance 1 on a grid.

    Its covariance is ``exp(-sum_d sin(pi (x_d - y_d))**2 / (2 length**2))``, which has
    period 1 (``'periodic'``), or ``exp(-|x - y|**2 / (2 length**2))``. Both are products
    over the axes, so each axis is drawn along by itself and nothing of the size of the
    whole grid squared is made.

    * https://arxiv.org/abs/2312.05225

    Args:
        points: Points of each axis.
        length: Correlation length, in units of the box.
        count: Number of functions.
        kernel: ``'periodic'`` or ``'squared_exponential'``.
        generator: Source of randomness.

    Returns:
        Values, float64 of shape ``(count, N_1, ..., N_d)``.

    Raises:
        ValueError: If *length* is not positive.

    Example:
        >>> x = torch.arange(8) / 8
        >>> gaussian_process((x, x), 0.2, count=3).shape
        torch.Size([3, 8, 8])
    """
    if not length > 0:
        raise ValueError(f'Expected a positive correlation length, got {length}.')
    shape = (count, *(len(x) for x in points))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    for dim, x in enumerate(points, start=1):
        root = _root(tuple(x.double().tolist()), length, kernel)
        values = (values.movedim(dim, -1) @ root.T).movedim(-1, dim)
    return values


@kept
def _root(points: tuple[float, ...], length: float, kernel: Kernel) -> Tensor:
    """Return a square root of the covariance along an axis."""
    x = torch.tensor(points, dtype=torch.float64)
    distance = x[:, None] - x
    if kernel == 'periodic':
        distance = torch.sin(torch.pi * distance)
    covariance = torch.exp(-(distance**2) / (2 * length**2))
    variance, vectors = torch.linalg.eigh(covariance)
    # smooth kernels have eigenvalues of 0, which rounding makes negative
    root: Tensor = vectors * variance.clamp_min(0).sqrt()
    return root
