# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blocks of ESSAformer: attention by correlation of spectra, then convolutions."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._precision import full_precision
from ._essa_rows import RowConv

_SLOPE = 0.2
_EPS = 1e-7


def correlate(x: Tensor) -> Tensor:
    """Square the deviations of each token from its mean, and make their sum one.

    Args:
        x: Tokens of shape ``(..., N, C)``.

    Returns:
        Numbers of the same shape, in float32 at least: squares of half precision would
        be too large or too small.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    squares = (x - x.mean(-1, keepdim=True)).square()
    return squares / (squares.sum(-1, keepdim=True) + _EPS)


class SpectralAttention(nn.Module):
    """Attention of all tokens to all tokens, at a cost that is linear in their number.

    Queries and keys are correlations of features, so their product needs no softmax,
    and keys and values are multiplied first.
    """

    def __init__(self, dim: int) -> None:
        """Initialize a new SpectralAttention instance.

        Args:
            dim: Channels.
        """
        super().__init__()
        self.lnqkv = nn.Linear(dim, 3 * dim)
        self.ln = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: Tokens of shape ``(B, N, C)``.

        Returns:
            Tokens of the same shape.
        """
        q, k, v = self.lnqkv(x).chunk(3, -1)
        with full_precision(x.device):
            query, key = (
                F.normalize(correlate(q), dim=-1),
                F.normalize(correlate(k), dim=1),
            )
            values = v.to(key.dtype)
            mixed = query @ (key.mT @ values / math.sqrt(x.shape[1]))
            y = (values + mixed).to(v.dtype)
        out: Tensor = self.ln(y)
        return out


class KeySums:
    """Sums over the tokens of an image, a part of them at a time.

    Args:
        attention: The attention that the sums are for.
    """

    def __init__(self, attention: SpectralAttention) -> None:
        """Initialize a new KeySums instance."""
        self._attention = attention
        weight = attention.lnqkv.weight
        size = weight.shape[1]
        kind = torch.promote_types(weight.dtype, torch.float32)
        self._products = weight.new_zeros(size, size, dtype=kind)
        self._keys, self._squares = weight.new_zeros(2, size, dtype=kind)
        self._tokens = 0

    def add(self, tokens: Tensor) -> None:
        """Add some tokens of shape ``(N, C)``."""
        size = tokens.shape[1]
        linear = self._attention.lnqkv
        part = slice(size, 2 * size)
        weight, bias = linear.weight[part].to(tokens), linear.bias[part].to(tokens)
        keys = correlate(F.linear(tokens, weight, bias))
        self._products.addmm_(keys.mT, tokens.to(keys.dtype))
        self._keys += keys.sum(0)
        self._squares += keys.square().sum(0)
        self._tokens += len(tokens)

    def context(self) -> Tensor:
        """Return what queries are multiplied by, of shape ``(C, C)``."""
        linear = self._attention.lnqkv
        _, _, weight = linear.weight.to(self._products).chunk(3)
        _, _, bias = linear.bias.to(self._products).chunk(3)
        products = self._products @ weight.mT + self._keys[:, None] * bias
        norms = self._squares.sqrt().clamp_min(1e-12)
        context: Tensor = products / (norms[:, None] * math.sqrt(self._tokens))
        return context


class ESSABlock(nn.Module):
    """Attention, beside it the input, and three convolutions of both.

    Args:
        dim: Channels.
        dropout: Share of the channels that are left out in training.
        stack: Name of the convolutions.
    """

    def __init__(self, dim: int, dropout: float, stack: str) -> None:
        """Initialize a new ESSABlock instance."""
        super().__init__()
        convs = nn.Sequential(
            nn.Conv2d(2 * dim, 2 * dim, 1),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout2d(dropout),
            nn.Conv2d(2 * dim, 2 * dim, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout2d(dropout),
            nn.Conv2d(2 * dim, dim, 1),
        )
        self._stack = stack
        self.add_module(stack, convs)
        self.drop = nn.Dropout2d(dropout)
        self.norm = nn.LayerNorm(dim)
        self.attn = SpectralAttention(dim)

    @property
    def convs(self) -> nn.Sequential:
        """The convolutions, which have different names in published files."""
        return cast(nn.Sequential, self.get_submodule(self._stack))

    def forward(self, x: Tensor) -> Tensor:
        """Refine.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Images of the same shape.
        """
        tokens = self.attn(self.norm(x.flatten(2).mT))
        found = self.drop(tokens.mT.unflatten(2, x.shape[2:]))
        y: Tensor = self.convs(torch.cat((found, x), 1))
        return x + y

    def refine_(self, x: Tensor, block: int) -> Tensor:
        """Do the same in place, a few rows at a time, without gradients.

        Rows are overwritten as soon as nothing needs them any more, so that beside the
        image only some rows of it are in memory.

        Args:
            x: Image of shape ``(H, W, C)``; it is changed.
            block: Pixels at a time.

        Returns:
            *x*.
        """
        rows = max(1, block // x.shape[1])
        sums = KeySums(self.attn)
        for part in torch.split(x, rows):
            sums.add(self._normed(part).flatten(0, 1))
        mix = self._mixer(sums.context(), x)
        conv, last = cast(nn.Conv2d, self.convs[3]), cast(nn.Conv2d, self.convs[6])
        convolve_rows = RowConv(conv.weight, conv.bias, x)
        out_weight, out_bias = last.weight.flatten(1).to(x), _cast(last.bias, x)
        edge = x.new_zeros(1, x.shape[1], 2 * x.shape[2])
        window, done, height = edge, 0, len(x)
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            parts = [window[-2:], self._hidden(x[start:stop], mix)]
            window = torch.cat([*parts, edge] if stop == height else parts)
            if len(window) < 3:
                continue
            y = F.leaky_relu_(convolve_rows(window), _SLOPE)
            # the last row waits for the one below it
            x[done : done + len(y)] += F.linear(y, out_weight, out_bias)
            done += len(y)
        return x

    def _normed(self, x: Tensor) -> Tensor:
        norm = self.norm
        weight, bias = norm.weight.to(x), norm.bias.to(x)
        return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)

    def _hidden(self, x: Tensor, mix: tuple[Tensor, Tensor]) -> Tensor:
        """Compute what the convolution of 3 x 3 sees."""
        tokens = self._normed(x)
        weight, bias = (p[: x.shape[2]].to(x) for p in self._qkv())
        query = F.normalize(correlate(F.linear(tokens, weight, bias)), dim=-1)
        stack = torch.cat((tokens, query.to(x.dtype), x), -1)
        return F.leaky_relu_(F.linear(stack, *mix), _SLOPE)

    def _qkv(self) -> tuple[Tensor, Tensor]:
        linear = self.attn.lnqkv
        return linear.weight, linear.bias

    def _mixer(self, context: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Join all linear maps between the attention and the convolution of 3 x 3.

        Args:
            context: What queries are multiplied by.
            like: Images.

        Returns:
            Weight and bias of a map of the normalized image, the queries and the image.
        """
        first, out = cast(nn.Conv2d, self.convs[0]), self.attn.ln
        found, kept = first.weight.flatten(1).to(context).chunk(2, 1)
        (_, _, value), (_, _, value_bias) = (
            p.to(context).chunk(3) for p in self._qkv()
        )
        mixed = found @ out.weight.to(context)
        weight = torch.cat((mixed @ value, mixed @ context.mT, kept), 1)
        bias = found @ out.bias.to(context) + mixed @ value_bias
        return weight.to(like), (bias + _cast(first.bias, context)).to(like)


def _cast(bias: Tensor | None, like: Tensor) -> Tensor:
    """Bring the bias of a convolution into the type of images."""
    assert bias is not None
    return bias.to(like)
