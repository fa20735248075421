# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HyperPNN: spectra first, then details."""

import torch
from torch import Tensor

from ...._typing import PathLike
from ...api import register_model
from ._fusion_network import FusionNetwork, build, reflected_conv


class HyperPNN(FusionNetwork):
    """HyperPNN: convolutions of spectra, then of neighborhoods together with the PAN.

    Two convolutions of single pixels reduce the spectra to 64 channels, three of 3 x 3
    pixels take the PAN in, and two of single pixels make spectra of them again. The cube
    is not added to the result, so all of it has to be learned. As in the toolbox of the
    review, whose names the tensors have:

    * https://doi.org/10.48550/arXiv.2407.01355

    Example:
        >>> import torch
        >>> model = HyperPNN(in_channels=20).eval()
        >>> model(torch.rand(1, 20, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 20, 96, 96])
    """

    def __init__(self, in_channels: int, scale: float = 65536.0) -> None:
        """Initialize a new HyperPNN instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If *scale* is not positive.
        """
        super().__init__(in_channels, scale)
        self.conv1 = reflected_conv(in_channels, 64, 1)
        self.conv2 = reflected_conv(64, 64, 1)
        self.conv3 = reflected_conv(65, 64, 3)
        self.conv4 = reflected_conv(64, 64, 3)
        self.conv5 = reflected_conv(64, 64, 3)
        self.conv6 = reflected_conv(64, 64, 1)
        self.conv7 = reflected_conv(64, in_channels, 1)

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Interpolated cube of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Not used.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        spectra = self.conv2(self.conv1(up).relu()).relu()
        details = torch.cat([pan, spectra], 1)
        for conv in (self.conv3, self.conv4, self.conv5):
            details = conv(details).relu()
        fused: Tensor = self.conv7(self.conv6(details + spectra).relu())
        return fused


@register_model
def hyperpnn(
    in_channels: int, scale: float = 65536.0, weights: PathLike | None = None
) -> HyperPNN:
    """Build :class:`HyperPNN`, 0.14 million parameters for 159 bands.

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
        >>> hyperpnn(in_channels=159).conv7.weight.shape
        torch.Size([159, 64, 1, 1])
    """
    return build(HyperPNN(in_channels, scale), weights)
