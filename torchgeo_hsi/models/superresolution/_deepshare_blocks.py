# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blocks of DeepShare: residual layers in space, then along the channels."""

import torch
from torch import Tensor, nn

#: Channels for each of those in between of the channel attention.
_REDUCTION = 16


class _ChannelAttention(nn.Module):
    """Weigh each channel by what its mean, and those of the others, say."""

    def __init__(self, features: int) -> None:
        super().__init__()
        inner = max(1, features // _REDUCTION)
        self.conv_du = nn.Sequential(
            nn.Conv2d(features, inner, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, features, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.conv_du(x.mean((2, 3), keepdim=True))
        return y


class _Residual(nn.Module):
    """Add a share of what some layers find."""

    def __init__(self, body: nn.Sequential, share: float) -> None:
        super().__init__()
        self.body = body
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x), alpha=self.share)


class _SpatialSpectral(nn.Module):
    """A residual layer of 3 x 3 pixels, then one of the channels of each pixel."""

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        space = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, padding=1),
        )
        channels = nn.Sequential(
            nn.Conv2d(features, features, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 1),
            _ChannelAttention(features),
        )
        self.spa = _Residual(space, share)
        self.spc = _Residual(channels, share)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.spc(self.spa(x))
        return y


class _SpatialSpectralNetwork(nn.Module):
    """Three such blocks, and their input."""

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        self.net1 = _SpatialSpectral(features, share)
        self.net2 = _SpatialSpectral(features, share)
        self.net3 = _SpatialSpectral(features, share)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.net3(self.net2(self.net1(x)))
        return y


class BranchUnit(nn.Module):
    """A part of DeepShare: features, and maybe more pixels.

    Args:
        in_channels: Channels of the input.
        features: Channels inside.
        scale: Factor of rows and columns, a power of 2.
        share: Factor of what residual layers add.
        out_channels: Channels of the output; those inside by default.
    """

    def __init__(
        self,
        in_channels: int,
        features: int,
        scale: int,
        share: float,
        out_channels: int | None = None,
    ) -> None:
        """Initialize a new BranchUnit instance."""
        super().__init__()
        self.head = nn.Conv2d(in_channels, features, 3, padding=1)
        self.body = _SpatialSpectralNetwork(features, share)
        steps: list[nn.Module] = []
        while scale > 1:
            conv = nn.Conv2d(features, 4 * features, 3, padding=1)
            steps += [conv, nn.PixelShuffle(2)]
            scale //= 2
        self.upsample = nn.Sequential(*steps)
        self.tail = (
            None
            if out_channels is None
            else nn.Conv2d(features, out_channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute features.

        Args:
            x: Images of shape ``(B, C, h, w)``.

        Returns:
            Images of shape ``(B, C', scale * h, scale * w)``.
        """
        y: Tensor = self.upsample(self.body(self.head(x)))
        return y if self.tail is None else self.tail(y)
