# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Linear maps of the rows and of the columns of images."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from ..._precision import full_precision

#: A line of samples with its neighbors outside: index of the sample that stands there.
type Boundary = Callable[[Tensor, int], Tensor]


def symmetric(index: Tensor, size: int) -> Tensor:
    """Reflect positions outside of a line, with the outermost sample twice.

    Args:
        index: Positions, also negative ones.
        size: Number of samples.

    Returns:
        Positions of the same shape, from 0 to ``size - 1``.
    """
    index = index.remainder(2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)


def circular(index: Tensor, size: int) -> Tensor:
    """Continue a line with its other end.

    Args:
        index: Positions, also negative ones.
        size: Number of samples.

    Returns:
        Positions of the same shape, from 0 to ``size - 1``.
    """
    return index.remainder(size)


def replicate(index: Tensor, size: int) -> Tensor:
    """Continue a line with its outermost sample.

    Args:
        index: Positions, also negative ones.
        size: Number of samples.

    Returns:
        Positions of the same shape, from 0 to ``size - 1``.
    """
    return index.clamp(0, size - 1)


def scatter_rows(index: Tensor, weights: Tensor, size: int) -> Tensor:
    """Write a map as a matrix.

    Args:
        index: Samples that each output takes, shape ``(N, K)``; some may be the same.
        weights: Their weights, same shape.
        size: Number of samples.

    Returns:
        Matrix of shape ``(N, size)``.
    """
    matrix = weights.new_zeros(len(index), size)
    return matrix.scatter_add_(1, index, weights)


def apply_axes(image: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Map the rows and the columns of images.

    Args:
        image: Images of shape ``(..., H, W)``.
        rows: Matrix of shape ``(N, H)``.
        cols: Matrix of shape ``(M, W)``.

    Returns:
        Images of shape ``(..., N, M)``, in the precision of the images also under
        autocast.
    """
    kind: dict[str, torch.device | torch.dtype] = {
        'device': image.device,
        'dtype': image.dtype,
    }
    rows, cols = rows.to(**kind), cols.to(**kind)  # type: ignore[call-overload]
    with full_precision(image.device):
        # the smaller intermediate image first
        if len(rows) * cols.shape[1] <= len(cols) * rows.shape[1]:
            return (rows @ image) @ cols.mT
        return rows @ (image @ cols.mT)


def cached_matrix[F: Callable[..., Tensor]](builder: F) -> F:
    """Keep the last matrices that a function made.

    Args:
        builder: Function of hashable arguments.

    Returns:
        The function; its matrices can be used in training even where the first call
        came under ``torch.inference_mode``.
    """

    @lru_cache(maxsize=64)
    def build(*args: Hashable) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return builder(*args)

    return cast(F, build)
