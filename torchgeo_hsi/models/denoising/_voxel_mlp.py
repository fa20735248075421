# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Two linear layers on the channels of each voxel, and what follows from them."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...layers.volume_conv import VolumeConv, stream_bands


class VoxelMLP(nn.Module):
    """Two linear layers on the channels of each voxel, with tanh between them.

    Args:
        channels: Channels of input, output and between.

    Example:
        >>> mlp = VoxelMLP(8)
        >>> mlp(torch.rand(1, 31, 4, 4, 8)).shape
        torch.Size([1, 31, 4, 4, 8])
        >>> sum(p.numel() for p in mlp.parameters())
        144
    """

    def __init__(self, channels: int) -> None:
        """Initialize a new VoxelMLP instance."""
        super().__init__()
        self.w_1 = VolumeConv(channels, channels, 1)
        self.w_2 = VolumeConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Transform voxels.

        Args:
            x: Volumes of shape ``(..., C)``.

        Returns:
            Volumes of the same shape.
        """
        y: Tensor = self.w_2(self.w_1(x).tanh())
        return y

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Transform voxels, each half of the channels into an array of its own.

        Args:
            x: Volumes of shape ``(..., C)``.

        Returns:
            Volumes of shape ``(..., C / 2)``.
        """
        hidden = self.w_1(x).tanh()
        weights, biases = self.w_2.weight.flatten(1).chunk(2), _bias(self.w_2).chunk(2)
        first, second = map(partial(F.linear, hidden), weights, biases)
        return first, second


class VoxelGates:
    """Candidate and gates of a recurrence, of which a CPU computes sigmoids alone.

    There, tanh takes six times as long as the sigmoid, of which it is a scaled and
    shifted copy; the weights of the next layer make up for that. Without gradients.

    Args:
        candidate: Network behind which stands a tanh.
        gates: Networks behind each of which stands a sigmoid.
        halves: Whether each half of the channels gets an array of its own.
    """

    def __init__(
        self, candidate: VoxelMLP, *gates: VoxelMLP, halves: bool = False
    ) -> None:
        """Initialize a new VoxelGates instance."""
        self._layers = []
        for mlp in (candidate, *gates):
            inner, outer = (conv.weight.flatten(1) for conv in (mlp.w_1, mlp.w_2))
            bias = _bias(mlp.w_2) - outer.sum(1)
            scale = 2 if mlp is candidate else 1
            parts = zip(
                (2 * scale * outer).chunk(2 if halves else 1),
                (scale * bias).chunk(2 if halves else 1),
                strict=True,
            )
            self._layers.append((2 * inner, 2 * _bias(mlp.w_1), list(parts)))

    def __call__(self, x: Tensor) -> list[list[Tensor]]:
        """Compute candidate and gates.

        Args:
            x: Volumes of shape ``(..., C)``.

        Returns:
            For candidate and gates, one volume of shape ``(..., C)`` or two of shape
            ``(..., C / 2)``.
        """
        rows, shape = x.reshape(-1, x.shape[-1]), x.shape[:-1]
        values = []
        for inner, bias, parts in self._layers:
            hidden = torch.addmm(bias, rows, inner.T).sigmoid_()
            values.append(
                [
                    torch.addmm(b, hidden, w.T).sigmoid_().view(*shape, len(b))
                    for w, b in parts
                ]
            )
        for candidate in values[0]:
            candidate.mul_(2).sub_(1)
        return values


def tanh_(x: Tensor) -> Tensor:
    """Take the tanh in place, on a CPU in a third of the time of torch's own.

    The error is that of one rounding of numbers near 1, also where the result is small.
    """
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def fuse(
    x: Tensor, skip: Tensor, layers: nn.Sequential, activate: Callable[[Tensor], Tensor]
) -> Tensor:
    """Weigh two volumes against each other, in place of the first, without gradients.

    Args:
        x: Volumes of shape ``(B, D, H, W, C)``; overwritten.
        skip: Volumes of the same shape.
        layers: Linear layer on the channels of both, ``2 C`` to ``C``, an activation,
            and a convolution, whose sigmoid is the weight of *skip*.
        activate: The activation, in place.

    Returns:
        *x*.
    """
    mix, conv = layers[0], layers[2]
    assert isinstance(mix, VolumeConv)
    assert isinstance(conv, VolumeConv)
    left, right = mix.weight.flatten(1).chunk(2, 1)
    for image, other in zip(x, skip, strict=True):
        hidden = torch.empty_like(image)
        for place, part in stream_bands(image):
            rows = torch.addmm(_bias(mix), part.flatten(0, 2), left.T)
            rows.addmm_(other[place].flatten(0, 2), right.T)
            hidden[place] = activate(rows).view_as(part)
        for place, y in conv.stream(hidden):
            torch.lerp(image[place], other[place], y.sigmoid_(), out=image[place])
    return x


def _bias(conv: nn.Conv3d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
