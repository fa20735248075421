# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The decoder of a masked autoencoder."""

import math
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ._token_mask import TokenMask, band_waves, sine_cosine_grid

#: Lengths of the waves by which the place of a band is described.
WAVES = 32

#: Spectra that pixels are mixed from where bands are told by their wavelength.
_SPECTRA = 64


class WavelengthOutput(nn.Module):
    """Predict patches of any bands from tokens.

    Each pixel is a mixture of a few spectra, which are functions of the wavelength. So
    the weights fit any bands.

    Args:
        dim: Width of the tokens.
        pixels: Number of pixels of a patch.
    """

    def __init__(self, dim: int, pixels: int) -> None:
        """Initialize a new WavelengthOutput instance."""
        super().__init__()
        self.pixels = pixels
        self.mixture = nn.Linear(dim, pixels * _SPECTRA)
        self.spectra = nn.Sequential(
            nn.Linear(2 * WAVES, 128), nn.GELU(), nn.Linear(128, _SPECTRA)
        )

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Predict patches.

        Args:
            tokens: Tokens of shape ``(B, M, D)``.
            position: Places of the bands, shape ``(C,)`` or ``(B, C)``.

        Returns:
            Pixels of shape ``(B, M, P * P * C)``, bands last.
        """
        mixture = self.mixture(tokens).unflatten(2, (self.pixels, _SPECTRA))
        waves = band_waves(position, WAVES).to(self.mixture.weight.dtype)
        spectra = self.spectra(waves) / math.sqrt(_SPECTRA)
        if spectra.ndim == 3:
            spectra = spectra.unsqueeze(1)
        pixels: Tensor = mixture @ spectra.mT
        return pixels.flatten(2)


class MaskedDecoder(nn.Module):
    """Predict the pixels of all tokens from those that were seen.

    Args:
        encoder_dim: Width of the tokens that come in.
        dim: Width of the decoder.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        pixels: Number of pixels of a patch.
        bands: Number of bands, each of which gets weights of its own; None for any
            bands, which are told by their wavelength.
    """

    def __init__(
        self,
        encoder_dim: int,
        dim: int,
        depth: int,
        heads: int,
        pixels: int,
        bands: int | None,
    ) -> None:
        """Initialize a new MaskedDecoder instance."""
        super().__init__()
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.embed = nn.Linear(encoder_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.blocks = nn.Sequential(
            *(
                Block(dim, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=norm)
                for _ in range(depth)
            )
        )
        self.norm = norm(dim)
        self.predict = (
            WavelengthOutput(dim, pixels)
            if bands is None
            else nn.Linear(dim, pixels * bands)
        )
        self.apply(init_linear)
        nn.init.normal_(self.mask_token, std=0.02)
        self._grid: tuple[tuple[int, int], Tensor] | None = None

    def positions(self, grid: tuple[int, int], like: Tensor) -> Tensor:
        """Return the fixed embeddings of the places of tokens.

        Args:
            grid: Rows and columns of tokens.
            like: A tensor of the type and on the device that are needed.

        Returns:
            Embeddings of shape ``(rows * columns, D)``.
        """
        if self._grid is None or self._grid[0] != grid:
            dim = self.embed.out_features
            self._grid = grid, sine_cosine_grid(*grid, dim).to(like.device)
        size, found = self._grid
        if found.device != like.device:
            self._grid = size, found.to(like.device)
        return self._grid[1].to(like.dtype)

    def forward(self, tokens: Tensor, mask: TokenMask, grid: tuple[int, int]) -> Tensor:
        """Fill in the tokens that were hidden.

        Args:
            tokens: Tokens of the encoder, those without a place first.
            mask: Which were seen.
            grid: Rows and columns of tokens.

        Returns:
            Tokens of shape ``(B, N, D)``: those that were seen, then the others.
        """
        x = self.embed(tokens)
        prefix = tokens.shape[1] - mask.keep.shape[1]
        places = self.positions(grid, x)
        # attention does not care for the order of tokens, so none has to be moved
        seen = x[:, prefix:] + places[mask.keep]
        others = self.mask_token.to(x.dtype) + places[mask.hidden]
        x = torch.cat((x[:, :prefix], seen, others), dim=1)
        found: Tensor = self.norm(self.blocks(x))
        return found[:, prefix:]


def init_linear(module: nn.Module) -> None:
    """Draw initial weights of one layer, as masked autoencoders do.

    Args:
        module: A layer; only linear ones and normalizations are changed.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
