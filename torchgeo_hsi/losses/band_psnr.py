# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Squared error on a logarithmic scale, band by band."""

import torch
from torch import Tensor, nn

from ._pixels import check_cubes, error_of


class BandPSNRLoss(nn.Module):
    r"""Mean over bands of :math:`10 \log_{10}(1 + \mathrm{MSE}_b / f^2)`, in decibels.

    For errors above the floor *f* that is a constant less the
    :class:`~torchgeo_hsi.metrics.MPSNR`: to halve the error of a dark band is worth as
    much as to halve that of a bright one. Below the floor, the gradient becomes small,
    so that bands that are nearly right do not take over. Restoration of photographs
    uses the same without a floor and over all channels:

    * https://doi.org/10.1109/CVPRW53098.2021.00027

    Args:
        floor: Error that is good enough, in the unit of the cubes.

    Example:
        >>> import torch
        >>> loss = BandPSNRLoss(floor=1e-3)
        >>> loss(torch.zeros(1, 5, 8, 8), torch.full((1, 5, 8, 8), 0.1))
        tensor(40.0004)
    """

    def __init__(self, floor: float = 1e-3) -> None:
        """Initialize a new BandPSNRLoss instance.

        Raises:
            ValueError: If *floor* is not positive.
        """
        super().__init__()
        if not floor > 0:
            raise ValueError(f'Expected a positive floor, got {floor}.')
        self.floor = floor

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            The mean over the bands of all images with a pixel that counts; 0 if there
            is none.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        total = error_of(input, target, mask).square().sum((2, 3))
        if mask is None:
            count = torch.full_like(total[:, :1], input[0, 0].numel())
        else:
            count = mask.sum((2, 3))
        ratio = total / count.clamp_min(1) / self.floor**2
        decibels = 10 * ratio.log1p() / torch.log(total.new_tensor(10.0))
        seen = (count > 0).expand_as(decibels)
        return torch.where(seen, decibels, 0).sum() / seen.sum().clamp_min(1)
