# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Error of differences between neighbors."""

from torch import Tensor, nn

from ._pixels import check_cubes, error_of, mean_over


class GradientLoss(nn.Module):
    """Mean absolute error of the differences between neighboring pixels and bands.

    It weighs edges, and the shape of spectra, more than an error of the values does,
    and stripes more than anything else. The differences are signed, in contrast to the
    paper, which compares their absolute values.

    * https://arxiv.org/abs/1511.05440

    Args:
        spectral: Weight of differences between bands; those between rows and between
            columns have a weight of 1.

    Example:
        >>> import torch
        >>> truth = torch.zeros(1, 5, 8, 8)
        >>> striped = truth.clone()
        >>> striped[..., ::2] = 0.5
        >>> GradientLoss()(striped, truth)
        tensor(0.5000)
    """

    def __init__(self, spectral: float = 1.0) -> None:
        """Initialize a new GradientLoss instance.

        Raises:
            ValueError: If the weight is negative.
        """
        super().__init__()
        if not spectral >= 0:
            raise ValueError(f'Expected a weight of 0 or more, got {spectral}.')
        self.spectral = spectral

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default. A
                difference counts if both of its pixels do.

        Returns:
            The sum of the means over the three directions; 0 if nothing counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        error = error_of(input, target, mask)
        down = None if mask is None else mask[..., 1:, :] & mask[..., :-1, :]
        right = None if mask is None else mask[..., 1:] & mask[..., :-1]
        loss = mean_over(error.diff(dim=-2).abs(), down)
        loss = loss + mean_over(error.diff(dim=-1).abs(), right)
        if self.spectral:
            loss = loss + self.spectral * mean_over(error.diff(dim=1).abs(), mask)
        return loss
