# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masked autoencoder whose encoder, adapter included, sees visible tokens only."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...errors import BandMismatchError
from ..adapters._bands import BandConditioned
from ._decoder import WAVES, MaskedDecoder
from ._encoder import (
    check_backbone,
    embed_visible,
    initialize_backbone,
    run_blocks,
    token_positions,
)
from ._target import Patches, cut_patches, hidden_values, mean_square
from ._token_mask import (
    TokenMask,
    as_places,
    band_waves,
    draw_ranges,
    draw_tokens,
    pixel_index,
)

Masking = Literal['spatial', 'spectral', 'both']


class MaskedAutoencoder(nn.Module):
    """Masked autoencoder for spectra: hide most of an image, predict what is hidden.

    A vision transformer sees some tokens of an image, and a small decoder predicts the
    pixels of the others. *masking* says what is hidden:

    * ``'spatial'``: random tokens, with all their bands, as in the paper.
    * ``'spectral'``: contiguous ranges of bands, in all tokens of an image. They become
      0, which is the mean of normalized bands, and a learned signal that is added to
      the tokens tells which they are.
    * ``'both'``: tokens, and ranges of bands in the tokens that are left.

    The loss is the mean squared error over everything that is hidden. The adapter in
    front of a transformer works on single pixels, so it, too, runs on visible pixels
    only: nine tenths of its work are saved at a ratio of 0.9. Without batch
    normalization, and in evaluation, this equals running it on the whole image; in
    training the statistics of a batch are those of its visible pixels.

    Pixels that are not valid enter neither the loss nor the statistics of a patch, and
    are 0 for the encoder.

    If you use this model in your research, please cite the following paper:

    * https://arxiv.org/abs/2111.06377

    Example:
        >>> import timm, torch
        >>> import torchgeo_hsi.models
        >>> vit = timm.create_model('spec_vit_tiny', in_chans=80, depth=2, img_size=32)
        >>> model = MaskedAutoencoder(vit, decoder_dim=64, decoder_heads=4)
        >>> loss, features = model(torch.randn(2, 80, 32, 32))
        >>> loss.ndim, features.shape
        (0, torch.Size([2, 192]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        masking: Masking = 'spatial',
        mask_ratio: float = 0.9,
        spectral_ratio: float = 0.5,
        spectral_ranges: int = 4,
        norm_pix: bool = True,
        decoder_dim: int = 512,
        decoder_depth: int = 1,
        decoder_heads: int = 16,
        initialize: bool = False,
    ) -> None:
        """Initialize a new MaskedAutoencoder instance.

        Args:
            backbone: A ``VisionTransformer`` of timm, e.g. ``spec_vit_small``.
            masking: What to hide.
            mask_ratio: Share of the tokens that is hidden.
            spectral_ratio: Share of the bands that is hidden.
            spectral_ranges: Number of ranges that hidden bands come in.
            norm_pix: Whether to predict patches less their mean and by their standard
                deviation.
            decoder_dim: Width of the decoder.
            decoder_depth: Number of its blocks.
            decoder_heads: Number of its attention heads.
            initialize: Whether to draw the weights of the backbone again, as the paper
                does: Xavier's for linear layers and the patch projection, sines and
                cosines for position embeddings (which are learned from there). What it
                has learned before is lost.

        Raises:
            TypeError: If the backbone is no vision transformer that works on patches.
            ValueError: If an option is out of its range.
        """
        super().__init__()
        vit = check_backbone(backbone)
        _check_options(masking, mask_ratio, spectral_ratio, spectral_ranges)
        if decoder_dim % decoder_heads or decoder_dim % 4:
            raise ValueError(
                'Expected a decoder_dim that is a multiple of 4 and of decoder_heads, '
                f'got {decoder_dim} and {decoder_heads}.'
            )
        self.masking, self.norm_pix = masking, norm_pix
        self.mask_ratio = mask_ratio
        self.spectral_ratio, self.spectral_ranges = spectral_ratio, spectral_ranges
        if initialize:
            initialize_backbone(vit)
        self.backbone: Any = vit
        height, width = self.patch_size = tuple(vit.patch_embed.patch_size)
        # where the backbone knows wavelengths, the decoder does; a tuple is no child
        parts = [m for m in vit.modules() if isinstance(m, BandConditioned)]
        self._band_parts = tuple(parts[:1])
        self.decoder = MaskedDecoder(
            vit.embed_dim,
            decoder_dim,
            decoder_depth,
            decoder_heads,
            height * width,
            None if parts else vit.patch_embed.proj.in_channels,
        )
        self.band_signal: nn.Linear | None = None
        if masking != 'spatial':
            self.band_signal = nn.Linear(2 * WAVES, vit.embed_dim, bias=False)
            nn.init.zeros_(self.band_signal.weight)

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Return rows and columns of tokens of images.

        Args:
            image: Images of shape ``(B, C, H, W)``.

        Returns:
            Rows and columns.

        Raises:
            BandMismatchError: If the images have another number of dimensions.
            ValueError: If the backbone cannot take images of this size.
        """
        if image.ndim != 4:
            raise BandMismatchError(
                f'Expected images of shape (B, C, H, W), got {tuple(image.shape)}.'
            )
        (height, width), size = image.shape[-2:], self.backbone.patch_embed.img_size
        rows, columns = self.patch_size
        if height % rows or width % columns:
            raise ValueError(
                f'Expected images whose sides are multiples of {rows} and {columns}, '
                f'the size of a patch, got {height} x {width} pixels. Choose another '
                'size of the crops.'
            )
        if not self.backbone.dynamic_img_size and size != (height, width):
            raise ValueError(
                f'The backbone takes images of {size[0]} x {size[1]} pixels, got '
                f'{height} x {width}. Choose that size of the crops, or build it with '
                f'img_size=({height}, {width}) or dynamic_img_size=True.'
            )
        return height // rows, width // columns

    def draw(
        self, image: Tensor, generator: torch.Generator | None = None
    ) -> TokenMask:
        """Draw what to hide.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            generator: Where random numbers come from; torch's own by default.

        Returns:
            What is hidden.
        """
        rows, columns = self.grid(image)
        size, device = len(image), image.device
        ratio = 0.0 if self.masking == 'spectral' else self.mask_ratio
        tokens = rows * columns
        keep, hidden = draw_tokens(size, tokens, ratio, generator, device)
        if self.masking == 'spatial':
            return TokenMask(keep, hidden)
        share, ranges = self.spectral_ratio, self.spectral_ranges
        bands = draw_ranges(size, image.shape[1], share, ranges, generator, device)
        return TokenMask(keep, hidden, bands)

    def encode(
        self, image: Tensor, mask: TokenMask, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the tokens of what is visible.

        Args:
            image: Normalized images of shape ``(B, C, H, W)``.
            mask: What is hidden.
            valid: True for pixels that count, shape ``(B, H, W)``.

        Returns:
            Tokens of shape ``(B, K, D)``, after those that have no place.
        """
        grid = self.grid(image)
        prefix, places = token_positions(self.backbone, grid)
        x = embed_visible(self.backbone, image, mask, valid)
        x = x + (places[mask.keep] if mask.hidden.shape[1] else places)
        if self.band_signal is not None and mask.bands is not None:
            waves = band_waves(self._places(image), WAVES) * mask.bands[..., None]
            waves = waves.mean(dim=1).to(self.band_signal.weight.dtype)
            x = x + self.band_signal(waves).unsqueeze(1)
        return run_blocks(self.backbone, prefix, x)

    def _places(self, image: Tensor) -> Tensor:
        """Return the places of the bands of images in the spectrum."""
        if self._band_parts:
            return as_places(self._band_parts[0].bands_of(image)[0])
        return torch.linspace(0, 1, image.shape[1], device=image.device)

    def _index(self, mask: TokenMask, image: Tensor) -> Tensor:
        """Number the pixels of tokens that something is hidden of."""
        size = self.patch_size
        return pixel_index(mask.asked, size, image.shape[-1] // size[1])

    def _target(self, image: Tensor, valid: Tensor | None, mask: TokenMask) -> Patches:
        """Cut out what has to be predicted."""
        return cut_patches(image, valid, mask.asked, self.patch_size, self.norm_pix)

    def decode(self, tokens: Tensor, mask: TokenMask, image: Tensor) -> Tensor:
        """Predict the pixels of tokens that something is hidden of.

        Args:
            tokens: What :meth:`encode` returns.
            mask: What is hidden.
            image: The images, for their size and bands.

        Returns:
            Pixels of shape ``(B, M, P * P, C)``.
        """
        x = self.decoder(tokens, mask, self.grid(image))
        if mask.bands is None:
            x = x[:, mask.keep.shape[1] :]
        where = (self._places(image),) if self._band_parts else ()
        found: Tensor = self.decoder.predict(x, *where)
        return found.view(*found.shape[:2], -1, image.shape[1])

    def forward(
        self, image: Tensor, valid: Tensor | None = None, mask: TokenMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss.

        Args:
            image: Normalized images of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.
            mask: What to hide; drawn by default.

        Returns:
            The loss, and the mean of the visible tokens of each image, shape
            ``(B, D)``.

        Raises:
            BandMismatchError: If there is another number of bands.
            ValueError: If the backbone cannot take images of this size.
        """
        mask = self.draw(image) if mask is None else mask
        tokens = self.encode(image, mask, valid)
        found = self.decode(tokens, mask, image)
        with torch.no_grad():
            target = self._target(image, valid, mask)
        loss = mean_square(found, target, mask)
        prefix = tokens.shape[1] - mask.keep.shape[1]
        return loss, tokens[:, prefix:].mean(dim=1)

    @torch.no_grad()
    def reconstruct(
        self, image: Tensor, valid: Tensor | None = None, mask: TokenMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict what is hidden, to look at it.

        With *norm_pix*, patches get back the mean and the standard deviation that they
        really have, which the network does not know.

        Args:
            image: Normalized images of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.
            mask: What to hide; drawn by default.

        Returns:
            The images with predictions where something was hidden, and what was
            hidden, both of shape ``(B, C, H, W)``.
        """
        mask = self.draw(image) if mask is None else mask
        found = self.decode(self.encode(image, mask, valid), mask, image).float()
        target = self._target(image, valid, mask)
        if target.std is not None and target.mean is not None:
            found = found * target.std + target.mean
        hidden = hidden_values(found, mask)
        index = self._index(mask, image).flatten(1)
        wanted = index[:, None].expand(-1, image.shape[1], -1)
        full = image.flatten(2).float()
        parts = [part.flatten(1, 2).mT for part in (found, hidden.expand_as(found))]
        seen = torch.zeros_like(full, dtype=torch.bool).scatter(2, wanted, parts[1])
        full = torch.where(seen, full.scatter(2, wanted, parts[0]), full)
        return full.view_as(image), seen.view_as(image)


def _check_options(
    masking: str, mask_ratio: float, spectral_ratio: float, ranges: int
) -> None:
    if masking not in ('spatial', 'spectral', 'both'):
        raise ValueError(
            f"Expected masking 'spatial', 'spectral' or 'both', got {masking!r}."
        )
    if not (0 < mask_ratio < 1 and 0 < spectral_ratio < 1 and ranges > 0):
        raise ValueError(
            'Expected a mask_ratio and a spectral_ratio between 0 and 1, and '
            f'spectral_ranges of 1 or more, got {mask_ratio}, {spectral_ratio} and '
            f'{ranges}.'
        )
