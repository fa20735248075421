# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""MAN: Mixed Attention Network, first generation."""

import torch
from torch import Tensor, nn

from ..._typing import PathLike
from ...layers.recurrence import BandStates, gated_recurrence
from ...layers.scene import ScenePool
from ...layers.spectral_unet import SpectralUNet
from ...layers.volume_conv import (
    VolumeConv,
    VolumeConvTranspose,
    VolumeUpsample,
    can_stream,
    stream_bands,
)
from ..api import register_model
from ..weights.restoration import load_restoration_weights
from ._voxel_mlp import VoxelGates, VoxelMLP, fuse, tanh_


class _PooledGate(nn.Module):
    """A factor for each channel, from the mean over the whole volume."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # the published keys count the pooling as layer 0
        self.sca = nn.Sequential(ScenePool(), VolumeConv(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self._factor(x) * x

    def _factor(self, x: Tensor) -> Tensor:
        mean = self.sca[0](x.movedim(-1, 2)).mean(1)
        factor: Tensor = self.sca[1](mean[:, None, None, None]).sigmoid()
        return factor

    def scale_(self, x: Tensor) -> Tensor:
        """Do the same in place, without gradients."""
        return x.mul_(self._factor(x))


class _MixedAttention(nn.Module):
    """Recurrence along the bands in one direction, and channel attention."""

    def __init__(self, channels: int, reverse: bool) -> None:
        super().__init__()
        self.reverse = reverse
        self.sca = _PooledGate(channels)
        self.ffn_f = VoxelMLP(channels)
        self.ffn_w = VoxelMLP(channels)

    def forward(self, x: Tensor) -> Tensor:
        candidate, gate = self.ffn_f(x).tanh(), self.ffn_w(x).sigmoid()
        y: Tensor = self.sca(gated_recurrence(candidate, gate, reverse=self.reverse))
        return y

    def stream(
        self, conv: VolumeConv | VolumeConvTranspose, x: Tensor, *, up: bool = False
    ) -> Tensor:
        """Attend to the output of a convolution, of which few bands exist at a time."""
        gates = VoxelGates(self.ffn_f, self.ffn_w)
        images = []
        for image in x:
            states = BandStates(self.reverse, len(image))
            for place, y in conv.stream(image, up=up, reverse=self.reverse):
                (candidate,), (keep,) = gates(y)
                states.step(place, candidate, keep)
            images.append(states.all)
        return self.sca.scale_(torch.stack(images) if len(x) > 1 else images[0][None])


class _TwoWayAttention(nn.Module):
    """Recurrences along the bands in both directions, and channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sca = _PooledGate(channels)
        self.ffn_f = VoxelMLP(channels)
        self.ffn_w = VoxelMLP(channels)
        self.ffn_w2 = VoxelMLP(channels)

    def forward(self, x: Tensor) -> Tensor:
        if can_stream(x):
            return self._stream(x)
        candidate = self.ffn_f(x).tanh()
        states = gated_recurrence(candidate, self.ffn_w(x).sigmoid())
        others = gated_recurrence(candidate, self.ffn_w2(x).sigmoid(), reverse=True)
        y: Tensor = self.sca(states + others)
        return y

    def _stream(self, x: Tensor) -> Tensor:
        """Do the same a few bands at a time."""
        total = torch.empty_like(x)
        forward = VoxelGates(self.ffn_f, self.ffn_w)
        backward = VoxelGates(self.ffn_f, self.ffn_w2)
        for image, out in zip(x, total, strict=True):
            states = BandStates(reverse=False)
            for place, y in stream_bands(image):
                (candidate,), (keep,) = forward(y)
                out[place] = states.step(place, candidate, keep)
            states = BandStates(reverse=True)
            for place, y in stream_bands(image, reverse=True):
                (candidate,), (keep,) = backward(y)
                out[place] += states.step(place, candidate, keep)
        return self.sca.scale_(total)


class _Block(nn.Module):
    """Convolution and mixed attention, after doubling the size where *up* says so."""

    def __init__(
        self,
        conv: VolumeConv | VolumeConvTranspose,
        channels: int,
        reverse: bool,
        up: bool = False,
    ) -> None:
        super().__init__()
        if up:
            self.up = VolumeUpsample()
        self.has_up = up
        self.conv = conv
        self.attn = _MixedAttention(channels, reverse)

    def forward(self, x: Tensor) -> Tensor:
        if can_stream(x):
            return self.attn.stream(self.conv, x, up=self.has_up)
        if self.has_up:
            x = self.up(x)
        y: Tensor = self.attn(self.conv(x))
        return y


class _SkipFusion(nn.Module):
    """Weigh the decoder's features and those of the encoder for each voxel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        mix = VolumeConv(2 * channels, channels, 1)
        conv = VolumeConv(channels, channels, 3, padding=1)
        self.conv_weight = nn.Sequential(mix, nn.Tanh(), conv)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if can_stream(x):
            return fuse(x, skip, self.conv_weight, tanh_)
        weight = self.conv_weight(torch.cat((x, skip), -1)).sigmoid()
        return torch.lerp(x, skip, weight)


class MANv1(SpectralUNet):
    """Mixed Attention Network, first generation, to which the released weights belong.

    A U-shaped network of 3-D convolutions, each followed by a gated recurrence along
    the bands, in alternating directions, and by channel attention that pools over the
    whole volume. There are no normalization layers; any number of bands works.

    Keys of the state dict are those of the published checkpoints. From:

    * https://doi.org/10.48550/arXiv.2301.11525

    Args:
        channels: Channels of the first layer.
        num_layers: Layers of the encoder, and of the decoder.
        sampled: Positions of the layers that halve rows and columns.

    Example:
        >>> model = MANv1(channels=8).eval()
        >>> model(torch.rand(1, 31, 30, 50)).shape
        torch.Size([1, 31, 30, 50])
    """

    needs_scene = True

    def __init__(
        self, channels: int = 16, num_layers: int = 5, sampled: tuple[int, ...] = (1, 3)
    ) -> None:
        """Initialize a new MANv1 instance."""
        super().__init__(channels, num_layers, sampled, noise_map=False)
        self.head = nn.Sequential(
            VolumeConv(1, channels, 3, padding=1, bias=False),
            _TwoWayAttention(channels),
        )
        self._build((self._same, self._mirrored), self._down, self._up, _SkipFusion)
        self.tail = nn.Sequential(
            VolumeConvTranspose(channels, 1, 3, padding=1), _TwoWayAttention(1)
        )

    def _same(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)
        return _Block(conv, out_channels, reverse=position % 2 == 1)

    def _down(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(
            in_channels, out_channels, 3, stride=(1, 2, 2), padding=1, bias=False
        )
        return _Block(conv, out_channels, reverse=position % 2 == 1)

    def _mirrored(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConvTranspose(in_channels, out_channels, 3, padding=1, bias=False)
        return _Block(conv, out_channels, reverse=position % 2 == 0)

    def _up(self, in_channels: int, out_channels: int, position: int) -> _Block:
        conv = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)
        return _Block(conv, out_channels, reverse=position % 2 == 0, up=True)


def _man_v1(
    weights: PathLike | None,
    name: str,
    channels: int = 16,
    num_layers: int = 5,
    sampled: tuple[int, ...] = (1, 3),
) -> MANv1:
    model = MANv1(channels, num_layers, sampled)
    if weights is not None:
        load_restoration_weights(model, weights, name=name)
    return model


@register_model
def man_v1_s(weights: PathLike | None = None) -> MANv1:
    """Build the small :class:`MANv1`, 0.21 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.

    Returns:
        The model.
    """
    return _man_v1(weights, 'man_v1_s', channels=8)


@register_model
def man_v1_m(weights: PathLike | None = None) -> MANv1:
    """Build the medium :class:`MANv1`, 0.46 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.

    Returns:
        The model.
    """
    return _man_v1(weights, 'man_v1_m', channels=12)


@register_model
def man_v1(weights: PathLike | None = None) -> MANv1:
    """Build the standard :class:`MANv1`, 0.82 million parameters.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.

    Returns:
        The model.
    """
    return _man_v1(weights, 'man_v1')


@register_model
def man_v1_b(weights: PathLike | None = None) -> MANv1:
    """Build the deep :class:`MANv1`, 3.37 million parameters, MAN-B of the paper.

    Args:
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.

    Returns:
        The model.
    """
    return _man_v1(weights, 'man_v1_b', num_layers=7, sampled=(1, 3, 5))
