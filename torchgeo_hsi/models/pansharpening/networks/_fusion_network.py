# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What networks for pansharpening share: bands, scale, weights."""

from abc import abstractmethod
from typing import Literal

from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import BandMismatchError
from ..base import Pansharpener
from ..pair import Margins, Pair
from ._checkpoints import PUBLISHED, load_checkpoint


class FusionNetwork(Pansharpener):
    """A network for a number of bands that works on images divided by a scale."""

    knows_margins = True

    #: Fine pixels on each side that may change a pixel of the result, rounded up.
    reach: int = 12

    def __init__(self, in_channels: int, scale: float, gain: float = 0.3) -> None:
        """Initialize a new FusionNetwork instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.
            gain: Gain of the cube's sensor at its Nyquist frequency.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If *scale* is not positive.
        """
        super().__init__(gain=gain)
        if in_channels < 1:
            raise BandMismatchError(f'Expected at least one band, got {in_channels}.')
        if not scale > 0:
            raise ValueError(
                f'Expected a positive scale, got {scale}. It is what images are divided '
                'by: 65536 for digital numbers of PRISMA, 10000 for reflectance times '
                '10,000, 1 for reflectance.'
            )
        self.in_channels = in_channels
        self.scale = scale

    @abstractmethod
    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Interpolated cube, or a prior, of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Cube of shape ``(B, C, h, w)``.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """

    def sharpen(self, pair: Pair) -> Tensor:
        """Sharpen a cube with the weights that the network has.

        Args:
            pair: Cube and PAN.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If the cube has another number of bands.
        """
        near, kept = self._near(pair)
        fused = self.output(self.fuse(*self.inputs(near)), near)
        return fused[(..., *kept.slices(pair.ratio))]

    def _near(self, pair: Pair) -> tuple[Pair, Margins]:
        """Leave a tile only as much margin as the network can see.

        Interpolation needs wide margins, and the network would compute all of them.
        """
        keep = -(-self.reach // pair.ratio)
        kept = Margins(*(min(margin, keep) for margin in pair.margins))
        rest = Margins(*(m - k for m, k in zip(pair.margins, kept, strict=True)))
        near = Pair(pair._cube, pair._pan, margins=rest, views=pair.views, up=pair._up)
        return near, kept

    def inputs(self, pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
        """Divide images by the scale.

        Args:
            pair: Cube and PAN.

        Returns:
            Interpolated cube or prior, PAN and cube, in the number format of the weights.

        Raises:
            BandMismatchError: If the cube has another number of bands.
        """
        bands = pair.cube.shape[1]
        if bands != self.in_channels:
            raise BandMismatchError(
                f'Expected a cube of {self.in_channels} bands, as the network has, got '
                f'{bands}. Build the network with in_channels={bands}, or choose bands. '
                f'{PUBLISHED}.'
            )
        dtype = next(self.parameters()).dtype
        images = (self.prepare(pair), pair.pan / self.scale, pair.cube / self.scale)
        up, pan, cube = (image.to(dtype) for image in images)
        return up, pan, cube

    def prepare(self, pair: Pair) -> Tensor:
        """Make the image with fine pixels that the network begins with.

        Args:
            pair: Cube and PAN.

        Returns:
            Image of shape ``(B, C, H, W)``, divided by the scale.
        """
        return pair.up / self.scale

    def output(self, fused: Tensor, pair: Pair) -> Tensor:
        """Multiply an image with the scale.

        Args:
            fused: Sharpened cube, divided by the scale.
            pair: Cube and PAN, whose number format the result has.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        return fused.to(pair.cube.dtype) * self.scale


def reflected_conv(in_channels: int, out_channels: int, size: int) -> nn.Conv2d:
    """Build a convolution that keeps rows and columns by mirroring the border.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the result.
        size: Rows and columns of the kernel, an odd number.

    Returns:
        The layer.
    """
    return nn.Conv2d(
        in_channels, out_channels, size, padding=size // 2, padding_mode='reflect'
    )


def build[M: nn.Module](model: M, weights: PathLike | None) -> M:
    """Load weights, if there are any.

    Args:
        model: The network; it is changed.
        weights: Path of a checkpoint, or None.

    Returns:
        The network.
    """
    if weights is not None:
        load_checkpoint(model, weights)
    return model


def check_prior(prior: str) -> Literal['deep', 'interpolated']:
    """Check the name of a prior.

    Args:
        prior: The name.

    Returns:
        The name.

    Raises:
        ValueError: If there is no such prior.
    """
    if prior == 'deep':
        return 'deep'
    if prior == 'interpolated':
        return 'interpolated'
    raise ValueError(f'Expected the prior interpolated or deep, got {prior!r}.')
