# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""MAN: Mixed Attention Network, second generation."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._typing import PathLike
from ...layers.recurrence import BandStates, gated_recurrence
from ...layers.spectral_unet import SpectralUNet
from ...layers.volume_conv import VolumeConv, VolumeUpsample, can_stream
from ..api import register_model
from ..weights.restoration import load_restoration_weights
from ._voxel_mlp import VoxelGates, VoxelMLP, fuse

_SLOPE = 0.01


class _BandRecurrence(nn.Module):
    """Recurrent attention: half of the channels run up the bands, half run down."""

    def __init__(self, channels: int, reverse: bool) -> None:
        super().__init__()
        self.reverse = reverse
        self.ffn1 = VoxelMLP(channels)
        self.ffn2 = VoxelMLP(channels)

    def forward(self, x: Tensor) -> Tensor:
        candidates, gates = self.ffn1.halves(x), self.ffn2.halves(x)
        directions = (self.reverse, not self.reverse)
        halves = [
            gated_recurrence(candidate.tanh(), gate.sigmoid(), reverse=reverse)
            for candidate, gate, reverse in zip(
                candidates, gates, directions, strict=True
            )
        ]
        return torch.cat(halves, -1)

    def stream(
        self, parts: Iterator[tuple[slice, Tensor]], bands: int
    ) -> Iterator[tuple[slice, Tensor]]:
        """Take volumes a few bands at a time, and give the states that way back.

        Args:
            parts: Places of bands, in the direction of the first half, and their
                values.
            bands: Number of bands.
        """
        compute = VoxelGates(self.ffn1, self.ffn2, halves=True)
        first = BandStates(self.reverse, bands)
        second = BandStates(not self.reverse)
        kept = []
        for place, x in parts:
            (candidate, other), (gate, other_gate) = compute(x)
            first.step(place, candidate, gate)
            kept.append((place, other, other_gate))
        while kept:
            place, candidate, gate = kept.pop()
            states = second.step(place, candidate, gate)
            yield place, torch.cat((first.all[place], states), -1)


class _ChannelAttention(nn.Module):
    """Progressive attention on the channels of each voxel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w_1 = VolumeConv(channels, 2 * channels, 1, bias=False)
        self.w_2 = VolumeConv(2 * channels, channels, 1, bias=False)
        self.w_3 = VolumeConv(channels, channels, 1, bias=False)
        nn.init.zeros_(self.w_3.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addcmul(x, self.w_3(x), x)
        y: Tensor = self.w_2(F.gelu(self.w_1(x)))
        return y

    def stream(self, x: Tensor) -> Tensor:
        """Do the same in place, without gradients."""
        rows = x.flatten(0, -2)
        w_1, w_2, w_3 = (w.weight.flatten(1).T for w in (self.w_1, self.w_2, self.w_3))
        rows.addcmul_(rows @ w_3, rows)
        hidden = torch.ops.aten.gelu_(rows @ w_1)
        return torch.mm(hidden, w_2, out=rows).view_as(x)


class _UpConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample_layer = VolumeUpsample()
        self.conv3d = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3d(self.upsample_layer(x))
        return y


class _Block(nn.Module):
    """Convolution, recurrence along the bands, attention on the channels."""

    def __init__(
        self, conv: VolumeConv | _UpConv, channels: int, reverse: bool
    ) -> None:
        super().__init__()
        self.conv = conv
        self.inter_sa = _BandRecurrence(channels, reverse)
        self.intra_sa = _ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        if can_stream(x):
            images = [self._stream(image) for image in x]
            return torch.stack(images) if len(x) > 1 else images[0][None]
        y: Tensor = self.intra_sa(self.inter_sa(self.conv(x)))
        return y

    def _stream(self, x: Tensor) -> Tensor:
        up = isinstance(self.conv, _UpConv)
        conv = self.conv.conv3d if isinstance(self.conv, _UpConv) else self.conv
        parts = conv.stream(x, up=up, reverse=self.inter_sa.reverse)
        out: Tensor | None = None
        for place, y in self.inter_sa.stream(parts, len(x)):
            if out is None:
                out = y.new_empty(len(x), *y.shape[1:])
            out[place] = self.intra_sa.stream(y)
        assert out is not None
        return out


class _SkipFusion(nn.Module):
    """Weigh the decoder's features and those of the encoder for each voxel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        mix = VolumeConv(2 * channels, channels, 1)
        conv = VolumeConv(channels, channels, 3, padding=1)
        self.weight = nn.Sequential(mix, nn.LeakyReLU(_SLOPE), conv)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if can_stream(x):
            activate = partial(F.leaky_relu_, negative_slope=_SLOPE)
            return fuse(x, skip, self.weight, activate)
        weight = self.weight(torch.cat((x, skip), -1)).sigmoid()
        return torch.lerp(x, skip, weight)


class MAN(SpectralUNet):
    """Mixed Attention Network, second generation.

    A U-shaped network of 3-D convolutions, each followed by a gated recurrence along
    the bands, half of the channels in each direction, and by attention on the channels
    of each voxel. There are no normalization layers and nothing is pooled, so any
    number of bands works, and an image is denoised like each of its parts, but for the
    interpolation, see :class:`~torchgeo_hsi.layers.VolumeUpsample`.

    The released checkpoints of this method are those of the first generation, see
    :class:`MANv1`. From:

    * https://doi.org/10.48550/arXiv.2301.11525

    Args:
        channels: Channels of the first layer.
        num_layers: Layers of the encoder, and of the decoder.
        sampled: Positions of the layers that halve rows and columns.
        noise_map: Whether the network is told the strength of the noise.

    Example:
        >>> model = MAN(channels=12).eval()
        >>> model(torch.rand(1, 202, 30, 50)).shape
        torch.Size([1, 202, 30, 50])
    """

    def __init__(
        self,
        channels: int = 16,
        num_layers: int = 5,
        sampled: tuple[int, ...] = (1, 3),
        noise_map: bool = False,
    ) -> None:
        """Initialize a new MAN instance."""
        super().__init__(channels, num_layers, sampled, noise_map)
        conv = VolumeConv(1 + noise_map, channels, 3, padding=1, bias=False)
        self.head = _Block(conv, channels, reverse=False)
        self._build((self._same, self._mirrored), self._down, self._up, _SkipFusion)
        self.tail = VolumeConv(channels, 1, 3, padding=1)

    def _same(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)
        return _Block(conv, out_channels, reverse=position % 2 == 0)

    def _down(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(
            in_channels, out_channels, 3, stride=(1, 2, 2), padding=1, bias=False
        )
        return _Block(conv, out_channels, reverse=position % 2 == 0)

    def _is_reversed(self, position: int) -> bool:
        # the decoder starts like the encoder, and alternates
        return (self._num_layers - 1 - position) % 2 == 0

    def _mirrored(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)
        return _Block(conv, out_channels, self._is_reversed(position))

    def _up(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = _UpConv(in_channels, out_channels)
        return _Block(conv, out_channels, self._is_reversed(position))


def _man(channels: int, weights: PathLike | None, noise_map: bool, name: str) -> MAN:
    model = MAN(channels, noise_map=noise_map)
    if weights is not None:
        load_restoration_weights(model, weights, name=name)
    return model


@register_model
def man_s(weights: PathLike | None = None, noise_map: bool = False) -> MAN:
    """Build the small :class:`MAN`, 0.50 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.

    Returns:
        The model.
    """
    return _man(12, weights, noise_map, 'man_s')


@register_model
def man_m(weights: PathLike | None = None, noise_map: bool = False) -> MAN:
    """Build the medium :class:`MAN`, 0.89 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.

    Returns:
        The model.
    """
    return _man(16, weights, noise_map, 'man_m')


@register_model
def man_l(weights: PathLike | None = None, noise_map: bool = False) -> MAN:
    """Build the large :class:`MAN`, 1.39 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.

    Returns:
        The model.
    """
    return _man(20, weights, noise_map, 'man_l')
