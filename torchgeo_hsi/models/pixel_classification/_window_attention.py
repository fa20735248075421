# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Transformer blocks that attend within windows of a grid, and to nothing else."""

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.layers.mlp import SwiGLU
from timm.layers.pos_embed_rel import RelPosBias
from torch import Tensor, nn

from ._spectral_front import ChannelGate


class WindowAttention(nn.Module):
    """Attention between the tokens of a window, with a bias of relative positions.

    Tokens that only fill a window up are masked as keys: none of the attention goes to
    them, and what stands in them changes nothing.

    Args:
        dim: Channels.
        heads: Number of heads; divides *dim*.
        window: Rows and columns of the window.
    """

    def __init__(self, dim: int, heads: int, window: int) -> None:
        """Initialize a new WindowAttention instance."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.position_bias = RelPosBias((window, window), heads)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Let tokens attend to each other.

        Args:
            x: Tokens of shape ``(B, windows, N, C)``.
            known: Which tokens are not padding, bool of shape ``(windows, N)``; all by
                default.

        Returns:
            Tokens of shape ``(B, windows, N, C)``; arbitrary where there is padding.
        """
        qkv = self.qkv(x).reshape(*x.shape[:3], 3, self.heads, -1)
        # parts of shape (B, windows, heads, N, C / heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)
        bias = self.position_bias.get_bias()[:, None]
        if known is not None:
            bias = bias.masked_fill(~known[:, None, None, :], float('-inf'))
        bias = bias.to(query.dtype).expand(*query.shape[:-1], -1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.proj(mixed.transpose(2, 3).flatten(3))
        return out


class WindowBlock(nn.Module):
    """Attention within windows and a SwiGLU, each behind a normalization.

    * https://doi.org/10.48550/arXiv.2002.05202 (SwiGLU)

    Args:
        dim: Channels.
        heads: Number of heads.
        grid: Rows and columns of the grid of tokens.
        window: Rows and columns of the windows, at most those of the grid.
        drop_path: Probability with which a branch is left out in training.
    """

    known: Tensor | None

    def __init__(
        self, dim: int, heads: int, grid: int, window: int, drop_path: float = 0.0
    ) -> None:
        """Initialize a new WindowBlock instance."""
        super().__init__()
        self.window = min(window, grid)
        self.padding = -grid % self.window
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, heads, self.window)
        self.norm2 = nn.LayerNorm(dim)
        # two matrices in and one out: as many parameters as a layer of 4 * dim
        self.mlp = SwiGLU(dim, int(8 * dim / 3), align_to=8)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        known = self._to_windows(torch.ones(1, grid, grid, 1))[0, ..., 0].bool()
        self.register_buffer('known', known if self.padding else None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens.

        Args:
            x: Tokens of shape ``(B, grid, grid, C)``.

        Returns:
            Tokens of the same shape.
        """
        tokens = self._to_windows(self.norm1(x))
        attended = self._to_grid(self.attention(tokens, self.known), x.shape[1])
        x = x + self.drop_path(attended)
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def _to_windows(self, x: Tensor) -> Tensor:
        """Cut a grid of shape (B, H, W, C) into windows (B, windows, N, C)."""
        x = F.pad(x, (0, 0, 0, self.padding, 0, self.padding))
        batch, side, _, dim = x.shape
        number, size = side // self.window, self.window
        x = x.reshape(batch, number, size, number, size, dim).transpose(2, 3)
        return x.reshape(batch, number**2, size**2, dim)

    def _to_grid(self, x: Tensor, grid: int) -> Tensor:
        """Put windows of shape (B, windows, N, C) together to a grid (B, H, W, C)."""
        batch, _, _, dim = x.shape
        side, size = grid + self.padding, self.window
        number = side // size
        x = x.reshape(batch, number, number, size, size, dim).transpose(2, 3)
        return x.reshape(batch, side, side, dim)[:, :grid, :grid]


class Downsample(nn.Module):
    """Halve rows and columns of a grid, and widen its channels.

    Args:
        dim: Channels before.
        out: Channels behind.
    """

    def __init__(self, dim: int, out: int) -> None:
        """Initialize a new Downsample instance."""
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.gate = ChannelGate(dim)
        self.widen = nn.Conv2d(dim, out, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.reduce = nn.Conv2d(out, out, 3, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Make a grid smaller.

        Args:
            x: Tokens of shape ``(B, H, W, dim)``.

        Returns:
            Tokens of shape ``(B, ceil(H / 2), ceil(W / 2), out)``.
        """
        x = F.silu(self.depthwise(x.permute(0, 3, 1, 2)))
        x = x * self.gate(x.mean(dim=(2, 3), keepdim=True))
        x = self.reduce(self.norm(self.widen(x)))
        return x.permute(0, 2, 3, 1)
