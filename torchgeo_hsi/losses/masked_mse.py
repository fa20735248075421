# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Squared error over valid pixels."""

from torch import Tensor, nn

from ._pixels import check_cubes, error_of, mean_over


class MaskedMSELoss(nn.Module):
    """Mean squared error of cubes over valid pixels.

    Without a mask it equals :class:`torch.nn.MSELoss`.

    Example:
        >>> import torch
        >>> loss = MaskedMSELoss()
        >>> loss(torch.zeros(1, 5, 8, 8), torch.full((1, 5, 8, 8), 0.5))
        tensor(0.2500)
    """

    def __init__(self) -> None:
        """Initialize a new MaskedMSELoss instance."""
        super().__init__()

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            The mean; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        return mean_over(error_of(input, target, mask).square(), mask)
