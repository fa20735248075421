# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hyper-DSNet: many kinds of edges, and deep next to shallow features."""

import torch
from torch import Tensor, nn

from ...._typing import PathLike
from ...api import register_model
from ._edge_filters import EdgeFilters
from ._fusion_network import FusionNetwork, build

#: Images beside the bands: the PAN, two differences and four kinds of edges.
_EDGES = 7


class _MultiScale(nn.Module):
    """Convolutions of three sizes, side by side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(in_channels, 16, 5, padding=2)
        self.conv3 = nn.Conv2d(in_channels, 16, 7, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        parts = [conv(image).relu() for conv in (self.conv1, self.conv2, self.conv3)]
        return torch.cat(parts, 1)


class _DeepShallow(nn.Module):
    """Ever narrower convolutions; the result has those of all depths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(48, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 8, 3, padding=1)
        self.conv4 = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        parts = [image]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            parts.append(conv(parts[-1]).relu())
        return torch.cat(parts, 1)


class _BandGates(nn.Module):
    """One factor for each band, from the mean spectrum."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        # never less than one channel, also for cubes of a few bands
        hidden = max(in_channels // 4, 1)
        self.conv_du = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, in_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, cube: Tensor) -> Tensor:
        gates: Tensor = self.conv_du(cube.mean((-2, -1), keepdim=True))
        return gates


class HyperDSNet(FusionNetwork):
    """Hyper-DSNet: edges of the PAN by several operators, deep and shallow features.

    Next to the bands and the PAN, the network gets first differences of the PAN and its
    edges by Roberts, Prewitt, Sobel and Laplace; their filters are fixed. What it finds
    is multiplied with one factor for each band, which follows from the mean spectrum of
    the cube, and added to the interpolated cube. As in the toolbox of the review, whose
    names the tensors have:

    * https://doi.org/10.48550/arXiv.2407.01355

    The maximum of the PAN and the mean spectrum are those of the input, so the result
    for a crop is not quite the crop of the result.

    Example:
        >>> import torch
        >>> model = HyperDSNet(in_channels=20).eval()
        >>> model(torch.rand(1, 20, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 20, 96, 96])
    """

    def __init__(self, in_channels: int, scale: float = 65536.0) -> None:
        """Initialize a new HyperDSNet instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If *scale* is not positive.
        """
        super().__init__(in_channels, scale)
        self.block1 = EdgeFilters()
        self.block2 = _MultiScale(in_channels + _EDGES)
        self.block3 = _DeepShallow()
        self.CA = _BandGates(in_channels)
        self.convlast = nn.Conv2d(112, in_channels, 1)

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Interpolated cube of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Cube of shape ``(B, C, h, w)``.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        stack = torch.cat([self.block1(pan), up], 1)
        details = self.convlast(self.block3(self.block2(stack)))
        fused: Tensor = details * self.CA(cube) + up
        return fused


@register_model
def hyper_dsnet(
    in_channels: int, scale: float = 65536.0, weights: PathLike | None = None
) -> HyperDSNet:
    """Build :class:`HyperDSNet`, 0.27 million parameters for 159 bands.

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
        >>> hyper_dsnet(in_channels=159).convlast.weight.shape
        torch.Size([159, 112, 1, 1])
    """
    return build(HyperDSNet(in_channels, scale), weights)
