# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Variation between neighboring bands."""

from torch import Tensor, nn

from ._pixels import check_cubes, mean_over, real_cubes


class SpectralVariationLoss(nn.Module):
    """Twice the mean squared difference between neighboring bands.

    The squared total variation of predicted spectra, whatever the truth is: it makes
    them smooth. The factor of 2 is that of the papers' code, which makes up for there
    being one direction instead of two.

    * https://arxiv.org/abs/2005.08752 (SSPSR)
    * https://arxiv.org/abs/2101.07589 (HSISR), with a weight of 0.001

    Example:
        >>> import torch
        >>> ramp = torch.arange(5.0).view(1, 5, 1, 1).expand(1, 5, 8, 8)
        >>> SpectralVariationLoss()(ramp, ramp)
        tensor(2.)
    """

    def __init__(self) -> None:
        """Initialize a new SpectralVariationLoss instance."""
        super().__init__()

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape, which do not matter.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            Twice the mean; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        cubes = real_cubes(input, mask)
        return 2 * mean_over(cubes.diff(dim=1).square(), mask)
