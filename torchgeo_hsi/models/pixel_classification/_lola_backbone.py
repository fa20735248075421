# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What LoLA-SpecViT is without its head."""

from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn

from ._spectral_front import SpectralFront
from ._window_attention import Downsample, WindowBlock


class LoLABackbone(nn.Module):
    """A spectral front end and levels of windowed attention.

    Args:
        window: Rows and columns of the windows around pixels.
        depths: Blocks of each level.
        dims: Channels of each level.
        heads: Heads of each level; divide its channels.
        attention_window: Rows and columns within which tokens attend to each other, at
            most.
        drop_path: Probability with which a branch of the last block is left out in
            training; it rises from 0 at the first block.
        drop_rate: Dropout behind the position embedding.
        band_dropout: Probability with which a slice of the spectral axis is left out in
            training.

    Raises:
        ValueError: If levels do not fit together, or a number is out of its range.
    """

    def __init__(
        self,
        window: int,
        depths: Sequence[int],
        dims: Sequence[int],
        heads: Sequence[int],
        attention_window: int = 7,
        drop_path: float = 0.0,
        drop_rate: float = 0.0,
        band_dropout: float = 0.0,
    ) -> None:
        """Initialize a new LoLABackbone instance."""
        super().__init__()
        _check(depths, dims, heads, attention_window)
        first = dims[0]
        channels = (max(first // 3, 1), max(2 * first // 3, 1), first)
        self.front = SpectralFront(window, channels, band_dropout)
        side = min(3, self.front.size)
        self.embed = nn.Sequential(
            nn.Conv2d(first, first, side), nn.BatchNorm2d(first), nn.SiLU()
        )
        grid = self.front.size - side + 1
        self.position = nn.Parameter(torch.zeros(1, grid, grid, first))
        self.dropout = nn.Dropout(drop_rate)
        # by numpy: a model may be built on the meta device, which remembers no number
        rates = np.linspace(0, drop_path, sum(depths)).tolist()
        levels: list[nn.Module] = []
        for level, (depth, dim, number) in enumerate(
            zip(depths, dims, heads, strict=True)
        ):
            if level:
                levels.append(Downsample(dims[level - 1], dim))
                grid = (grid + 1) // 2
            for _ in range(depth):
                rate = rates.pop(0)
                levels.append(WindowBlock(dim, number, grid, attention_window, rate))
        self.levels = nn.Sequential(*levels)
        self.norm = nn.LayerNorm(dims[-1])
        #: Length of the features.
        self.num_features = dims[-1]
        self._initialize()

    def _initialize(self) -> None:
        # once, and before there is any low-rank matrix: those begin with 0
        trunc_normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Compute features of windows.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Features of shape ``(B, num_features)``.
        """
        return self.attend(self.front(x))

    def attend(self, x: Tensor) -> Tensor:
        """Compute features of windows behind the front end.

        Args:
            x: Features of shape ``(B, dims[0], front.size, front.size)``.

        Returns:
            Features of shape ``(B, num_features)``.
        """
        tokens = self.embed(x).permute(0, 2, 3, 1) + self.position
        tokens = self.norm(self.levels(self.dropout(tokens)))
        mean: Tensor = tokens.mean(dim=(1, 2))
        return mean


def _check(
    depths: Sequence[int],
    dims: Sequence[int],
    heads: Sequence[int],
    attention_window: int,
) -> None:
    """Check what describes the levels."""
    if not len(depths) == len(dims) == len(heads) or not depths:
        raise ValueError(
            'Expected depths, dims and heads of the same levels, got '
            f'{len(depths)}, {len(dims)} and {len(heads)} numbers.'
        )
    uneven = [d % h if h > 0 else 1 for d, h in zip(dims, heads, strict=True)]
    if any(uneven) or min(dims) < 1 or min(depths) < 1:
        raise ValueError(
            'Expected at least one block in each level, and heads that divide its '
            f'dims, got depths {tuple(depths)}, dims {tuple(dims)} and heads '
            f'{tuple(heads)}.'
        )
    if attention_window < 1:
        raise ValueError(
            f'Expected a positive attention_window, got {attention_window}.'
        )
