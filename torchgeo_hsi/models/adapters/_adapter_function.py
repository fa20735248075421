# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Forward and backward pass of the spectral adapter, fused for CPUs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._adapter_kernels import (
    CHANNELS,
    Chunk,
    Moments,
    Norm,
    Scratch,
    WindowMoments,
    as_kernel,
    as_matrix,
    chunks,
    convolve,
    first_activation,
    kernel_grad,
    scatter,
    spectral_lengths,
    windows,
)


class Layer(NamedTuple):
    """One convolution and the normalization behind it.

    Args:
        weight: Kernel, shape ``(O, I, K, 1, 1)``.
        bias: Bias of the convolution, shape ``(O,)``.
        gamma: Weight of the normalization, shape ``(O,)``.
        beta: Bias of the normalization, shape ``(O,)``.
    """

    weight: Tensor
    bias: Tensor
    gamma: Tensor
    beta: Tensor


class Statistics(NamedTuple):
    """What a normalization divides by.

    Args:
        eps: Summand of the variance.
        mean: Running mean, shape ``(O,)``; None for the statistics of the batch.
        var: Running variance, shape ``(O,)``; None for the statistics of the batch.
    """

    eps: float
    mean: Tensor | None = None
    var: Tensor | None = None


class Sums:
    """Sums over all chunks that the gradients of a normalization need.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        """Initialize a new Sums instance."""
        self.dz = torch.zeros(channels, dtype=torch.float64)
        self.dzy = torch.zeros(channels, dtype=torch.float64)

    def add(self, dz: Tensor, y: Tensor, scratch: Tensor) -> None:
        """Take in a chunk of the gradient and of the normalization's input."""
        self.dz += dz.sum((0, 2))
        self.dzy += torch.mul(dz, y, out=scratch).sum((0, 2))


class Step:
    """One pass of a batch through the adapter and back.

    Args:
        layers: Parameters of the three convolutions.
        statistics: What the three normalizations divide by.
    """

    def __init__(
        self, layers: Sequence[Layer], statistics: Sequence[Statistics]
    ) -> None:
        """Initialize a new Step instance."""
        self.layers = layers
        self.statistics = statistics
        # copies: an optimizer may step between the forward and the backward pass
        self.weights = [as_matrix(layer.weight).clone() for layer in layers]
        self.parts: list[Chunk] = []
        self.norms: list[Norm] = []
        self.origins: list[Tensor] = []
        self.moments: WindowMoments | None = None

    def norm(self, level: int, moments: tuple[Tensor, Tensor, int] | None) -> Norm:
        """Describe a normalization, with the statistics of the batch where given."""
        layer, (eps, mean, var) = self.layers[level], self.statistics[level]
        if moments is not None:
            return Norm(*moments[:2], layer.gamma, layer.beta, eps, moments[2])
        assert mean is not None
        assert var is not None
        # the bias moves the output and the mean alike, so it is left out of both
        mean = mean.double() - layer.bias.double()
        var = var.to(torch.float64, copy=True)
        return Norm(mean, var, layer.gamma, layer.beta, eps, 0)

    def _activation(self, scratch: Scratch, level: int, y: Tensor) -> Tensor:
        """Normalize and rectify the output of a convolution into a padded buffer."""
        length, channels, pixels = y.shape
        buffer = scratch.get(f'a{level}', length + 2, channels, pixels)
        self.norms[level].apply(y, self.origins[level], out=buffer[1:-1])
        return buffer

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Run the forward pass.

        Args:
            x: Batch of shape ``(B, C, N)``.

        Returns:
            Features of shape ``(B, 128, N)``, and the outputs of the second and the
            third convolution, less their origin, in chunks.
        """
        scratch, self.parts = Scratch(x), chunks(x)
        if self.statistics[0].mean is None:
            self.moments = WindowMoments(scratch, self.parts)
        moments = self.moments.output(self.weights[0]) if self.moments else None
        self.norms, self.origins = [self.norm(0, moments)], [torch.zeros(1)]
        second = self._convolve_all(scratch, 1, [])
        third = self._convolve_all(scratch, 2, second)
        out = x.new_empty(len(x), CHANNELS[-1], x.shape[2])
        for (image, first, pixels), y in zip(self.parts, third, strict=True):
            z = self._activation(scratch, 2, y)[1:-1]
            out[image, :, first : first + pixels] = z.mean(0)
        return out, second, third

    def _convolve_all(
        self, scratch: Scratch, level: int, inputs: Sequence[Tensor]
    ) -> list[Tensor]:
        """Run one convolution over all chunks and describe its normalization."""
        length = spectral_lengths(scratch.x.shape[1])[level]
        folded = self.norms[0].fold(self.weights[0])
        batch = self.statistics[level].mean is None
        moments = Moments(CHANNELS[level])
        outputs = []
        for i, chunk in enumerate(self.parts):
            if level == 1:
                buffer = first_activation(scratch, chunk, *folded)
            else:
                buffer = self._activation(scratch, level - 1, inputs[i])
            shape = length, CHANNELS[level], chunk[2]
            y = scratch.x.new_empty(shape)
            convolve(buffer, level, self.weights[level], y)
            if batch:
                moments.add(y, scratch.get(f't{level}', *shape))
            outputs.append(y)
        self.origins.append(moments.origin)
        self.norms.append(self.norm(level, moments.finish() if batch else None))
        return outputs

    def backward(
        self, x: Tensor, second: Sequence[Tensor], third: Sequence[Tensor], grad: Tensor
    ) -> list[Tensor]:
        """Run the backward pass.

        Args:
            x: Batch of shape ``(B, C, N)``.
            second: Chunks of the second convolution's output, from :meth:`forward`.
            third: Chunks of the third convolution's output.
            grad: Gradient of the features.

        Returns:
            Gradients of weight, bias, gamma and beta of each convolution.
        """
        scratch = Scratch(x)
        sums = Sums(CHANNELS[2])
        for y, dz in zip(third, self._unpool(scratch, third, grad), strict=True):
            sums.add(dz, y, scratch.get('t2', *y.shape))
        grads = self._unpool(scratch, third, grad)
        inputs = (self._activation(scratch, 1, y) for y in second)
        pull = Pull(self, scratch, 2, sums)
        kept, sums = [], Sums(CHANNELS[1])
        for y, dz in zip(second, pull(third, grads, inputs), strict=True):
            sums.add(dz, y, scratch.get('t1', *y.shape))
            kept.append(dz.clone())
        last = pull.result()
        folded = self.norms[0].fold(self.weights[0])
        inputs = (first_activation(scratch, chunk, *folded) for chunk in self.parts)
        pull = Pull(self, scratch, 1, sums)
        total = torch.zeros(CHANNELS[0], dtype=torch.float64)
        cross = torch.zeros_like(self.weights[0], dtype=torch.float64)
        for dz in pull(second, kept, inputs):
            bands = scratch.get('bands', x.shape[1] + 2, 1, dz.shape[2])
            total += dz.sum((0, 2))
            cross += kernel_grad(dz, bands, 0)
        return [*self._first(total, cross), *pull.result(), *last]

    def _unpool(
        self, scratch: Scratch, third: Sequence[Tensor], grad: Tensor
    ) -> Iterator[Tensor]:
        """Take the gradient back through the mean and the last rectifier."""
        for (image, first, pixels), y in zip(self.parts, third, strict=True):
            z = self._activation(scratch, 2, y)[1:-1]
            yield z.sign_().mul_(grad[image, :, first : first + pixels] / len(z))

    def _first(self, total: Tensor, cross: Tensor) -> list[Tensor]:
        """Return the gradients of the first layer.

        The gradient of the kernel is linear in the gradient behind the normalization,
        so sums over the batch are enough and no chunk has to be kept.

        Args:
            total: Sum of that gradient, shape ``(O,)``.
            cross: Sum of its products with the windows, shape ``(O, K)``.
        """
        norm, weight = self.norms[0], self.weights[0].double()
        # y = weight @ window, so the sum of dz * y needs no y
        gamma, beta = norm.grads(total, (weight * cross).sum(1), self.origins[0])
        bias = norm.scale * total
        if self.moments:
            slope = norm.invstd * gamma / norm.count
            cross = cross - beta.outer(self.moments.total) / norm.count
            cross -= slope.view(-1, 1) * (weight @ self.moments.scatter)
            bias = torch.zeros_like(bias)
        return [norm.scale.view(-1, 1) * cross, bias, gamma, beta]


class Pull:
    """The way of a gradient back through one normalization and its convolution.

    Args:
        step: The pass that it belongs to.
        scratch: Buffers.
        level: Which convolution, from 0.
        sums: Sums over the gradient behind the normalization.
    """

    def __init__(self, step: Step, scratch: Scratch, level: int, sums: Sums) -> None:
        """Initialize a new Pull instance."""
        self.norm, self.weight = step.norms[level], step.weights[level]
        self.origin = step.origins[level]
        self.grads = self.norm.grads(sums.dz, sums.dzy, self.origin)
        self.kernel = torch.zeros_like(self.weight, dtype=torch.float64)
        self.scratch, self.level = scratch, level

    def __call__(
        self, ys: Iterable[Tensor], grads: Iterable[Tensor], inputs: Iterable[Tensor]
    ) -> Iterator[Tensor]:
        """Iterate over the gradient behind the previous normalization.

        Args:
            ys: Outputs of the convolution, less the origin.
            grads: Gradients behind the normalization; overwritten.
            inputs: Padded inputs of the convolution; overwritten.

        Yields:
            Chunks that are valid until the next one.
        """
        for y, dz, buffer in zip(ys, grads, inputs, strict=True):
            scratch = self.scratch.get(f't{self.level}', *y.shape)
            self.norm.backward(dz, y, self.origin, self.grads, scratch)
            self.kernel += kernel_grad(dz, buffer, self.level)
            back = self.scratch.get(f'd{self.level}', *buffer.shape)
            scatter(dz, self.level, self.weight, back)
            yield back[1:-1].mul_(buffer[1:-1].sign_())

    def result(self) -> list[Tensor]:
        """Return the gradients of weight, bias, gamma and beta."""
        gamma, beta = self.grads
        # a bias in front of batch statistics has no effect
        bias = torch.zeros_like(beta) if self.norm.count else self.norm.scale * beta
        return [self.kernel, bias, gamma, beta]


def infer(
    x: Tensor, layers: Sequence[Layer], statistics: Sequence[Statistics]
) -> Tensor:
    """Run the adapter with all normalizations folded into the convolutions.

    Args:
        x: Batch of shape ``(B, C, N)``, float32 or float64 on the CPU.
        layers: Parameters of the three convolutions.
        statistics: Running statistics of the three normalizations.

    Returns:
        Features of shape ``(B, 128, N)``.
    """
    step = Step(layers, statistics)
    norms = [step.norm(level, None) for level in range(3)]
    folded = [n.fold(w) for n, w in zip(norms, step.weights, strict=True)]
    scratch = Scratch(x)
    lengths = spectral_lengths(x.shape[1])
    out = x.new_empty(len(x), CHANNELS[-1], x.shape[2])
    for chunk in chunks(x):
        image, first, pixels = chunk
        buffer = first_activation(scratch, chunk, *folded[0])
        for level in (1, 2):
            weight, shift = folded[level]
            count = lengths[level]
            padded = scratch.get(f'a{level}', count + 2, CHANNELS[level], pixels)
            z = padded[1:-1]
            view = windows(buffer, level, count)
            shift = shift.view(-1, 1).expand_as(z)
            torch.baddbmm(shift, weight.expand(count, -1, -1), view, out=z).relu_()
            buffer = padded
        out[image, :, first : first + pixels] = buffer[1:-1].mean(0)
    return out


class FusedAdapter(torch.autograd.Function):
    """The adapter as one differentiable function of its parameters.

    The input gets no gradient. Outputs are the features and, for each convolution,
    mean and biased variance of its output over the batch (or the fixed ones, without
    the bias of the convolution).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, statistics: Sequence[Statistics], *params: Tensor
    ) -> tuple[Tensor, ...]:
        """Run the forward pass.

        Args:
            ctx: Context of autograd.
            x: Batch of shape ``(B, C, N)``, float32 or float64 on the CPU.
            statistics: What the three normalizations divide by.
            params: Weight, bias, gamma and beta of each convolution.
        """
        layers = [Layer(*params[i : i + 4]) for i in (0, 4, 8)]
        step = Step(layers, statistics)
        out, second, third = step.forward(x)
        ctx.save_for_backward(x, *second, *third)
        ctx.step = step
        moments = [m for norm in step.norms for m in (norm.mean, norm.var)]
        ctx.mark_non_differentiable(*moments)
        return out, *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Run the backward pass.

        Args:
            ctx: Context of autograd.
            grad: Gradient of the features.
        """
        x, *saved = ctx.saved_tensors
        half = len(saved) // 2
        step: Step = ctx.step
        grads = step.backward(x, saved[:half], saved[half:], grad.contiguous())
        result: list[Tensor | None] = [None, None]
        for i, gradient in enumerate(grads):
            parameter = step.layers[i // 4][i % 4]
            if i % 4 == 0:
                gradient = as_kernel(gradient, parameter)
            result.append(gradient.to(parameter.dtype))
        return tuple(result)
