# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Alignment of embeddings whose spectrum of eigenvalues is transformed."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .._precision import full_precision
from ._embeddings import Axis, alignment, check_axis, gather_views, to_rows

type Spectrum = float | Callable[[Tensor], Tensor]

#: Smallest eigenvalue, far below those of embeddings that mean something.
_TINY = 1e-12


def spectral_transformation(
    embeddings: Tensor, power: Spectrum = 0.5, axis: Axis = 'batch', eps: float = 1e-5
) -> Tensor:
    r"""Change the eigenvalues of the covariance of embeddings, and nothing else.

    With the centered embeddings :math:`Z_c` and their covariance
    :math:`\Sigma = U \mathrm{diag}(\lambda) U^T`, the result is
    :math:`Z_c U g(\Lambda) U^T`, whose covariance has the eigenvalues
    :math:`\lambda g(\lambda)^2`. Powers :math:`g(\lambda) = \lambda^{-p}` lead from the
    embeddings themselves (*p* = 0) to ZCA whitening (*p* = 0.5, all eigenvalues 1) and
    beyond; a large *eps* whitens softly.

    The gradient is that of a function of a symmetric matrix: it has divided differences
    of :math:`g` where the gradient of an eigendecomposition divides by the differences
    of the eigenvalues, so equal eigenvalues do no harm. All is computed in float32 or
    float64, whatever the mixed precision around it. There is no second derivative.

    * https://arxiv.org/abs/2305.16789

    Args:
        embeddings: Embeddings of shape ``(B, D)``.
        power: *p*, or a function *g* that is applied to each of the eigenvalues on its
            own and can be differentiated.
        axis: ``'batch'`` whitens the features over the batch, as usual; ``'channels'``
            centers each sample over its features, and whitens the samples.
        eps: Share of the mean eigenvalue that is added to all of them.

    Returns:
        Embeddings of shape ``(B, D)``.

    Raises:
        ValueError: If an argument is out of its range, or a number is not finite.

    Example:
        >>> z = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> spectral_transformation(z).T.cov().round(decimals=3)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if eps < 0:
        raise ValueError(f'Expected an eps of 0 or more, got {eps}.')
    with full_precision(embeddings.device):
        rows = to_rows(embeddings, axis)
        covariance = rows @ rows.T / (rows.shape[1] - 1)
        shift = eps * covariance.diagonal().mean() + _TINY
        floor = float(shift.detach())
        if not math.isfinite(floor):
            raise ValueError(
                'Expected finite embeddings, got NaN or infinity: the training '
                'diverged. Use a lower learning rate or bf16 instead of fp16.'
            )
        one = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        covariance = covariance + shift * one
        # what rounding makes of 0 may be smaller than that, or negative
        matrix: Tensor = _MatrixFunction.apply(covariance, power, floor)
        rows = matrix @ rows
        return rows.T if axis == 'batch' else rows


class _MatrixFunction(torch.autograd.Function):
    """A function of the eigenvalues of a symmetric matrix."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, power: Spectrum, floor: float) -> Tensor:
        """Apply the function.

        Args:
            ctx: Context of the gradient.
            matrix: A symmetric matrix of shape ``(N, N)``.
            power: The function, or p of the power -p.
            floor: Smallest eigenvalue.

        Returns:
            A symmetric matrix of shape ``(N, N)``.
        """
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp_min(floor)
        ctx.power = power
        ctx.save_for_backward(values, vectors)
        changed = power(values) if callable(power) else values.pow(-power)
        if changed.shape != values.shape:
            raise ValueError(
                f'Expected a function of {len(values)} eigenvalues that returns as '
                f'many, got the shape {tuple(changed.shape)}.'
            )
        result: Tensor = (vectors * changed) @ vectors.T
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Compute the gradient by the formula of Daleckii and Krein.

        Args:
            ctx: Context of the gradient.
            grad: Gradient of the result.

        Returns:
            Gradient of the matrix, and None for the rest.
        """
        values, vectors = ctx.saved_tensors
        if callable(ctx.power):
            slopes = _differences(values, ctx.power)
        else:
            slopes = _power_differences(values, ctx.power)
        with full_precision(grad.device):
            inner = vectors.T @ (grad + grad.T) @ vectors / 2
            return vectors @ (slopes * inner) @ vectors.T, None, None


def _power_differences(values: Tensor, power: float) -> Tensor:
    """Compute (a^-p - b^-p) / (a - b) of all pairs, without a difference of the two.

    With the half of log a / b it is a ratio of hyperbolic sines, which stays exact where
    a and b come together.
    """
    logs = values.log()
    half = (logs[:, None] - logs) / 2
    middle = (logs[:, None] + logs) / 2
    same = half == 0
    ratio = (power * half).sinh() / half.masked_fill(same, 1).sinh()
    ratio = ratio.masked_fill(same, power)
    return -(-(power + 1) * middle).exp() * ratio


def _differences(values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute (g(a) - g(b)) / (a - b) of all pairs, the mean slope where a is near b."""
    with torch.enable_grad():
        inputs = values.detach().requires_grad_()
        outputs = function(inputs)
        (slope,) = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
    outputs = outputs.detach()
    slope = torch.zeros_like(values) if slope is None else slope
    gap = values[:, None] - values
    # here the errors of rounding and of the mean slope are about the same
    least = torch.finfo(values.dtype).eps ** (1 / 3)
    near = gap.abs() <= least * torch.minimum(values[:, None], values)
    quotient = (outputs[:, None] - outputs) / gap.masked_fill(near, 1)
    return torch.where(near, (slope[:, None] + slope) / 2, quotient)


class SpectralTransformationLoss(nn.Module):
    """Alignment of views whose embeddings went through a spectral transformation.

    Powers below 0.5 let embeddings collapse onto a few dimensions; 0.5 is hard (ZCA)
    whitening, and slightly more is safe, too. :class:`INTLLoss` is the member of this
    family that needs no eigendecomposition.

    * https://arxiv.org/abs/2305.16789

    Args:
        power: *p* of the function lambda^-p of the eigenvalues, or a function of them.
        axis: ``'batch'`` whitens the features over the batch, as usual; ``'channels'``
            centers each sample over its features, and whitens the samples.
        eps: Share of the mean eigenvalue that is added to all of them.
        gather: Whether all processes whiten together.

    Example:
        >>> loss = SpectralTransformationLoss(power=0.5)
        >>> z = torch.randn(64, 8)
        >>> loss([z, z]).abs() < 1e-5
        tensor(True)
    """

    def __init__(
        self,
        power: Spectrum = 0.5,
        axis: Axis = 'batch',
        eps: float = 1e-5,
        gather: bool = True,
    ) -> None:
        """Initialize a new SpectralTransformationLoss instance.

        Raises:
            ValueError: If an argument is out of its range.
        """
        super().__init__()
        check_axis(axis)
        if eps < 0:
            raise ValueError(f'Expected an eps of 0 or more, got {eps}.')
        self.power, self.axis, self.eps, self.gather = power, axis, eps, gather

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss.

        Args:
            views: Embeddings of shape ``(B, D)`` of two or more views; the first is
                compared with all others.

        Returns:
            The mean over the pairs of 2 - 2 x mean cosine.

        Raises:
            ValueError: If there are fewer views, or their shapes do not fit.
        """
        found = [
            spectral_transformation(view, self.power, self.axis, self.eps)
            for view in gather_views(views, self.gather)
        ]
        with full_precision(found[0].device):
            pairs = [alignment(view, found[0]) for view in found[1:]]
            return torch.stack(pairs).mean()
