# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Error of a function as a share of the function."""

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import BandMismatchError, EmptyDataError


def relative_l2(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Compute :math:`\lVert u - v \rVert / \lVert u \rVert` of each function.

    * https://arxiv.org/abs/2010.08895

    Args:
        prediction: Values of shape ``(B, ...)``, on any even grid.
        target: True values of the same shape.

    Returns:
        Errors of shape ``(B,)``, as a share: 0.01 is one percent.

    Raises:
        BandMismatchError: If the shapes do not fit.
        EmptyDataError: If a true function is 0 everywhere, which has no relative error.

    Example:
        >>> relative_l2(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 2.0]]) / 2)
        tensor([0.4472])
    """
    if prediction.shape != target.shape or target.ndim < 2:
        raise BandMismatchError(
            'Expected two batches of functions on the same grid, got the shapes '
            f'{tuple(prediction.shape)} and {tuple(target.shape)}.'
        )
    size = torch.linalg.vector_norm(target.flatten(1), dim=1)
    if (size == 0).any():
        raise EmptyDataError(
            f'{int((size == 0).sum())} of {len(size)} true functions are 0 everywhere, '
            'so no error is relative to them. Leave them out.'
        )
    error = torch.linalg.vector_norm((prediction - target).flatten(1), dim=1)
    found: Tensor = error / size
    return found


class RelativeL2(Metric):
    """Relative error of functions, mean over functions.

    See :func:`relative_l2` for its definition.

    Example:
        >>> metric = RelativeL2()
        >>> metric.update(torch.full((1, 8, 8), 1.1), torch.ones(1, 8, 8))
        >>> metric.compute()
        tensor(0.1000)
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        """Initialize a new RelativeL2 instance."""
        super().__init__()
        zero = torch.tensor(0.0, dtype=torch.float32)
        self.add_state('total', default=zero, dist_reduce_fx='sum')
        self.add_state('count', default=torch.tensor(0), dist_reduce_fx='sum')

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch of functions.

        Args:
            prediction: Values of shape ``(B, ...)``.
            target: True values of the same shape.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If a true function is 0 everywhere.
        """
        found = relative_l2(prediction, target)
        self.total = self.total + found.sum()
        self.count = self.count + len(found)

    def compute(self) -> Tensor:
        """Compute the mean.

        Returns:
            The mean error; NaN if there was no function.
        """
        return self.total / self.count
