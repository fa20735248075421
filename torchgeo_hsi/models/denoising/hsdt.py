# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HSDT: Hybrid Spectral Denoising Transformer."""

from torch import nn

from ..._typing import PathLike
from ...errors import BandMismatchError
from ...layers.spectral_unet import SpectralUNet
from ...layers.volume_conv import VolumeConv
from ..api import register_model
from ..weights.restoration import load_checkpoint, read_weights, trained_bands
from ._hsdt_blocks import Block, SeparableConv


class HSDT(SpectralUNet):
    """Hybrid Spectral Denoising Transformer.

    A U-shaped network of factorized 3-D convolutions, each followed by attention
    between the bands. The attention is computed from features that are pooled over all
    pixels, so it costs little, and it compares them with a learned query for each of
    ``num_bands`` bands. Images with another number of bands take the guided path, in
    which the features are compared with themselves; training alternates between the
    two paths, so both are trained.

    Keys of the state dict are those of the published checkpoints. From:

    * https://doi.org/10.48550/arXiv.2303.09040

    Args:
        num_bands: Number of bands with a learned query.
        channels: Channels of the first layer.
        num_layers: Layers of the encoder, and of the decoder.
        sampled: Positions of the layers that halve rows and columns.
        noise_map: Whether the network is told the strength of the noise.
        flex: Whether evaluation always takes the guided path.

    Raises:
        BandMismatchError: If *num_bands* is not positive.

    Example:
        >>> import torch
        >>> model = HSDT(num_bands=31, channels=8).eval()
        >>> model(torch.rand(1, 31, 30, 50)).shape
        torch.Size([1, 31, 30, 50])
    """

    needs_scene = True

    def __init__(
        self,
        num_bands: int = 31,
        channels: int = 16,
        num_layers: int = 5,
        sampled: tuple[int, ...] = (1, 3),
        noise_map: bool = False,
        flex: bool = False,
    ) -> None:
        """Initialize a new HSDT instance."""
        if num_bands < 1:
            raise BandMismatchError(f'Expected at least one band, got {num_bands}.')
        super().__init__(channels, num_layers, sampled, noise_map)
        self.num_bands = num_bands
        self.flex = flex
        self.head = self._same(1 + noise_map, channels, 0)
        self._build((self._same, self._same), self._down, self._up)
        self.tail = VolumeConv(channels, 1, 3, padding=1)
        self.reset_parameters()

    def _block(
        self, conv: VolumeConv | SeparableConv, channels: int, up: bool = False
    ) -> Block:
        return Block(conv, channels, self.num_bands, self.flex, up)

    def _same(self, in_channels: int, out_channels: int, position: int) -> Block:
        return self._block(SeparableConv(in_channels, out_channels), out_channels)

    def _down(self, in_channels: int, out_channels: int, position: int) -> Block:
        conv = VolumeConv(
            in_channels, out_channels, 3, stride=(1, 2, 2), padding=1, bias=False
        )
        return self._block(conv, out_channels)

    def _up(self, in_channels: int, out_channels: int, position: int) -> Block:
        conv = VolumeConv(in_channels, out_channels, 3, padding=1, bias=False)
        return self._block(conv, out_channels, up=True)

    def reset_parameters(self) -> None:
        """Initialize as published: Xavier for convolutions, linear layers near zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.xavier_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1e-3)
            if isinstance(module, nn.Conv3d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def _hsdt(
    num_bands: int | None,
    weights: PathLike | None,
    noise_map: bool,
    flex: bool,
    name: str,
    channels: int = 16,
    num_layers: int = 5,
    sampled: tuple[int, ...] = (1, 3),
) -> HSDT:
    checkpoint = None if weights is None else read_weights(weights, name)
    if num_bands is None:
        num_bands = (checkpoint and trained_bands(checkpoint)) or 31
    model = HSDT(num_bands, channels, num_layers, sampled, noise_map, flex)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    return model


@register_model
def hsdt_s(
    num_bands: int | None = None,
    weights: PathLike | None = None,
    noise_map: bool = False,
    flex: bool = False,
) -> HSDT:
    """Build the small :class:`HSDT`, 0.13 million parameters.

    Args:
        num_bands: Number of bands with a learned query; by default that of the
            weights, and 31 without weights.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.
        flex: Whether evaluation always takes the guided path.

    Returns:
        The model.
    """
    return _hsdt(num_bands, weights, noise_map, flex, 'hsdt_s', channels=8)


@register_model
def hsdt_m(
    num_bands: int | None = None,
    weights: PathLike | None = None,
    noise_map: bool = False,
    flex: bool = False,
) -> HSDT:
    """Build the medium :class:`HSDT`, 0.52 million parameters.

    Args:
        num_bands: Number of bands with a learned query; by default that of the
            weights, and 31 without weights.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.
        flex: Whether evaluation always takes the guided path.

    Returns:
        The model.
    """
    return _hsdt(num_bands, weights, noise_map, flex, 'hsdt_m')


@register_model
def hsdt_l(
    num_bands: int | None = None,
    weights: PathLike | None = None,
    noise_map: bool = False,
    flex: bool = False,
) -> HSDT:
    """Build the large :class:`HSDT`, 2.09 million parameters.

    Args:
        num_bands: Number of bands with a learned query; by default that of the
            weights, and 31 without weights.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        noise_map: Whether the network is told the strength of the noise.
        flex: Whether evaluation always takes the guided path.

    Returns:
        The model.
    """
    return _hsdt(
        num_bands, weights, noise_map, flex, 'hsdt_l', num_layers=7, sampled=(1, 3, 5)
    )


@register_model
def hsdt_pnp(
    num_bands: int | None = None, weights: PathLike | None = None, flex: bool = False
) -> HSDT:
    """Build the medium :class:`HSDT` with a noise map, for plug-and-play methods.

    Args:
        num_bands: Number of bands with a learned query; by default that of the
            weights, and 31 without weights.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        flex: Whether evaluation always takes the guided path.

    Returns:
        The model.
    """
    return _hsdt(num_bands, weights, True, flex, 'hsdt_pnp')
