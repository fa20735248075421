# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""ESSAformer: attention that looks at correlations of spectra."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from ..._precision import full_precision
from ..._typing import PathLike
from ...errors import BandMismatchError
from ...physics.resampling import imresize_up
from ..api import register_model
from ..weights.restoration import load_restoration_weights
from ._essa_blocks import ESSABlock
from ._essa_rows import RowConv, add_upsampled, downsample, row_windows
from .base import SuperResolver

#: Times that the fine image is refined.
_PASSES = 3


class _Refinement(nn.Module):
    """Up and down between both grids, with the same weights each time."""

    def __init__(self, dim: int, factors: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.convup = ESSABlock(dim, dropout, 'convu')
        self.convdown = ESSABlock(dim, dropout, 'convd')
        up: list[nn.Module] = []
        down: list[nn.Module] = []
        for factor in factors:
            up += [
                nn.Conv2d(dim, dim * factor**2, 3, padding=1),
                nn.PixelShuffle(factor),
            ]
        for factor in reversed(factors):
            down += [
                nn.Conv2d(dim, dim // factor**2, 3, padding=1),
                nn.PixelUnshuffle(factor),
            ]
        self.convupsample = nn.Sequential(*up)
        self.convdownsample = nn.Sequential(*down)

    def forward(self, low: Tensor, keep: bool) -> Tensor:
        """Enlarge features of shape (B, C, h, w)."""
        high: Tensor | None = None
        for _ in range(_PASSES):
            if high is not None:
                low = self._run(self.convdown, self.convdownsample(high) + low, keep)
            raised = self.convupsample(low)
            high = raised if high is None else raised + high
            high = self._run(self.convup, high, keep)
        assert high is not None
        return high

    @staticmethod
    def _run(block: ESSABlock, x: Tensor, keep: bool) -> Tensor:
        if keep:
            return cast(Tensor, block(x))
        # fewer activations in memory, for one more forward pass
        return cast(Tensor, recompute(block, x, use_reentrant=False))

    def stream(self, low: Tensor, block: int) -> Tensor:
        """Enlarge features of shape (h, w, C), which are changed."""
        up, down = _stages(self.convupsample), _stages(self.convdownsample)
        scale = 1
        for _, factor in up:
            scale *= factor
        height, width, channels = low.shape
        high = low.new_zeros(height * scale, width * scale, channels)
        for step in range(_PASSES):
            if step:
                coarse = high
                for conv, factor in down:
                    coarse = downsample(coarse, conv, factor, block)
                low = self.convdown.refine_(low.add_(coarse), block)
                del coarse
            self._add_raised(low, up, high, block)
            self.convup.refine_(high, block)
        return high

    @staticmethod
    def _add_raised(
        low: Tensor, up: list[tuple[nn.Conv2d, int]], high: Tensor, block: int
    ) -> None:
        image = low
        for conv, factor in up[:-1]:
            height, width, channels = image.shape
            larger = image.new_zeros(height * factor, width * factor, channels)
            image = add_upsampled(image, conv, factor, larger, block)
        conv, factor = up[-1]
        add_upsampled(image, conv, factor, high, block)


def _stages(layers: nn.Sequential) -> list[tuple[nn.Conv2d, int]]:
    """Pair each convolution with the factor of what follows it."""
    convs = cast(list[nn.Conv2d], list(layers[::2]))
    shuffles = list(layers[1::2])
    factors = [
        s.upscale_factor if isinstance(s, nn.PixelShuffle) else s.downscale_factor
        for s in shuffles
    ]
    return list(zip(convs, cast(list[int], factors), strict=True))


def _factors(scale: int, dim: int) -> tuple[int, ...]:
    """Split a scale into steps of 2 and 3, if the channels allow it."""
    factors, rest = [], scale
    for factor in (2, 3):
        while rest % factor == 0:
            factors.append(factor)
            rest //= factor
    if rest != 1:
        raise ValueError(
            f'ESSAformer enlarges by factors of 2 and 3, not by {scale}. Take a scale '
            'such as 2, 3, 4, 6 or 8.'
        )
    divisor = 1
    for factor in set(factors):
        divisor *= factor**2
    if dim <= 0 or dim % divisor:
        raise ValueError(
            f'For a scale of {scale}, dim has to be a multiple of {divisor}, got {dim}. '
            f'Take dim={max(1, round(dim / divisor)) * divisor}.'
        )
    return tuple(factors)


class ESSAformer(SuperResolver):
    """ESSAformer: attention that looks at correlations of spectra.

    Features of the cube are enlarged, refined, made smaller, refined and enlarged again,
    with the same weights in each round. Each refinement lets all pixels attend to all
    others, at a cost that grows linearly with their number. From:

    * https://doi.org/10.48550/arXiv.2307.14010

    Keys are normalized over all pixels of the input, so what comes out depends on its
    extent: use tiles not much smaller or larger than the patches of the training.

    Without gradients, and not in training mode, the network works on a few rows at a
    time: one image of features is in memory, and no copy of it.

    Args:
        in_channels: Bands of the cube.
        dim: Channels of the features, a multiple of 4 for scales of 2, 4, 8, of 9 for 3.
        scale: Factor of rows and columns, a product of 2 and 3. Published are powers of
            2, and 3.
        dropout: Share of the channels that are left out in training.
        residual: Whether the interpolated cube is added, so that the network learns
            what interpolation leaves out, and begins with nothing. The published one
            has to learn it all.
        block: Pixels that are worked on at a time without gradients; by default 2048 on
            a CPU, and 65536 on other devices.
        checkpoint: Whether training computes the refinements again in the backward
            pass, instead of keeping what is in them.

    Example:
        >>> model = ESSAformer(in_channels=31, dim=32, scale=4).eval()
        >>> model(torch.rand(1, 31, 6, 8)).shape
        torch.Size([1, 31, 24, 32])
    """

    #: Coarse pixels around a tile that change it, but for the attention.
    context = 11

    in_channels: int

    def __init__(
        self,
        in_channels: int,
        dim: int = 256,
        scale: int = 4,
        dropout: float = 0.2,
        residual: bool = False,
        block: int | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Initialize a new ESSAformer instance.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If the scale is no product of 2 and 3, *dim* does not fit it, or
                *block* is not positive.
        """
        super().__init__(scale)
        if in_channels < 1:
            raise BandMismatchError(f'Expected at least one band, got {in_channels}.')
        if block is not None and block < 1:
            raise ValueError(f'Expected a block of at least one pixel, got {block}.')
        factors = _factors(self.scale, dim)
        self.in_channels = in_channels
        self.residual, self.block, self.checkpoint = residual, block, checkpoint
        self.conv_first = nn.Conv2d(in_channels, dim, 3, padding=1)
        self.blockup = _Refinement(dim, factors, dropout)
        self.conv_last = nn.Conv2d(dim, in_channels, 3, padding=1)
        if residual:
            # it begins as interpolation, and not far below
            for values in self.conv_last.parameters():
                nn.init.zeros_(values)

    def enlarge(self, image: Tensor) -> Tensor:
        """Enlarge images without gaps.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.
        """
        grad = torch.is_grad_enabled()
        if grad or self.training or torch.compiler.is_compiling():
            keep = not (self.checkpoint and grad)
            out: Tensor = self.conv_last(self.blockup(self.conv_first(image), keep))
        else:
            out = self._stream(image)
        return out + imresize_up(image, self.scale) if self.residual else out

    def _stream(self, image: Tensor) -> Tensor:
        """Work on one image after the other, and on a few rows at a time."""
        kind = image.device.type
        if torch.is_autocast_enabled(kind):
            image = image.to(torch.get_autocast_dtype(kind))
        size = [self.scale * n for n in image.shape[-2:]]
        out = image.new_empty(*image.shape[:2], *size)
        with full_precision(image.device):
            for source, target in zip(image, out, strict=True):
                self._stream_image(source, target)
        return out

    def _stream_image(self, image: Tensor, out: Tensor) -> None:
        block = self.block or (2048 if image.device.type == 'cpu' else 65536)
        first, last = self.conv_first, self.conv_last
        low = image.new_empty(*image.shape[1:], first.out_channels)
        enter = RowConv(first.weight, first.bias, image)
        rows = max(1, block // image.shape[2])
        for start, stop, window in row_windows(image.permute(1, 2, 0), rows):
            low[start:stop] = enter(window)
        high = self.blockup.stream(low, block)
        del low
        leave = RowConv(last.weight, last.bias, image)
        rows = max(1, block // high.shape[1])
        for start, stop, window in row_windows(high, rows):
            out[:, start:stop] = leave(window).permute(2, 0, 1)


@register_model
def essaformer(
    in_channels: int = 31,
    dim: int = 256,
    scale: int = 4,
    weights: PathLike | None = None,
    dropout: float = 0.2,
    residual: bool = False,
) -> ESSAformer:
    """Build :class:`ESSAformer`, 11.2 million parameters for 31 bands.

    Args:
        in_channels: Bands of the cube.
        dim: Channels of the features.
        scale: Factor of rows and columns, a product of 2 and 3.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        dropout: Share of the channels that are left out in training.
        residual: Whether the interpolated cube is added.

    Returns:
        The model.

    Raises:
        BandMismatchError: If the checkpoint is for another number of bands.
        ValueError: If the scale or *dim* do not fit.
    """
    model = ESSAformer(in_channels, dim, scale, dropout, residual)
    if weights is not None:
        load_restoration_weights(model, weights, name='essaformer')
    return model
