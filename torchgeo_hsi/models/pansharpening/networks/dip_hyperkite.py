# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DIP-HyperKite: fine structures at eight times the resolution."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...._typing import PathLike
from ...api import register_model
from ..pair import Pair
from ._fusion_network import FusionNetwork, build, check_prior, reflected_conv
from .deep_image_prior import PRIOR_STEPS, deep_image_prior

#: Slope of the activations for negative values.
_SLOPE = 0.2

#: Pixels on each side that may change a pixel of the result; it is less than seven.
_MARGIN = 8


def _double(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2, mode='bilinear', align_corners=False)


class DIPHyperKite(FusionNetwork):
    """HyperKite: an over-complete network, whose inner layers have more pixels.

    Where others halve rows and columns, this network doubles them three times, so that
    its layers see small neighborhoods and find fine structures; these are added to a
    *prior* image. As published that is the result of an optimization for each image, the
    deep image prior with a predicted PAN (:func:`deep_image_prior`), which takes minutes
    to hours. By default it is the interpolated cube. Train and apply the network with the
    same kind of prior. As in the toolbox of the review, whose names the tensors have:

    * https://doi.org/10.48550/arXiv.2407.01355

    A pixel of the input needs about 100 kB inside, so large images are cut into tiles in
    evaluation. Tiles overlap by as much as a pixel can see, so that the result is that
    of the whole image.

    Example:
        >>> import torch
        >>> model = DIPHyperKite(in_channels=20).eval()
        >>> model(torch.rand(1, 20, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 20, 48, 48])
    """

    def __init__(
        self,
        in_channels: int,
        scale: float = 65536.0,
        prior: Literal['deep', 'interpolated'] = 'interpolated',
        prior_steps: int = PRIOR_STEPS,
        tile_size: int | None = 100,
        gain: float = 0.3,
    ) -> None:
        """Initialize a new DIPHyperKite instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.
            prior: ``'interpolated'``, or ``'deep'``: optimized for each image, also in
                training.
            prior_steps: Steps of that optimization.
            tile_size: Rows and columns of the tiles in evaluation; the whole image at once if
                None.
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If another argument is out of its range.
        """
        super().__init__(in_channels, scale, gain)
        if tile_size is not None and tile_size < 1:
            raise ValueError(f'Expected tiles of at least one pixel, got {tile_size}.')
        self.prior = check_prior(prior)
        self.prior_steps = prior_steps
        self.tile_size = tile_size
        self.encoder1 = reflected_conv(in_channels + 1, 32, 3)
        self.ebn1 = nn.BatchNorm2d(32)
        self.encoder2 = reflected_conv(32, 64, 3)
        self.ebn2 = nn.BatchNorm2d(64)
        self.encoder3 = reflected_conv(64, 128, 3)
        self.ebn3 = nn.BatchNorm2d(128)
        self.endec_conv = reflected_conv(128, 128, 3)
        self.endec_bn = nn.BatchNorm2d(128)
        self.decoder1 = reflected_conv(256, 64, 3)
        self.dbn1 = nn.BatchNorm2d(64)
        self.decoder2 = reflected_conv(128, 32, 3)
        self.dbn2 = nn.BatchNorm2d(32)
        self.decoder3 = reflected_conv(64, in_channels, 3)
        self.dbn3 = nn.BatchNorm2d(in_channels)
        self.final_conv = nn.Conv2d(in_channels, in_channels, 1)

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Prior of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Not used.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        stack = torch.cat([pan, up], 1)
        if (
            self.training
            or self.tile_size is None
            or max(up.shape[-2:]) <= self.tile_size
        ):
            return self._details(stack) + up
        fused = up.clone()
        for rows, wide_rows in _tiles(up.shape[-2], self.tile_size):
            for cols, wide_cols in _tiles(up.shape[-1], self.tile_size):
                details = self._details(stack[..., wide_rows, wide_cols])
                top, left = (
                    part.start - wide.start
                    for part, wide in ((rows, wide_rows), (cols, wide_cols))
                )
                height, width = rows.stop - rows.start, cols.stop - cols.start
                fused[..., rows, cols] += details[
                    ..., top : top + height, left : left + width
                ]
        return fused

    def prepare(self, pair: Pair) -> Tensor:
        """Make the prior.

        Args:
            pair: Cube and PAN.

        Returns:
            Prior of shape ``(B, C, H, W)``, divided by the scale.
        """
        if self.prior == 'interpolated':
            return super().prepare(pair)
        return deep_image_prior(
            pair.cube / self.scale,
            pair.pan / self.scale,
            gain=pair.gain,
            steps=self.prior_steps,
        )

    def _details(self, stack: Tensor) -> Tensor:
        once = self._layer(1, stack)
        twice = self._layer(2, _double(once))
        thrice = self._layer(3, _double(twice))
        inner = self.endec_bn(self.endec_conv(_double(thrice)))
        inner = F.leaky_relu(inner, _SLOPE)
        for number, shallow in enumerate((thrice, twice, once), start=1):
            joined = torch.cat([F.max_pool2d(inner, 2), shallow], 1)
            inner = self._layer(number, joined, coder='decoder', norm='dbn')
        details: Tensor = self.final_conv(inner)
        return details

    def _layer(
        self, number: int, image: Tensor, coder: str = 'encoder', norm: str = 'ebn'
    ) -> Tensor:
        image = self.get_submodule(f'{coder}{number}')(image)
        return F.leaky_relu(self.get_submodule(f'{norm}{number}')(image), _SLOPE)


def _tiles(length: int, size: int) -> list[tuple[slice, slice]]:
    """Cut a line into tiles, each alone and with the neighbors that it depends on."""
    return [
        (
            slice(start, min(start + size, length)),
            slice(max(start - _MARGIN, 0), min(start + size + _MARGIN, length)),
        )
        for start in range(0, length, size)
    ]


@register_model
def dip_hyperkite(
    in_channels: int,
    scale: float = 65536.0,
    prior: Literal['deep', 'interpolated'] = 'interpolated',
    prior_steps: int = PRIOR_STEPS,
    tile_size: int | None = 100,
    gain: float = 0.3,
    weights: PathLike | None = None,
) -> DIPHyperKite:
    """Build :class:`DIPHyperKite`, 0.59 million parameters for 159 bands.

    Args:
        in_channels: Bands of the cube.
        scale: Images are divided by it, and the result is multiplied by it: 65536 for
            digital numbers of PRISMA, 10000 for reflectance times 10,000.
        prior: ``'interpolated'``, or ``'deep'``: optimized for each image.
        prior_steps: Steps of that optimization.
        tile_size: Rows and columns of the tiles in evaluation; the whole image at once if
            None.
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        weights: Path of a checkpoint; random weights by default. The file of the toolbox
            is for 159 bands of PRISMA as digital numbers.

    Returns:
        The model.

    Raises:
        BandMismatchError: If the checkpoint is for another number of bands.
        CorruptFileError: If the checkpoint is damaged, or that of something else.

    Example:
        >>> dip_hyperkite(in_channels=159).final_conv.weight.shape
        torch.Size([159, 159, 1, 1])
    """
    model = DIPHyperKite(in_channels, scale, prior, prior_steps, tile_size, gain=gain)
    return build(model, weights)
