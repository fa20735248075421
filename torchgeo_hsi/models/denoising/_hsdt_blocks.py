# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blocks of HSDT."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...layers.scene import ScenePool
from ...layers.volume_conv import (
    VolumeConv,
    VolumeUpsample,
    can_stream,
    chunk_bands,
    chunk_pixels,
    conv_images,
    stream_conv,
    window,
)

_SLOPE = 0.01


class SeparableConv(nn.Module):
    """Two 1 x 3 x 3 convolutions and, next to them, a 3 x 1 x 1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        flat, deep = (1, 3, 3), (3, 1, 1)
        convs = [
            VolumeConv(channels, out_channels, flat, padding=(0, 1, 1), bias=False)
            for channels in (in_channels, out_channels)
        ]
        self.dw_conv = nn.Sequential(
            convs[0], nn.LeakyReLU(_SLOPE), convs[1], nn.LeakyReLU(_SLOPE)
        )
        self.pw_conv = VolumeConv(
            in_channels, out_channels, deep, padding=(1, 0, 0), bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dw_conv(x) + self.pw_conv(x)
        return y

    def stream(
        self, x: Tensor, scale: Tensor, shift: Tensor
    ) -> Iterator[tuple[slice, Tensor]]:
        """Convolve a volume a few bands at a time, then scale and shift it."""
        first, second = (
            weight[:, :, 0].contiguous(memory_format=torch.channels_last)
            for weight in self.dw_conv.parameters()
        )
        taps = (self.pw_conv.weight.flatten(2) * scale[:, None, None]).permute(2, 1, 0)
        step = chunk_bands(x, channels=len(scale))
        for start in range(0, len(x), step):
            place = slice(start, min(start + step, len(x)))
            part = window(x, start, place.stop)
            y = F.leaky_relu_(conv_images(part[1:-1], first), _SLOPE)
            y = F.leaky_relu_(conv_images(y, second), _SLOPE)
            total = shift
            for tap, band in enumerate(taps):
                rows = part[tap : tap + len(y)].flatten(0, 2)
                total = torch.addmm(total, rows, band)
            yield place, torch.addcmul(total.view_as(y), y, scale)


class _GuidedAttention(nn.Module):
    """Attention between the bands, the same for all pixels, with a learned query."""

    def __init__(self, channels: int, num_bands: int, flex: bool) -> None:
        super().__init__()
        self.num_bands = num_bands
        self.flex = flex
        self.pool = ScenePool()
        self.attn_proj = nn.Linear(channels, num_bands)
        self.value_proj = nn.Linear(channels, channels, bias=False)
        self.fc = nn.Linear(channels, channels, bias=False)

    def attention(self, x: Tensor) -> Tensor:
        """Return how much each band takes from each other one, ``(B, D, D)``."""
        tokens = self.pool(x.movedim(-1, 2))
        if x.shape[1] != self.num_bands or (self.flex and not self.training):
            scores = tokens @ tokens.mT
            if self.training:
                # several processes wait for the gradient of every parameter
                unused = self.attn_proj.weight.sum() + self.attn_proj.bias.sum()
                scores = scores + 0 * unused
        else:
            scores = self.attn_proj(tokens)
            if self.training:
                # both ways are trained, so that all parameters get a gradient always
                guided = torch.rand((), device=x.device) < 0.5
                scores = torch.where(guided, tokens @ tokens.mT, scores)
        attention: Tensor = scores.softmax(-1)
        return attention

    def forward(self, x: Tensor) -> Tensor:
        attention = self.attention(x)
        # mixing bands and mixing channels commute
        values = F.linear(x, self.mixer()).flatten(2)
        y: Tensor = x + torch.bmm(attention, values).view_as(x)
        return y

    def mixer(self) -> Tensor:
        """Return what is done to the channels of the attended features."""
        return self.fc.weight @ self.value_proj.weight


class _GatedFFN(nn.Module):
    """Two layers, and a gated linear one next to them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(channels, 2 * channels)
        self.w_2 = nn.Linear(2 * channels, channels)
        self.w_3 = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.w_2(F.gelu(self.w_1(x))) + F.glu(self.w_3(x), -1)
        return y

    def rows(self, x: Tensor) -> Tensor:
        """Do the same to voxels, ``(N, C)``, with little memory and no gradients."""
        hidden = torch.ops.aten.gelu_(torch.addmm(self.w_1.bias, x, self.w_1.weight.T))
        linear, gate = (
            torch.addmm(bias, x, weight.T)
            for weight, bias in zip(
                self.w_3.weight.chunk(2), self.w_3.bias.chunk(2), strict=True
            )
        )
        gated = torch.addcmul(self.w_2.bias, linear, gate.sigmoid_(), out=linear)
        return gated.addmm_(hidden, self.w_2.weight.T)


class SpectralTransformer(nn.Module):
    def __init__(self, channels: int, num_bands: int, flex: bool) -> None:
        super().__init__()
        self.attn = _GuidedAttention(channels, num_bands, flex)
        self.ffn = _GatedFFN(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.ffn(self.attn(x))
        return y

    def stream(self, x: Tensor) -> Tensor:
        """Do the same in place, a few pixels with all their bands at a time."""
        mixer = self.attn.mixer().T
        channels = x.shape[-1]
        for image, attention in zip(x, self.attn.attention(x), strict=True):
            bands = image.flatten(1)
            for part in bands.split(chunk_pixels(image) * channels, 1):
                attended = torch.mm(attention, part).view(-1, channels)
                y = torch.addmm(part.reshape(-1, channels), attended, mixer)
                part.copy_(self.ffn.rows(y).view_as(part))
        return x


class Block(nn.Module):
    """Convolution, batch normalization and transformer."""

    def __init__(
        self,
        conv: VolumeConv | SeparableConv,
        channels: int,
        num_bands: int,
        flex: bool,
        up: bool,
    ) -> None:
        super().__init__()
        if up:
            self.up = VolumeUpsample()
        self.has_up = up
        self.conv = conv
        self.bn = nn.BatchNorm3d(channels)
        self.attn = SpectralTransformer(channels, num_bands, flex)

    def forward(self, x: Tensor) -> Tensor:
        if can_stream(x) and not self.training:
            return self.attn.stream(self._stream_conv(x))
        if self.has_up:
            x = self.up(x)
        x = self.conv(x).movedim(-1, 1)
        y: Tensor = self.attn(self.bn(x).movedim(1, -1))
        return y

    def _stream_conv(self, x: Tensor) -> Tensor:
        """Convolve, with the normalization in the weights."""
        mean, var = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert var is not None
        scale = self.bn.weight * (var + self.bn.eps).rsqrt()
        shift = self.bn.bias - mean * scale
        out: Tensor | None = None
        for i, image in enumerate(x):
            if isinstance(self.conv, SeparableConv):
                parts = self.conv.stream(image, scale, shift)
            else:
                weight = self.conv.weight * scale[:, None, None, None, None]
                stride = self.conv.stride[1:]
                parts = stream_conv(image, weight, shift, stride, up=self.has_up)
            for place, y in parts:
                if out is None:
                    out = y.new_empty(*x.shape[:2], *y.shape[1:])
                out[i, place] = y
        assert out is not None
        return out
