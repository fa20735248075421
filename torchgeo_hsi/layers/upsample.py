# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bilinear upsampling of volumes whose channels come last."""

from torch import Tensor, nn
from torch.nn import functional as F


class VolumeUpsample(nn.Module):
    """Double the rows and columns of volumes; the bands stay.

    The corners of input and output are aligned, as in the published networks: the
    distance of the samples then depends on the size of the image, so tiles of one
    scene should all be of one size.

    Example:
        >>> import torch
        >>> VolumeUpsample()(torch.rand(1, 31, 8, 8, 32)).shape
        torch.Size([1, 31, 16, 16, 32])
    """

    def __init__(self) -> None:
        """Initialize a new VolumeUpsample instance."""
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Upsample.

        Args:
            x: Volumes of shape ``(..., D, H, W, C)``.

        Returns:
            Volumes of shape ``(..., D, 2H, 2W, C)``.
        """
        return upsample(x)


def upsample(x: Tensor) -> Tensor:
    """Double the rows and columns of volumes, see :class:`VolumeUpsample`."""
    images = x.flatten(0, -4).permute(0, 3, 1, 2)
    images = F.interpolate(images, scale_factor=2, mode='bilinear', align_corners=True)
    return images.permute(0, 2, 3, 1).reshape(*x.shape[:-3], *images.shape[2:], -1)
