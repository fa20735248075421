# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The U-shaped skeleton that HSDT and both generations of MAN share."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BandMismatchError, EmptyDataError, UnitError
from .scene import SceneModel
from .volume_conv import can_stream


class Layers(nn.Module):
    """One half of the skeleton: layers, and what joins them with the skips, if any.

    Args:
        layers: Layers in the order in which they run.
        fusions: For each layer a module of two arguments; None to add skips.
    """

    def __init__(
        self, layers: Sequence[nn.Module], fusions: Sequence[nn.Module] | None = None
    ) -> None:
        """Initialize a new Layers instance."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        if fusions is not None:
            self.fusions = nn.ModuleList(fusions)


class Block(Protocol):
    """Builds a layer of the skeleton."""

    def __call__(self, in_channels: int, out_channels: int, position: int) -> nn.Module:
        """Build a layer from its channels and its mirrored position."""


class SpectralUNet(SceneModel):
    """A U-shaped network of volumes whose bands are never resampled.

    Images enter as volumes of one channel, ``(B, D, H, W, 1)``, in which bands are
    depth; rows and columns are halved by some layers of the encoder and doubled by
    their mirror images in the decoder. The network learns the noise: its output is
    added to the input.

    Args:
        channels: Channels behind the head.
        num_layers: Layers of the encoder, and of the decoder.
        sampled: Positions of the layers that change the size.
        noise_map: Whether a second channel tells the network how strong the noise is.

    Example:
        >>> from torchgeo_hsi.models import get_model
        >>> model = get_model('man_s')
        >>> isinstance(model, SpectralUNet), model.divisor
        (True, 4)
        >>> model(torch.rand(1, 12, 10, 7)).shape
        torch.Size([1, 12, 10, 7])
    """

    head: nn.Module
    encoder: Layers
    decoder: Layers
    tail: nn.Module

    def __init__(
        self, channels: int, num_layers: int, sampled: Sequence[int], noise_map: bool
    ) -> None:
        """Initialize a new SpectralUNet instance."""
        super().__init__()
        self.channels = channels
        self.noise_map = noise_map
        self.divisor = 2 ** len(sampled)
        self._num_layers = num_layers
        self._sampled = frozenset(sampled)

    def _build(
        self,
        same: tuple[Block, Block],
        down: Block,
        up: Block,
        fusion: Callable[[int], nn.Module] | None = None,
    ) -> None:
        """Build encoder and decoder; *same* has the blocks that keep the size."""
        width = self.channels
        encoder, widths = [], [width]
        for i in range(self._num_layers):
            block, wider = (down, 2 * width) if i in self._sampled else (same[0], width)
            encoder.append(block(width, wider, i))
            width = wider
            widths.append(width)
        decoder, fusions = [], []
        for i in reversed(range(self._num_layers)):
            block = up if i in self._sampled else same[1]
            decoder.append(block(widths[i + 1], widths[i], i))
            if fusion is not None:
                fusions.append(fusion(widths[i + 1]))
        self.encoder = Layers(encoder)
        self.decoder = Layers(decoder, fusions if fusion is not None else None)
        if fusions:
            # published weights have it, but the deepest features are not fused: several
            # processes would wait for its gradient
            fusions[0].requires_grad_(False)

    def forward(self, image: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        """Denoise images.

        Args:
            image: Noisy images of shape ``(B, C, H, W)``, values about 0 to 1.
            sigma: For networks with a noise map, the standard deviation of the noise on
                the scale of 0 to 255: a number, one for each band, ``(C,)`` or
                ``(B, C)``, or one for each value, ``(B, C, H, W)``.

        Returns:
            Denoised images of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If the images have no pixel.
            UnitError: If the images are no floating point numbers, or *sigma* is missing
                or given to a network without a noise map.
        """
        _check_image(image)
        height, width = image.shape[-2:]
        volume = pad_to_multiple(image, self.divisor).unsqueeze(-1)
        noisy = volume
        if self.noise_map:
            level = _noise_level(image, sigma).expand(image.shape)
            padded = pad_to_multiple(level, self.divisor)
            volume = torch.cat((volume, padded.unsqueeze(-1)), -1)
        elif sigma is not None:
            raise UnitError(
                f'This {type(self).__name__} has no noise map and takes no sigma. Build '
                'it with noise_map=True and weights that were trained so, or leave '
                'sigma out.'
            )
        denoised = self._trunk(volume) + noisy
        return denoised.squeeze(-1)[..., :height, :width]

    def _trunk(self, x: Tensor) -> Tensor:
        """Run everything between the two channel axes."""
        first: Tensor = self.head(x)
        x, skips = first, [first]
        for layer in self.encoder.layers:
            x = layer(x)
            skips.append(x)
        # the deepest features go on by themselves
        skips.pop()
        fusions: Any = getattr(self.decoder, 'fusions', None)
        for index, layer in enumerate(self.decoder.layers):
            if index:
                skip = skips.pop()
                x = _add(x, skip) if fusions is None else fusions[index](x, skip)
            x = layer(x)
        y: Tensor = self.tail(_add(x, first))
        return y


def pad_to_multiple(image: Tensor, divisor: int) -> Tensor:
    """Pad images at the right and the bottom to multiples of a number.

    Rows and columns are mirrored. Where an image has fewer of them than are needed for
    that, its last one is repeated.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        divisor: What rows and columns have to be divisible by.

    Returns:
        Images of at least that size; *image* itself if it needs no padding. Cut
        ``[..., :H, :W]`` from the output of the network.

    Raises:
        EmptyDataError: If the images have no pixel.

    Example:
        >>> import torch
        >>> pad_to_multiple(torch.arange(5.0).reshape(1, 1, 1, 5), 4)[0, 0, 0]
        tensor([0., 1., 2., 3., 4., 3., 2., 1.])
    """
    height, width = image.shape[-2:]
    if image.numel() == 0:
        raise EmptyDataError(
            f'Images of shape {tuple(image.shape)} are empty. Leave out tiles without '
            'rows, columns or bands.'
        )
    # not -height % divisor, which torch.compile cannot do with sizes that change
    down = (divisor - height % divisor) % divisor
    right = (divisor - width % divisor) % divisor
    # one axis at a time, because only one of them may be too short to mirror
    if right:
        mode = 'reflect' if right < width else 'replicate'
        image = F.pad(image, (0, right, 0, 0), mode=mode)
    if down:
        mode = 'reflect' if down < height else 'replicate'
        image = F.pad(image, (0, 0, 0, down), mode=mode)
    return image


def _add(x: Tensor, skip: Tensor) -> Tensor:
    """Add, in place of the first where nothing else needs it."""
    return x.add_(skip) if can_stream(x) else x + skip


def _check_image(image: Tensor) -> None:
    if image.ndim != 4:
        raise BandMismatchError(
            'Expected images of shape (batch, bands, height, width), got '
            f'{tuple(image.shape)}. Add the batch axis with image[None], and select one '
            'date of a time series.'
        )
    if not image.is_floating_point():
        raise UnitError(
            f'Expected floating point images with values about 0 to 1, got '
            f'{image.dtype}. Scale them first: reflectance x 10 000 by / 10 000, other '
            'numbers by their minimum and maximum.'
        )


def _noise_level(image: Tensor, sigma: Tensor | float | None) -> Tensor:
    """Bring sigma to the scale of the image, and to a shape that broadcasts to it."""
    if sigma is None:
        raise UnitError(
            'This network has a noise map: give it sigma, the standard deviation of the '
            'noise on the scale of 0 to 255, of shape (B, C) or (B, C, H, W). For noise '
            'of unknown strength, build it with noise_map=False.'
        )
    level = torch.as_tensor(sigma, dtype=image.dtype, device=image.device) / 255
    if level.ndim in (1, 2):
        level = level[..., None, None]
    fits = len(level.shape) in (0, 3, 4) and all(
        length in (1, wanted)
        for length, wanted in zip(
            reversed(level.shape), reversed(image.shape), strict=False
        )
    )
    if not fits:
        raise BandMismatchError(
            f'Expected sigma of shape {tuple(image.shape[:2])} or {tuple(image.shape)} '
            f'for images of shape {tuple(image.shape)}, got '
            f'{tuple(getattr(sigma, "shape", ()))}.'
        )
    return level
