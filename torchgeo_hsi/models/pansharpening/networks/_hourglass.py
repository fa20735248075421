# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks that make an image from noise, and how they are fitted to one image."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._fusion_network import reflected_conv

#: Channels of all layers, of the connections between both sides, and levels.
WIDTH = 128
_SKIP = 4
_LEVELS = 5

#: Images are made with a multiple of so many rows and columns, and cut. One level
#: more than the network has: normalization needs more than one pixel.
_DIVISOR = 2**_LEVELS
_LEAST = 2 * _DIVISOR

#: Largest value of the noise that the networks start from.
_NOISE = 0.1


class Hourglass(nn.Module):
    """A network that goes down five levels and up again, with thin connections."""

    def __init__(
        self,
        stem: nn.Module,
        down: Callable[[int], nn.Module],
        up: Callable[[int], nn.Module],
        out_channels: int,
        slope: float,
        in_channels: int = WIDTH,
    ) -> None:
        """Initialize a new Hourglass instance.

        Args:
            stem: What comes before the first level.
            down: Builds a step down from its number of channels.
            up: Builds a step up from its number of channels.
            out_channels: Channels of the result.
            slope: Slope of the activations for negative values.
            in_channels: Channels behind *stem*.
        """
        super().__init__()
        self.stem = stem
        widths = [in_channels] + [WIDTH] * (_LEVELS - 1)
        self.down = nn.ModuleList(down(width) for width in widths)
        self.skip = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, _SKIP, 1), nn.BatchNorm2d(_SKIP), nn.LeakyReLU(slope)
            )
            for _ in range(_LEVELS)
        )
        self.up = nn.ModuleList(up(WIDTH + _SKIP) for _ in range(_LEVELS))
        self.head = nn.Conv2d(WIDTH, out_channels, 1)

    def forward(self, noise: Tensor) -> Tensor:
        """Make an image.

        Args:
            noise: Noise of shape ``(1, N, H, W)``, of whole steps.

        Returns:
            Image of shape ``(1, C, H, W)``.
        """
        image = self.stem(noise)
        levels = []
        for down, skip in zip(self.down, self.skip, strict=True):
            image = down(image)
            levels.append(skip(image))
        for up, level in zip(self.up, reversed(levels), strict=True):
            image = up(torch.cat([image, level], 1))
        made: Tensor = self.head(image)
        return made


def conv_block(in_channels: int, slope: float, stride: int = 1) -> list[nn.Module]:
    """Build a convolution with normalization and activation.

    Args:
        in_channels: Channels of the input.
        slope: Slope of the activation for negative values.
        stride: Step of the convolution.

    Returns:
        The layers.
    """
    conv = reflected_conv(in_channels, WIDTH, 3)
    conv.stride = (stride, stride)
    return [conv, nn.BatchNorm2d(WIDTH), nn.LeakyReLU(slope)]


def build_on(
    device: torch.device, seed: int, builder: Callable[[], nn.Module]
) -> tuple[nn.Module, torch.Generator]:
    """Build networks with weights that depend on a seed and on nothing else.

    Args:
        device: Where they go.
        seed: The seed.
        builder: Builds them.

    Returns:
        The networks, in float32, and the generator, for more numbers.
    """
    rng = torch.Generator().manual_seed(seed)
    # without memory no random numbers are drawn, so the generator of torch stays as it is
    with torch.device('meta'):
        network = builder()
    network.to_empty(device='cpu')
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters(recurse=False):
                nn.init.uniform_(parameter, -bound, bound, generator=rng)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return network.to(device).train(), rng


def make_noise(
    channels: int, size: tuple[int, int], rng: torch.Generator, device: torch.device
) -> Tensor:
    """Draw the noise that a network makes an image from.

    Args:
        channels: Channels of the noise.
        size: Rows and columns of the image.
        rng: Random numbers.
        device: Where the noise goes.

    Returns:
        Noise of shape ``(1, channels, H, W)``, of whole steps and at least the size.
    """
    rows, cols = (
        max(math.ceil(length / _DIVISOR) * _DIVISOR, _LEAST) for length in size
    )
    return (torch.rand(1, channels, rows, cols, generator=rng) * _NOISE).to(device)


def fit(
    network: nn.Module,
    rate: float,
    steps: int,
    loss: Callable[[], Tensor],
    drop: int | None = None,
) -> None:
    """Fit a network to one image.

    Args:
        network: The network; it is changed.
        rate: Learning rate of Adam.
        steps: Number of steps.
        loss: Computes what to minimize.
        drop: Step from which on the rate is a tenth; never by default.
    """
    adam = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        if step == drop:
            adam.param_groups[0]['lr'] = rate / 10
        adam.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        adam.step()


class Double(nn.Module):
    """Bilinear interpolation on twice as many rows and columns."""

    def forward(self, image: Tensor) -> Tensor:
        """Double rows and columns.

        Args:
            image: Image of shape ``(B, C, H, W)``.

        Returns:
            Image of shape ``(B, C, 2 * H, 2 * W)``.
        """
        return F.interpolate(
            image, scale_factor=2, mode='bilinear', align_corners=False
        )
