# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Squared error relative to guessing the mean, and errors over known targets."""

from typing import Literal

from torch import Tensor, nn


class NormalizedMSELoss(nn.Module):
    """Score of the Hyperview challenge as a loss, for one batch.

    The mean over the targets of their squared error, divided by that of predicting 0,
    the mean of standardized targets. The divisor belongs to the batch, as in the
    published recipe; :class:`~torchgeo_hsi.metrics.HyperviewScore` has that of all data.

    If you use this loss in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        floor: Smallest divisor, so that a batch of targets near their mean does not
            explode.

    Example:
        >>> import torch
        >>> loss = NormalizedMSELoss()
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 2.0]]))
        tensor(0.6250)
    """

    def __init__(self, floor: float = 1e-2) -> None:
        """Initialize a new NormalizedMSELoss instance."""
        super().__init__()
        self.floor = floor

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Predictions of shape ``(B, K)``.
            target: Targets of shape ``(B, K)``. Samples with a NaN do not count.

        Returns:
            The loss; 0 if no sample counts.
        """
        known = target.isfinite().all(dim=1)
        if not known.any():
            return input.sum() * 0.0
        target = target[known]
        error = (input[known] - target).square().mean(dim=0)
        guess = target.square().mean(dim=0).clamp_min(self.floor)
        return (error / guess).mean()


class KnownTargets(nn.Module):
    """Squared or absolute error over the samples that have all of their targets.

    Args:
        kind: ``'mse'`` or ``'mae'``.

    Example:
        >>> import torch
        >>> loss = KnownTargets('mae')
        >>> loss(torch.zeros(2, 1), torch.tensor([[3.0], [torch.nan]]))
        tensor(3.)
    """

    def __init__(self, kind: Literal['mse', 'mae']) -> None:
        """Initialize a new KnownTargets instance."""
        super().__init__()
        self.loss = nn.MSELoss() if kind == 'mse' else nn.L1Loss()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Predictions of shape ``(B, K)``.
            target: Targets of shape ``(B, K)``. Samples with a NaN do not count.

        Returns:
            The loss; 0 if no sample counts.
        """
        known = target.isfinite().all(dim=1)
        if not known.any():
            return input.sum() * 0.0
        loss: Tensor = self.loss(input[known], target[known])
        return loss
