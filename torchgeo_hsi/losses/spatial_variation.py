# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Variation between neighboring pixels."""

from torch import Tensor, nn

from ._pixels import check_cubes, mean_over, real_cubes


class SpatialVariationLoss(nn.Module):
    """Mean squared difference between neighboring rows, and between neighboring columns.

    The squared total variation of a prediction, whatever the truth is: it makes images
    smooth. Squares are averaged over images, bands and pixels, in each direction, and
    the two means are added up.

    * https://arxiv.org/abs/2005.08752 (SSPSR)
    * https://arxiv.org/abs/2101.07589 (HSISR), with a weight of 0.001

    Example:
        >>> import torch
        >>> ramp = torch.arange(8.0).expand(1, 5, 8, 8)
        >>> SpatialVariationLoss()(ramp, ramp)
        tensor(1.)
    """

    def __init__(self) -> None:
        """Initialize a new SpatialVariationLoss instance."""
        super().__init__()

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape, which do not matter.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default. A
                difference counts if both of its pixels do.

        Returns:
            The sum of the means over both directions; 0 if nothing counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        cubes = real_cubes(input, mask)
        down = None if mask is None else mask[..., 1:, :] & mask[..., :-1, :]
        right = None if mask is None else mask[..., 1:] & mask[..., :-1]
        rows = mean_over(cubes.diff(dim=-2).square(), down)
        return rows + mean_over(cubes.diff(dim=-1).square(), right)
