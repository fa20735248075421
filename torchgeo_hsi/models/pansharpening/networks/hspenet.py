# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HSpeNet: details in densely connected layers."""

import torch
from torch import Tensor

from ...._typing import PathLike
from ...api import register_model
from ._fusion_network import FusionNetwork, build, reflected_conv

#: Channels of the PAN's branch and of each dense layer, and of the cube's branch.
_GROWTH = 16
_SPECTRAL = 64


class HSpeNet(FusionNetwork):
    """HSpeNet: details of the PAN and spectra, in densely connected layers.

    What two convolutions find in the PAN is taken from it; that and the reduced spectra
    go through five convolutions, each of which sees the results of all before it. The
    result is added to the interpolated cube. By its size, it is the second of the two
    published variants. As in the toolbox of the review, whose names the tensors have:

    * https://doi.org/10.48550/arXiv.2407.01355

    Example:
        >>> import torch
        >>> model = HSpeNet(in_channels=20).eval()
        >>> model(torch.rand(1, 20, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 20, 96, 96])
    """

    def __init__(self, in_channels: int, scale: float = 65536.0) -> None:
        """Initialize a new HSpeNet instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If *scale* is not positive.
        """
        super().__init__(in_channels, scale)
        self.conv1_2 = reflected_conv(1, _GROWTH, 3)
        self.conv2_2 = reflected_conv(_GROWTH, _GROWTH, 3)
        self.conv1_1 = reflected_conv(in_channels, _SPECTRAL, 1)
        self.conv2_1 = reflected_conv(_SPECTRAL, _SPECTRAL, 1)
        width = _SPECTRAL + _GROWTH
        self.conv3 = reflected_conv(width, _GROWTH, 3)
        self.conv4 = reflected_conv(width + _GROWTH, _GROWTH, 3)
        self.conv5 = reflected_conv(width + 2 * _GROWTH, _GROWTH, 3)
        self.conv6 = reflected_conv(width + 3 * _GROWTH, _GROWTH, 3)
        self.conv7 = reflected_conv(width + 4 * _GROWTH, _GROWTH, 3)
        self.conv8 = reflected_conv(width + 5 * _GROWTH, in_channels, 1)

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Interpolated cube of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Not used.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        details = pan - self.conv2_2(self.conv1_2(pan).relu()).relu()
        spectra = self.conv2_1(self.conv1_1(up).relu()).relu()
        stack = torch.cat([details, spectra], 1)
        for conv in (self.conv3, self.conv4, self.conv5, self.conv6, self.conv7):
            stack = torch.cat([stack, conv(stack).relu()], 1)
        fused: Tensor = self.conv8(stack) + up
        return fused


@register_model
def hspenet(
    in_channels: int, scale: float = 65536.0, weights: PathLike | None = None
) -> HSpeNet:
    """Build :class:`HSpeNet`, 0.12 million parameters for 159 bands.

    Args:
        in_channels: Bands of the cube.
        scale: Images are divided by it, and the result is multiplied by it: 65536 for
            digital numbers of PRISMA, 10000 for reflectance times 10,000.
        weights: Path of a checkpoint; random weights by default. The file of the toolbox
            is for 159 bands of PRISMA as digital numbers.

    Returns:
        The model.

    Raises:
        BandMismatchError: If the checkpoint is for another number of bands.
        CorruptFileError: If the checkpoint is damaged, or that of something else.

    Example:
        >>> hspenet(in_channels=159).conv8.weight.shape
        torch.Size([159, 160, 1, 1])
    """
    return build(HSpeNet(in_channels, scale), weights)
