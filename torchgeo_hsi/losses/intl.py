# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Iterative normalization with trace loss."""

import math
import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .._precision import full_precision
from ..errors import HSIWarning
from ._embeddings import Axis, alignment, check_axis, gather_views
from .iterative_normalization import iterative_normalization, trace_loss


def intl_trace_weight(size: int) -> float:
    """Compute the published weight of the trace loss.

    * https://arxiv.org/abs/2305.16789

    Args:
        size: Samples in all processes together for channel whitening, features for
            batch whitening.

    Returns:
        0.01 (log2(size) - 3), and 0 below 8.

    Example:
        >>> intl_trace_weight(256), intl_trace_weight(4)
        (0.05, 0.0)
    """
    return max(0.01 * (math.log2(size) - 3), 0.0)


class INTLLoss(nn.Module):
    """Alignment of whitened views, and a trace loss that keeps them from collapsing.

    Each view goes through :func:`iterative_normalization`, together with those of all
    other processes. The first is compared with each of the others, by the squared
    distance on the unit sphere; to each pair, the :func:`trace_loss` of both is added.
    With embeddings of a teacher, all views are compared with these, and the teacher has
    no trace loss.

    What is whitened with more rows than columns cannot become white, so there should be
    more features than images for ``'channels'``, and more images than features for
    ``'batch'``; a warning says so once, in training.

    After a call, ``terms`` holds ``alignment`` and ``trace``, which is the larger part of
    the loss and does not fall to 0, see :func:`trace_loss`.

    If you use this loss in your research, please cite the following paper:

    * https://arxiv.org/abs/2305.16789

    Args:
        axis: ``'channels'`` (published) centers each sample over its features, and
            whitens the samples; ``'batch'`` whitens the features over the batch.
        iterations: Iterations of the whitening. Fewer leave more of the spectrum as it
            is: 4 is published, 5 to 7 suit batches or embeddings of 64 to 128.
        trace_weight: Weight of the trace loss; ``'auto'`` is
            :func:`intl_trace_weight` of the size of the covariance.
        gather: Whether all processes whiten together; without it each does on its own.
        eps: Added to the trace of the covariance.

    Example:
        >>> loss = INTLLoss()
        >>> views = [torch.randn(8, 32, requires_grad=True) for _ in range(4)]
        >>> loss(views).backward()
        >>> loss(views[1:], target=views[0].detach()).isfinite()
        tensor(True)
    """

    def __init__(
        self,
        axis: Axis = 'channels',
        iterations: int = 4,
        trace_weight: float | Literal['auto'] = 'auto',
        gather: bool = True,
        eps: float = 1e-6,
    ) -> None:
        """Initialize a new INTLLoss instance.

        Raises:
            ValueError: If an argument is out of its range.
        """
        super().__init__()
        check_axis(axis)
        if iterations < 1:
            raise ValueError(f'Expected 1 or more iterations, got {iterations}.')
        if trace_weight != 'auto' and not (
            isinstance(trace_weight, int | float) and trace_weight >= 0
        ):
            raise ValueError(
                f"Expected a trace_weight of 0 or more, or 'auto', got {trace_weight!r}."
            )
        self.axis, self.iterations, self.eps = axis, iterations, eps
        self.trace_weight, self.gather = trace_weight, gather
        self.terms: dict[str, Tensor] = {}
        self._warned = False

    def forward(self, views: Sequence[Tensor], target: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            views: Embeddings of shape ``(B, D)``, two or more views; with *target*, one
                or more.
            target: Embeddings of the first crop by a teacher, of shape ``(B, D)``.

        Returns:
            The loss, the same in all processes.

        Raises:
            ValueError: If there are too few views, or their shapes do not fit.
        """
        if not views:
            raise ValueError('Expected embeddings of two or more views, got none.')
        teacher = [] if target is None else [target.detach()]
        with full_precision(views[0].device):
            # the first is what all others are compared with
            gathered = gather_views([*teacher, *views], self.gather)
            weight = self._weight(gathered[0])
            first, *others = [
                iterative_normalization(z, self.iterations, self.axis, self.eps)
                for z in gathered
            ]
            near = torch.stack([alignment(z, first) for z in others]).mean()
            trace = torch.stack([trace_loss(z, self.axis) for z in others]).mean()
            if not teacher:
                # part of each pair, so its share does not fall with their number
                trace = trace + trace_loss(first, self.axis)
            self.terms = {'alignment': near.detach(), 'trace': trace.detach()}
            return near + weight * trace

    def _weight(self, z: Tensor) -> float:
        """Return the weight of the trace loss, and see whether it can fall."""
        batch, features = z.shape
        size, limit = (
            (batch, features) if self.axis == 'channels' else (features, batch)
        )
        if size >= limit and self.training and not self._warned:
            self._warned = True
            few = 'more features than images: use a larger embedding, a smaller batch'
            if self.axis == 'batch':
                few = 'more images than features: use a larger batch, drop_last=True'
            other = 'batch' if self.axis == 'channels' else 'channels'
            warnings.warn(
                f'{batch} embeddings of {features} features cannot become white along '
                f'axis={self.axis!r}. There should be {few} or axis={other!r}.',
                HSIWarning,
                stacklevel=3,
            )
        if self.trace_weight == 'auto':
            return intl_trace_weight(size)
        return float(self.trace_weight)
