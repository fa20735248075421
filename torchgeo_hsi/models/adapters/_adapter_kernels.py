# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Matrix-product form of the spectral adapter for CPUs.

The adapter mixes bands only, so its convolutions are matrix products over windows of
the spectral axis. Activations are kept as ``(position, channel, pixel)``: then a window
is one contiguous block of rows, all windows together are a strided view without a
copy, and an image of shape ``(C, H * W)`` already has the right order. Pixels are
worked on in chunks, so that everything between input and output stays in the cache.

In training the first activation (by far the largest) is never stored: the batch
statistics of the first convolution follow from the second moments of its input, and
the backward pass computes it again, chunk by chunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Kernel size, stride and output channels of the three spectral convolutions.
KERNELS = (7, 7, 5)
STRIDES = (5, 5, 3)
CHANNELS = (32, 64, 128)

#: Fewest bands for which the third convolution has one output position.
MIN_BANDS = 75

#: Pixels per chunk and thread: more no longer fit the cache.
CHUNK = 512

#: A chunk of pixels: image in the batch, first pixel, number of pixels.
type Chunk = tuple[int, int, int]


def spectral_lengths(num_bands: int) -> tuple[int, int, int]:
    """Return the number of spectral positions behind each convolution.

    Args:
        num_bands: Number of input bands.

    Returns:
        The three lengths; the last one is below 1 for too few bands.
    """
    lengths = []
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        num_bands = (num_bands + 2 - kernel) // stride + 1
        lengths.append(num_bands)
    return lengths[0], lengths[1], lengths[2]


def as_matrix(weight: Tensor) -> Tensor:
    """Flatten a kernel to a matrix whose columns have the order of a window.

    Args:
        weight: Kernel of shape ``(O, I, K, 1, 1)``.

    Returns:
        Matrix of shape ``(O, K * I)``.
    """
    return weight.flatten(2).transpose(1, 2).flatten(1)


def as_kernel(matrix: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`as_matrix`.

    Args:
        matrix: Matrix of shape ``(O, K * I)``.
        like: Kernel of shape ``(O, I, K, 1, 1)``.

    Returns:
        Tensor of the shape and type of *like*.
    """
    out_channels, in_channels, kernel = like.shape[:3]
    kernels = matrix.view(out_channels, kernel, in_channels).transpose(1, 2)
    return kernels.reshape(like.shape).to(like.dtype)


def windows(
    buffer: Tensor, level: int, count: int, start: int = 0, step: int = 1
) -> Tensor:
    """View the windows that a convolution sees.

    Args:
        buffer: Padded input of shape ``(L + 2, I, P)``, contiguous.
        level: Which convolution, from 0.
        count: Number of windows.
        start: First window.
        step: Take every *step*-th window.

    Returns:
        View of shape ``(count, K * I, P)``; neighbouring windows share memory.
    """
    _, channels, pixels = buffer.shape
    jump = STRIDES[level] * channels * pixels
    return buffer.as_strided(
        (count, KERNELS[level] * channels, pixels),
        (step * jump, pixels, 1),
        start * jump,
    )


def chunks(x: Tensor) -> list[Chunk]:
    """Cut a batch into chunks of pixels.

    Args:
        x: Batch of shape ``(B, C, N)``.

    Returns:
        Image, first pixel and number of pixels of each chunk.
    """
    batch, _, pixels = x.shape
    width = CHUNK * min(torch.get_num_threads(), 16)
    return [
        (image, first, min(width, pixels - first))
        for image in range(batch)
        for first in range(0, pixels, width)
    ]


class Scratch:
    """Buffers that are allocated once for each width of chunk.

    Args:
        x: Batch of shape ``(B, C, N)``.
    """

    def __init__(self, x: Tensor) -> None:
        """Initialize a new Scratch instance."""
        self.x = x
        self._buffers: dict[tuple[str, int], Tensor] = {}

    def get(self, name: str, length: int, channels: int, pixels: int) -> Tensor:
        """Return a buffer of shape ``(length, channels, pixels)``, zero at first."""
        key = name, pixels
        if key not in self._buffers:
            self._buffers[key] = self.x.new_zeros(length, channels, pixels)
        return self._buffers[key]

    def bands(self, chunk: Chunk) -> Tensor:
        """Load a chunk of the input, with one zero band on either side."""
        image, first, pixels = chunk
        buffer = self.get('bands', self.x.shape[1] + 2, 1, pixels)
        buffer[1:-1, 0].copy_(self.x[image, :, first : first + pixels])
        return buffer


def convolve(buffer: Tensor, level: int, weight: Tensor, out: Tensor) -> Tensor:
    """Convolve a padded buffer along the spectral axis.

    Args:
        buffer: Padded input of shape ``(L + 2, I, P)``.
        level: Which convolution, from 0.
        weight: Matrix of shape ``(O, K * I)``.
        out: Where to write, shape ``(count, O, P)``.

    Returns:
        *out*.
    """
    view = windows(buffer, level, len(out))
    return torch.bmm(weight.expand(len(out), -1, -1), view, out=out)


def scatter(grad: Tensor, level: int, weight: Tensor, out: Tensor) -> Tensor:
    """Apply the transpose of :func:`convolve`.

    Args:
        grad: Gradient of the output, shape ``(count, O, P)``.
        level: Which convolution, from 0.
        weight: Matrix of shape ``(O, K * I)``.
        out: Where to write, shape ``(L + 2, I, P)``, padding included.

    Returns:
        *out*.
    """
    out.zero_()
    # every other window does not overlap, so two sweeps need no temporary array
    for start in (0, 1):
        part = grad[start::2]
        if len(part):
            view = windows(out, level, len(part), start, 2)
            view.baddbmm_(weight.t().expand(len(part), -1, -1), part)
    return out


def kernel_grad(grad: Tensor, buffer: Tensor, level: int) -> Tensor:
    """Correlate the gradient of a convolution's output with its input.

    Args:
        grad: Gradient of the output, shape ``(count, O, P)``.
        buffer: Padded input of shape ``(L + 2, I, P)``.
        level: Which convolution, from 0.

    Returns:
        Gradient of the weight matrix, float64 of shape ``(O, K * I)``.
    """
    view = windows(buffer, level, len(grad)).transpose(1, 2)
    return torch.bmm(grad, view).sum(0).double()


def first_activation(
    scratch: Scratch, chunk: Chunk, weight: Tensor, shift: Tensor
) -> Tensor:
    """Run the first convolution with its normalization folded in.

    Args:
        scratch: The buffers that hold the batch.
        chunk: Pixels to work on.
        weight: Matrix ``(O, K)`` times the scale of the normalization.
        shift: Shift of the normalization, shape ``(O,)``.

    Returns:
        Padded activation of shape ``(L + 2, O, P)``.
    """
    bands = scratch.bands(chunk)
    length = spectral_lengths(scratch.x.shape[1])[0]
    buffer = scratch.get('a0', length + 2, CHANNELS[0], chunk[2])
    z = buffer[1:-1]
    view = windows(bands, 0, length)
    shift = shift.view(-1, 1).expand_as(z)
    torch.baddbmm(shift, weight.expand(length, -1, -1), view, out=z).relu_()
    return buffer


@dataclass
class Norm:
    """What a batch normalization does to the output of one convolution.

    Args:
        mean: Mean of the output, without the bias of the convolution, float64.
        var: Biased variance of the output, float64.
        gamma: Weight of the normalization.
        beta: Bias of the normalization.
        eps: Summand of the variance.
        count: Values per channel if these are batch statistics, else 0.
    """

    mean: Tensor
    var: Tensor
    gamma: Tensor
    beta: Tensor
    eps: float
    count: int

    def __post_init__(self) -> None:
        """Derive the affine form."""
        self.invstd = (self.var + self.eps).rsqrt()
        self.scale = self.gamma.double() * self.invstd
        self.shift = self.beta.double() - self.mean * self.scale

    def fold(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return a weight matrix and a bias that include the normalization."""
        folded = weight * self.scale.to(weight.dtype).view(-1, 1)
        return folded, self.shift.to(weight.dtype)

    def apply(self, y: Tensor, origin: Tensor, out: Tensor) -> None:
        """Normalize and rectify ``y + origin`` into *out*."""
        shift = self.shift + origin * self.scale
        torch.mul(y, self.scale.to(y.dtype).view(-1, 1), out=out)
        out.add_(shift.to(y.dtype).view(-1, 1)).relu_()

    def grads(self, dz: Tensor, dzy: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of gamma and beta.

        Args:
            dz: Sum of the gradient behind the normalization.
            dzy: Sum of that gradient times ``y``.
            origin: What has been taken off ``y``.
        """
        return self.invstd * (dzy - (self.mean - origin) * dz), dz

    def backward(
        self,
        dz: Tensor,
        y: Tensor,
        origin: Tensor,
        grads: tuple[Tensor, Tensor],
        scratch: Tensor,
    ) -> None:
        """Turn the gradient behind the normalization into the one before it.

        Args:
            dz: Gradient behind the normalization; overwritten.
            y: Input of the normalization less *origin*.
            origin: What has been taken off ``y``.
            grads: Gradients of gamma and beta over the whole batch.
            scratch: Buffer of the shape of *y*.
        """
        dz.mul_(self.scale.to(dz.dtype).view(-1, 1))
        if not self.count:
            return
        gamma, beta = grads
        slope = -self.scale * self.invstd * gamma / self.count
        level = -self.scale * beta / self.count - slope * (self.mean - origin)
        dz.add_(torch.mul(y, slope.to(y.dtype).view(-1, 1), out=scratch))
        dz.add_(level.to(y.dtype).view(-1, 1))


class Moments:
    """Mean and variance over chunks, without cancellation.

    The mean of the first chunk is taken off all values: sums of squares of values
    that are nearly centred keep their digits.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        """Initialize a new Moments instance."""
        self.count = 0
        self.origin = torch.zeros(channels, dtype=torch.float64)
        self._sum = torch.zeros(channels, dtype=torch.float64)
        self._square = torch.zeros(channels, dtype=torch.float64)

    def add(self, y: Tensor, scratch: Tensor) -> None:
        """Take in a chunk of shape ``(L, C, P)``; take the origin off it, in place."""
        if not self.count:
            self.origin = y.mean((0, 2)).double()
        y.sub_(self.origin.to(y.dtype).view(-1, 1))
        self._sum += y.sum((0, 2))
        self._square += torch.mul(y, y, out=scratch).sum((0, 2))
        self.count += y.shape[0] * y.shape[2]

    def finish(self) -> tuple[Tensor, Tensor, int]:
        """Return the mean, the biased variance and the number of values."""
        mean = self._sum / self.count
        var = self._square / self.count - mean.square()
        return mean + self.origin, var.clamp_min(0), self.count


class WindowMoments:
    """First and second moments of the windows that the first convolution sees.

    Mean and variance of a convolution's output are ``w @ mean`` and
    ``w @ covariance @ w``, so the output itself is not needed. In float64, because
    neighbouring bands are almost equal and the filter may be a difference.

    Args:
        scratch: The buffers that hold the batch.
        parts: The chunks of the batch.
    """

    def __init__(self, scratch: Scratch, parts: Sequence[Chunk]) -> None:
        """Initialize a new WindowMoments instance."""
        kernel = KERNELS[0]
        length = spectral_lengths(scratch.x.shape[1])[0]
        self.total = torch.zeros(kernel, dtype=torch.float64)
        gram = torch.zeros(kernel, kernel, dtype=torch.float64)
        self.count = 0
        for chunk in parts:
            view = windows(scratch.bands(chunk).double(), 0, length)
            self.total += view.sum((0, 2))
            gram += torch.bmm(view, view.transpose(1, 2)).sum(0)
            self.count += length * chunk[2]
        self.scatter = gram - self.total.outer(self.total) / self.count

    def output(self, weight: Tensor) -> tuple[Tensor, Tensor, int]:
        """Return mean, biased variance and count behind a matrix ``(O, K)``."""
        weight = weight.double()
        mean = weight @ (self.total / self.count)
        var = ((weight @ self.scatter) * weight).sum(1) / self.count
        return mean, var.clamp_min(0), self.count
