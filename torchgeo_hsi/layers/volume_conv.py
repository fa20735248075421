# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Convolutions of volumes (bands, rows, columns) whose channels come last."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Up to so many channels, three bands of them are fewer than a 3-D convolution likes.
_FEW = 2
#: Values that are worked on at once: a few such arrays fit the caches of a core.
_CHUNK = 1 << 17

#: For comparisons, networks may be kept from it, see :func:`can_stream`.
_STREAMS = True

#: Winograd's minimal filtering: six products give four outputs of a filter of three.
#: The filter, at the points 0, 1, -1, 2, -2 and infinity.
_FILTER = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


class VolumeConv(nn.Conv3d):
    """A 3-D convolution of volumes with the channels last, padded to the same size.

    The parameters are those of :class:`torch.nn.Conv3d`. Kernels of one band are run as
    2-D convolutions of all bands, those of one pixel as matrix products.

    Args:
        *args: Arguments of :class:`torch.nn.Conv3d`. Kernels are 1 or 3 long, and
            padded by half of that.
        **kwargs: More of them.

    Example:
        >>> import torch
        >>> conv = VolumeConv(16, 32, (1, 3, 3), padding=(0, 1, 1))
        >>> conv(torch.rand(1, 31, 8, 8, 16)).shape
        torch.Size([1, 31, 8, 8, 32])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve.

        Args:
            input: Volumes of shape ``(B, D, H, W, C)``.

        Returns:
            Volumes of shape ``(B, D', H', W', C')``.
        """
        return conv_volume(input, self.weight, self.bias, self.stride[1:])

    def stream(
        self, volume: Tensor, *, up: bool = False, reverse: bool = False
    ) -> Iterator[tuple[slice, Tensor]]:
        """Convolve a volume a few bands at a time, see ``stream_conv``."""
        weight, bias, stride = self.weight, self.bias, self.stride[1:]
        return stream_conv(volume, weight, bias, stride, up=up, reverse=reverse)


class VolumeConvTranspose(nn.ConvTranspose3d):
    """A transposed 3-D convolution that keeps the size, with the channels last.

    The parameters are those of :class:`torch.nn.ConvTranspose3d`. With stride 1, it is
    a convolution with the mirrored kernel, which is faster.

    Args:
        *args: Arguments of :class:`torch.nn.ConvTranspose3d`. Kernels are 3 long,
            padded by 1.
        **kwargs: More of them.

    Example:
        >>> import torch
        >>> conv = VolumeConvTranspose(32, 16, 3, padding=1)
        >>> conv(torch.rand(1, 31, 8, 8, 32)).shape
        torch.Size([1, 31, 8, 8, 16])
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve.

        Args:
            input: Volumes of shape ``(B, D, H, W, C)``.
            output_size: Has to be None, as the size stays.

        Returns:
            Volumes of shape ``(B, D, H, W, C')``.
        """
        return conv_volume(input, self._mirrored(), self.bias)

    def stream(
        self, volume: Tensor, *, up: bool = False, reverse: bool = False
    ) -> Iterator[tuple[slice, Tensor]]:
        """Convolve a volume a few bands at a time, see ``stream_conv``."""
        weight = self._mirrored()
        return stream_conv(volume, weight, self.bias, up=up, reverse=reverse)

    def _mirrored(self) -> Tensor:
        return self.weight.transpose(0, 1).flip(2, 3, 4)


def conv_volume(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, ...] = (1, 1),
) -> Tensor:
    """Convolve volumes with the channels last, padded with zeros to the same size.

    Args:
        x: Volumes of shape ``(B, D, H, W, C)``.
        weight: Kernel of shape ``(C', C, 1 or 3, 1 or 3, 1 or 3)``.
        bias: Summand of shape ``(C',)``.
        stride: Steps along rows and columns.

    Returns:
        Volumes of shape ``(B, D, H', W', C')``.
    """
    size = tuple(weight.shape[2:])
    if size == (1, 1, 1) and stride == (1, 1):
        return F.linear(x, weight.flatten(1), bias)
    if size == (3, 1, 1) and stride == (1, 1):
        # an image whose rows are bands
        flat = x.flatten(2, 3).permute(0, 3, 1, 2)
        y = F.conv2d(flat, weight[..., 0], bias, padding=(1, 0))
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:4], -1)
    if size[0] == 1:
        y = conv_images(x.flatten(0, 1), weight[:, :, 0], bias, stride)
        return _split_batch(y, x)
    if _is_thin(weight) and stride == (1, 1):
        return _conv_thin(F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1)), weight, bias)
    y = F.conv3d(x.permute(0, 4, 1, 2, 3), weight, bias, (1, *stride), (1, 1, 1))
    return y.permute(0, 2, 3, 4, 1)


def _split_batch(y: Tensor, x: Tensor) -> Tensor:
    """Take the bands of *y*, ``(B D, H, W, C)``, apart as those of *x*."""
    return y.reshape(*x.shape[:2], *y.shape[1:])


def _is_thin(weight: Tensor) -> bool:
    """Whether a 3-D convolution would be slow for want of channels."""
    return len(weight) == 1 or weight.shape[1] <= _FEW


def _conv_thin(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve volumes of few channels, ``(B, D + 2, H, W, C)``."""
    if len(weight) > 1:
        # neighboring bands are channels
        bands = x.unfold(1, 3, 1).flatten(4)
        y = conv_images(bands.flatten(0, 1).contiguous(), weight.flatten(1, 2), bias)
        return _split_batch(y, bands)
    # what each band gives to its neighbors and itself, and then the sum
    y = conv_images(x.flatten(0, 1), weight[0].transpose(0, 1), None)
    y = _split_batch(y, x)
    total = y[:, :-2, ..., 0] + y[:, 1:-1, ..., 1] + y[:, 2:, ..., 2]
    return (total if bias is None else total + bias).unsqueeze(-1)


def conv_images(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, ...] = (1, 1),
) -> Tensor:
    """Convolve images with the channels last, ``(N, H, W, C)``, by 3 x 3 kernels.

    Args:
        x: Images of shape ``(N, H, W, C)``.
        weight: Kernel of shape ``(C', C, 3, 3)``.
        bias: Summand of shape ``(C',)``.
        stride: Steps along rows and columns.

    Returns:
        Images of shape ``(N, H', W', C')``.
    """
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, stride, (1, 1))
    return y.permute(0, 2, 3, 1)


def can_stream(x: Tensor) -> bool:
    """Whether a volume may be worked on in pieces and in place: on a CPU, no gradients.

    There, what is computed in the caches is worth more than few and large operations.

    Args:
        x: Volumes.

    Returns:
        False, too, for half precision and while compiling.
    """
    return (
        _STREAMS
        and not torch.compiler.is_compiling()
        and not torch.is_grad_enabled()
        and x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled('cpu')
    )


def chunk_bands(x: Tensor, multiple: int = 1, channels: int = 0) -> int:
    """Return how many bands of a volume to work on at once.

    Args:
        x: Volume of shape ``(D, H, W, C)``.
        multiple: What the number has to be divisible by.
        channels: Channels of the widest array, if more than *x* has.

    Returns:
        A number of bands, at least *multiple*.
    """
    # each thread gets enough, so that waiting for the last one costs little
    values = _CHUNK * torch.get_num_threads() * multiple
    band = x.shape[1] * x.shape[2] * max(x.shape[3], channels)
    return max(values // max(band, 1) // multiple, 1) * multiple


def chunk_pixels(x: Tensor) -> int:
    """Return how many pixels of a volume to work on at once, with all their bands.

    Args:
        x: Volume of shape ``(D, H, W, C)``.

    Returns:
        A number of pixels, at least one.
    """
    values = _CHUNK * torch.get_num_threads()
    return max(values // (x.shape[0] * x.shape[3]), 1)


def window(x: Tensor, start: int, stop: int) -> Tensor:
    """Cut bands from a volume with one more at each side, zeros beyond its ends.

    Args:
        x: Volume of shape ``(D, H, W, C)``.
        start: First band.
        stop: Band behind the last one; may lie beyond the end.

    Returns:
        Volume of shape ``(stop - start + 2, H, W, C)``.
    """
    part = x[max(start - 1, 0) : stop + 1]
    before, after = max(1 - start, 0), max(stop + 1 - len(x), 0)
    return F.pad(part, (0, 0, 0, 0, 0, 0, before, after)) if before or after else part


def stream_bands(x: Tensor, *, reverse: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """Go through a volume a few bands at a time, from the last ones if so asked."""
    step = chunk_bands(x)
    starts = range(0, len(x), step)
    for start in reversed(starts) if reverse else starts:
        place = slice(start, min(start + step, len(x)))
        yield place, x[place]


def stream_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, ...] = (1, 1),
    *,
    up: bool = False,
    reverse: bool = False,
) -> Iterator[tuple[slice, Tensor]]:
    """Convolve a volume with a 3 x 3 x 3 kernel, a few bands at a time.

    Along the bands, Winograd's algorithm needs half as many products; rows and columns
    are left to 2-D convolutions. Without gradients.

    Args:
        x: Volume of shape ``(D, H, W, C)``.
        weight: Kernel of shape ``(C', C, 3, 3, 3)``.
        bias: Summand of shape ``(C',)``.
        stride: Steps along rows and columns.
        up: Whether to double rows and columns first.
        reverse: Whether to start with the last bands.

    Yields:
        Places of bands, and their values, ``(n, H', W', C')``.
    """
    thin = _is_thin(weight)
    if not thin:
        points = torch.einsum('kt,oithw->koihw', weight.new_tensor(_FILTER), weight)
        layout = torch.channels_last
        pieces = [k.contiguous(memory_format=layout) for k in points]
    scale = 2 if up else 1
    wide = max(x.shape[-1], len(weight)) * scale**2
    step = chunk_bands(x, 8 if thin else 4, wide)
    starts = range(0, len(x), step)
    for start in reversed(starts) if reverse else starts:
        stop = min(start + step, len(x))
        if thin:
            part = window(x, start, stop)
            part = upsample(part) if up else part
            yield slice(start, stop), _conv_thin(part[None], weight, bias)[0]
            continue
        tiles = -(-(stop - start) // 4)
        part = window(x, start, start + 4 * tiles)
        part = upsample(part) if up else part
        products = [
            conv_images(v, kernel, bias if k == 1 else None, stride)
            for k, (v, kernel) in enumerate(zip(_split(part), pieces, strict=True))
        ]
        yield slice(start, stop), _join(products)[: stop - start]


def _split(x: Tensor) -> Iterator[Tensor]:
    """Evaluate each six of ``4 n + 2`` bands, as polynomials, at the six points."""
    tiles = (len(x) - 2) // 4
    d0, d1, d2, d3, d4, d5 = (x[j : j + 4 * tiles - 3 : 4] for j in range(6))
    yield torch.sub(d4, d2, alpha=5).add_(d0, alpha=4)
    even, odd = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
    yield even + odd
    yield even.sub_(odd)
    even, odd = torch.sub(d4, d2, out=even), torch.sub(d3, d1, out=odd)
    yield torch.add(even, odd, alpha=2)
    yield even.sub_(odd, alpha=2)
    yield torch.sub(d5, d3, alpha=5).add_(d1, alpha=4)


def _join(products: list[Tensor]) -> Tensor:
    """Find ``4 n`` bands from their values at the six points."""
    m0, m1, m2, m3, m4, m5 = products
    tiles = len(m0)
    out = m0.new_empty(4 * tiles, *m0.shape[1:])
    y0, y1, y2, y3 = (out[j::4] for j in range(4))
    even, odd = m1 + m2, m1.sub_(m2)
    even2, odd2 = torch.add(m3, m4, out=m2), m3.sub_(m4)
    torch.add(m0, even, out=y0).add_(even2)
    torch.add(odd, odd2, alpha=2, out=y1)
    torch.add(even, even2, alpha=4, out=y2)
    torch.add(m5, odd, out=y3).add_(odd2, alpha=8)
    return out


class VolumeUpsample(nn.Module):
    """Double the rows and columns of volumes; the bands stay.

    The corners of input and output are aligned, as in the published networks: the
    distance of the samples then depends on the size of the image, so tiles of one
    scene should all be of one size.

    Example:
        >>> import torch
        >>> VolumeUpsample()(torch.rand(1, 31, 8, 8, 32)).shape
        torch.Size([1, 31, 16, 16, 32])
    """

    def __init__(self) -> None:
        """Initialize a new VolumeUpsample instance."""
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Upsample.

        Args:
            x: Volumes of shape ``(..., D, H, W, C)``.

        Returns:
            Volumes of shape ``(..., D, 2H, 2W, C)``.
        """
        return upsample(x)


def upsample(x: Tensor) -> Tensor:
    """Double the rows and columns of volumes, see :class:`VolumeUpsample`."""
    images = x.flatten(0, -4).permute(0, 3, 1, 2)
    images = F.interpolate(images, scale_factor=2, mode='bilinear', align_corners=True)
    return images.permute(0, 2, 3, 1).reshape(*x.shape[:-3], *images.shape[2:], -1)
