# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Angle between true and predicted spectra."""

from torch import Tensor, nn

from ..physics.spectra import spectral_angle
from ._pixels import check_cubes, mean_over


class SpectralAngleLoss(nn.Module):
    """Mean spectral angle over valid pixels, in radians.

    It is blind to brightness: add it to an error of the values, as
    :class:`RestorationLoss` does. The angle and its gradient are those of
    :func:`torchgeo_hsi.physics.spectral_angle`, finite for equal spectra and for 0.

    * https://doi.org/10.1016/0034-4257(93)90013-N

    Example:
        >>> import torch
        >>> a, b = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
        >>> loss = SpectralAngleLoss()
        >>> loss(a[None, :, None, None], b[None, :, None, None])
        tensor(0.7854)
    """

    def __init__(self) -> None:
        """Initialize a new SpectralAngleLoss instance."""
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
            The mean angle over pixels whose true spectrum is not 0; 0 if there is none.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        known = (target != 0).any(1, keepdim=True)
        known = known if mask is None else known & mask
        angle = spectral_angle(
            input.masked_fill(~known, 0), target.masked_fill(~known, 0), dim=1
        )
        return mean_over(angle.unsqueeze(1), known)
