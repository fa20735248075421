# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The spectral adapter of SpectralEarth."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..._compat import has_hooks, in_function_transform
from ...errors import BandMismatchError
from ._adapter_function import FusedAdapter, Layer, Statistics, infer
from ._adapter_kernels import (
    CHANNELS,
    CHUNK,
    KERNELS,
    MIN_BANDS,
    STRIDES,
    spectral_lengths,
)


def check_num_bands(num_bands: int) -> None:
    """Check that the spectral adapter can take a number of bands.

    Args:
        num_bands: Number of bands.

    Raises:
        BandMismatchError: If there are fewer than 75.
    """
    if num_bands < MIN_BANDS:
        raise BandMismatchError(
            f'The spectral adapter needs at least {MIN_BANDS} bands, got {num_bands}. '
            'For so few bands use a timm model without the adapter, e.g. "resnet50" '
            f'with in_chans={num_bands}; or pass more bands of the sensor.'
        )


@torch.no_grad()
def track_moments(norm: _BatchNorm, mean: Tensor, var: Tensor, count: int) -> None:
    """Update the running statistics of a batch normalization, as torch does.

    Args:
        norm: The normalization.
        mean: Mean of the batch.
        var: Biased variance of the batch.
        count: Values per channel.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    factor = norm.momentum
    if factor is None:
        factor = 1 / float(norm.num_batches_tracked)
    unbiased = var * (count / (count - 1))
    norm.running_mean.mul_(1 - factor).add_(factor * mean.to(norm.running_mean))
    norm.running_var.mul_(1 - factor).add_(factor * unbiased.to(norm.running_var))


class SpectralAdapter(nn.Sequential):
    """Spectral adapter: any number of bands in, 128 feature maps out.

    Three strided convolutions along the spectral axis, each with batch normalization
    and ReLU, then the mean over the spectral positions that are left. Pixels are not
    mixed. The weights do not depend on the number of bands; 75 is the least that the
    strides leave something of. The adapter sees positions, not wavelengths: weights
    that were trained on one sensor mean something else on another.

    The layers have the names and shapes of the published checkpoints (keys ``0``,
    ``1``, ``3``, ``4``, ``6`` and ``7``; 56 192 parameters), and running them one by
    one on ``(B, 1, C, H, W)`` gives the same numbers. :meth:`forward` is faster: on a
    CPU it takes matrix products over windows of the spectral axis, with the
    normalization folded in where no gradient is needed; elsewhere it convolves in 2-D
    over bands and pixels.

    If you use this model in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        in_chans: Number of bands that inputs must have; any number from 75 by default.

    Raises:
        BandMismatchError: If *in_chans* is below 75.

    Example:
        >>> import torch
        >>> adapter = SpectralAdapter().eval()
        >>> adapter(torch.rand(2, 202, 16, 16)).shape
        torch.Size([2, 128, 16, 16])
    """

    #: Fewest bands that the adapter takes.
    min_bands = MIN_BANDS
    #: Number of feature maps that come out.
    out_chans = CHANNELS[-1]

    def __init__(self, in_chans: int | None = None) -> None:
        """Initialize a new SpectralAdapter instance.

        Args:
            in_chans: Number of bands that inputs must have; any number from 75 by
                default.

        Raises:
            BandMismatchError: If *in_chans* is below 75.
        """
        if in_chans is not None:
            check_num_bands(in_chans)
        layers: list[nn.Module] = []
        previous = 1
        for kernel, stride, channels in zip(KERNELS, STRIDES, CHANNELS, strict=True):
            conv = nn.Conv3d(
                previous,
                channels,
                kernel_size=(kernel, 1, 1),
                stride=(stride, 1, 1),
                padding=(1, 0, 0),
            )
            layers += [conv, nn.BatchNorm3d(channels), nn.ReLU()]
            previous = channels
        super().__init__(*layers, nn.AdaptiveAvgPool3d((1, None, None)))
        self.in_chans = in_chans

    def forward(self, x: Tensor) -> Tensor:
        """Turn spectra into feature maps.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Feature maps of shape ``(B, 128, H, W)``.

        Raises:
            BandMismatchError: If *C* is below 75, or is not ``in_chans``.
        """
        self._check(x)
        if not self._is_stock():
            return self._layer_by_layer(x)
        if self._is_fusable(x):
            return self._fused(x)
        return self._convolve(x)

    def _check(self, x: Tensor) -> None:
        """Check the shape of the input."""
        if x.ndim != 4:
            raise BandMismatchError(
                'Expected images of shape (batch, bands, height, width), got '
                f'{tuple(x.shape)}.'
            )
        bands = x.shape[1]
        check_num_bands(bands)
        if self.in_chans is not None and bands != self.in_chans:
            raise BandMismatchError(
                f'This model was built for {self.in_chans} bands, got {bands}. Build '
                f'it with in_chans={bands} (in_channels={bands} in a torchgeo task): '
                'the weights fit any number of bands. Or select the '
                f'{self.in_chans} bands that it was trained on.'
            )

    def _is_stock(self) -> bool:
        """Whether no layer has been replaced or hooked."""
        kinds = [nn.Conv3d, _BatchNorm, nn.ReLU] * 3 + [nn.AdaptiveAvgPool3d]
        layers = list(self)
        if len(layers) != len(kinds) or any(has_hooks(layer) for layer in layers):
            return False
        return all(
            isinstance(layer, kind) if kind is _BatchNorm else type(layer) is kind
            for layer, kind in zip(layers, kinds, strict=True)
        )

    def _layer_by_layer(self, x: Tensor) -> Tensor:
        """Run the layers as they are."""
        x = x.unsqueeze(1)
        for layer in self:
            x = layer(x)
        return x.squeeze(2)

    def _convolve(self, x: Tensor) -> Tensor:
        """Run the convolutions in 2-D, over bands and pixels."""
        height, width = x.shape[-2:]
        x = x.flatten(2).unsqueeze(1)
        for i, stride in zip((0, 3, 6), STRIDES, strict=True):
            conv = cast(nn.Conv3d, self[i])
            weight = conv.weight.squeeze(-1)
            x = F.conv2d(x, weight, conv.bias, (stride, 1), (1, 0))
            x = x.reshape(*x.shape[:-1], height, width)
            x = F.relu(self[i + 1](x), inplace=True).flatten(3)
        x = x.mean(2)
        return x.reshape(*x.shape[:2], height, width)

    def _is_fusable(self, x: Tensor) -> bool:
        """Whether the matrix-product form can take this input."""
        weights = [cast(nn.Conv3d, self[i]).weight for i in (0, 3, 6)]
        norms = [cast(_BatchNorm, self[i]) for i in (1, 4, 7)]
        tensors = [x, *weights]
        positions = x.shape[0] * x.shape[2] * x.shape[3]
        return (
            all(t.device.type == 'cpu' and t.dtype == x.dtype for t in tensors)
            # others (fake, distributed, dual) may lack views with overlap
            and all(type(t) in (Tensor, nn.Parameter) for t in tensors)
            and not in_function_transform()
            and x.dtype in (torch.float32, torch.float64)
            # one value has no variance: leave the error message to torch
            and positions > 1
            and all(type(n) is nn.BatchNorm3d and n.affine for n in norms)
            and all(cast(nn.Conv3d, self[i]).bias is not None for i in (0, 3, 6))
            and not (x.requires_grad and torch.is_grad_enabled())
            and not torch.is_autocast_enabled('cpu')
            and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
            and not torch.compiler.is_compiling()
        )

    def _fused(self, x: Tensor) -> Tensor:
        """Run the matrix-product form."""
        batch, bands, height, width = x.shape
        pixels = x.detach().flatten(2)
        # the pixels of many small images are one long row
        merge = batch > 1 and height * width < CHUNK
        if merge:
            pixels = pixels.transpose(0, 1).reshape(1, bands, -1)
        out = self._fused_pixels(pixels)
        if merge:
            out = out.view(-1, batch, height * width).transpose(0, 1).contiguous()
        return out.view(batch, -1, height, width)

    def _fused_pixels(self, x: Tensor) -> Tensor:
        """Run the matrix-product form on pixels of shape ``(B, C, N)``."""
        layers, statistics = [], []
        for i in (0, 3, 6):
            conv, norm = cast(nn.Conv3d, self[i]), cast(_BatchNorm, self[i + 1])
            assert conv.bias is not None
            layers.append(Layer(conv.weight, conv.bias, norm.weight, norm.bias))
            batch = norm.training or norm.running_mean is None
            running = (None, None) if batch else (norm.running_mean, norm.running_var)
            statistics.append(Statistics(norm.eps, *running))
        params = [parameter for layer in layers for parameter in layer]
        fixed = all(s.mean is not None for s in statistics)
        if fixed and not (
            torch.is_grad_enabled() and any(p.requires_grad for p in params)
        ):
            with torch.no_grad():
                return infer(x, layers, statistics)
        out, *moments = FusedAdapter.apply(x, statistics, *params)
        for i, length in enumerate(spectral_lengths(x.shape[1])):
            norm = cast(_BatchNorm, self[3 * i + 1])
            if norm.training and norm.track_running_stats:
                mean = moments[2 * i] + layers[i].bias
                count = length * x.shape[0] * x.shape[2]
                track_moments(norm, mean, moments[2 * i + 1], count)
        return cast(Tensor, out)
