# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whitening by a few steps of Newton's iteration, and what is missing to full whitening."""

import torch
from torch import Tensor

from .._precision import full_precision
from ._embeddings import Axis, to_rows


def iterative_normalization(
    z: Tensor, iterations: int = 4, axis: Axis = 'channels', eps: float = 1e-6
) -> Tensor:
    r"""Whiten embeddings in part, without an eigendecomposition.

    With the covariance :math:`\Sigma` of the centered embeddings and
    :math:`\Sigma_N = \Sigma / \mathrm{tr} \Sigma`, Newton's iteration for
    :math:`\Sigma_N^{-1/2}` starts with :math:`P_0 = I` and goes on with
    :math:`P_k = \frac{3}{2} P_{k-1} - \frac{1}{2} P_{k-1}^3 \Sigma_N`. The result is the
    centered embeddings times :math:`P_T / \sqrt{\mathrm{tr} \Sigma}`. Small eigenvalues
    grow by no more than :math:`2.25^T`, see :func:`normalized_spectrum`, so noise is not
    blown up as by full whitening. It is computed in float32 or float64, whatever the
    mixed precision around it.

    * https://arxiv.org/abs/2305.16789
    * https://arxiv.org/abs/1904.03441

    Args:
        z: Embeddings of shape ``(B, D)``.
        iterations: Number *T* of iterations.
        axis: ``'batch'`` whitens the features over the batch, as usual; ``'channels'``
            centers each sample over its features, and whitens the samples.
        eps: Added to the trace, so that constant embeddings become 0.

    Returns:
        Embeddings of shape ``(B, D)``.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> z = torch.eye(4) - 1 / 4
        >>> iterative_normalization(z, iterations=9, axis='batch').T.cov().trace()
        tensor(3.0000)
    """
    if iterations < 0:
        raise ValueError(f'Expected 0 or more iterations, got {iterations}.')
    with full_precision(z.device):
        rows = to_rows(z, axis)
        covariance = rows @ rows.T / (rows.shape[1] - 1)
        trace = covariance.trace() + eps
        covariance = covariance / trace
        one = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        root = one
        # P and P P Sigma side by side: the recursion of P alone amplifies its errors of
        # rounding where an eigenvalue is almost 0
        rest = covariance
        for step in range(iterations):
            factor = 1.5 * one - 0.5 * rest
            root = factor if step == 0 else root @ factor
            if step + 1 < iterations:
                rest = factor @ rest @ factor
        rows = root @ rows / trace.sqrt()
        return rows.T if axis == 'batch' else rows


def trace_loss(z_hat: Tensor, axis: Axis = 'channels') -> Tensor:
    """Compute how far the variances are from 1, which they have after full whitening.

    After :func:`iterative_normalization` the sum of the variances is largest where all
    eigenvalues are the same, so this loss is what keeps embeddings from collapsing. It
    does not fall to 0: with 4 iterations and 256 equal eigenvalues, the variances are
    0.095 and the loss is 209.6.

    * https://arxiv.org/abs/2305.16789

    Args:
        z_hat: Whitened embeddings of shape ``(B, D)``.
        axis: What was whitened: the features (``'batch'``) or the samples
            (``'channels'``).

    Returns:
        The sum over features or samples of (variance - 1) squared.

    Raises:
        ValueError: If there is no such axis, or the shape is another one.

    Example:
        >>> trace_loss(torch.tensor([[1.0, 1.0], [1.0, 3.0]]), axis='batch')
        tensor(2.)
    """
    with full_precision(z_hat.device):
        rows = to_rows(z_hat, axis)
        variance = rows.square().sum(dim=1) / (rows.shape[1] - 1)
        return (variance - 1).square().sum()


def normalized_spectrum(shares: Tensor, iterations: int = 4) -> Tensor:
    """Compute what iterative normalization makes of eigenvalues.

    Args:
        shares: Eigenvalues of a covariance, divided by their sum; any shape.
        iterations: Number of iterations.

    Returns:
        Eigenvalues of the covariance after it, from 0 to 1.

    Example:
        >>> normalized_spectrum(torch.tensor([1 / 256, 1 / 16]), iterations=4)
        tensor([0.0952, 0.7933])
    """
    root = torch.ones_like(shares)
    for _ in range(iterations):
        root = 1.5 * root - 0.5 * root**3 * shares
    return shares * root.square()
