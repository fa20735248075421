# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The network of rho-PNN: three convolutions of one band and the PAN."""

import torch
from torch import Tensor, nn

#: Pixels around one that change it.
SCOPE = 8

#: Channels behind each convolution, and the rows and columns of its kernel.
_LAYERS = ((2, 48, 7), (48, 32, 7), (32, 1, 5))


class RhoNetwork(nn.Module):
    """Add the details of a PAN to one interpolated band, 80,849 parameters.

    Names and shapes of the weights are the published ones.

    * https://doi.org/10.1109/TGRS.2025.3583877

    Example:
        >>> network = RhoNetwork()
        >>> network(torch.rand(3, 1, 48, 48), torch.rand(1, 1, 48, 48)).shape
        torch.Size([3, 1, 48, 48])
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        """Initialize a new RhoNetwork instance.

        Args:
            generator: Source of the first weights, on the CPU; by default one with the
                seed 0, and never the global one.
        """
        super().__init__()
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        self.conv1, self.conv2, self.conv3 = (
            _convolution(*layer, generator) for layer in _LAYERS
        )

    def forward(self, up: Tensor, pan: Tensor) -> Tensor:
        """Sharpen single bands.

        Args:
            up: Interpolated bands of shape ``(N, 1, H, W)``.
            pan: PANs of shape ``(N, 1, H, W)`` or ``(1, 1, H, W)``.

        Returns:
            Bands of shape ``(N, 1, H, W)``.
        """
        stack = torch.cat([up, pan.expand_as(up)], 1)
        details: Tensor = self.conv3(self.conv2(self.conv1(stack).relu()).relu())
        return details.to(up.dtype) + up


def _convolution(
    inputs: int, outputs: int, size: int, generator: torch.Generator
) -> nn.Conv2d:
    layer: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, inputs, outputs, size, padding='same', padding_mode='reflect'
    )
    # as torch does by default, but not from the global source
    bound = (inputs * size * size) ** -0.5
    for values in (layer.weight, layer.bias):
        assert values is not None
        nn.init.uniform_(values, -bound, bound, generator=generator)
    return layer
