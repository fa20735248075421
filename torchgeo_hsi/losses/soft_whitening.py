# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Alignment of embeddings that are asked, not forced, to be white."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .._precision import full_precision
from ._embeddings import Axis, alignment, check_axis, gather_views, to_rows


class SoftWhiteningLoss(nn.Module):
    r"""Alignment of views, and a penalty on covariances that are not the identity.

    The counterpart of :class:`SpectralTransformationLoss`, which whitens before it
    compares: here :math:`\|\Sigma - I\|_F^2` of each view is a term of the loss.

    * https://arxiv.org/abs/2210.03586

    Args:
        weight: Weight of the penalty, which is divided by the size of the covariance.
        axis: ``'batch'`` whitens the features over the batch, as usual; ``'channels'``
            centers each sample over its features, and whitens the samples.
        gather: Whether all processes whiten together.

    Example:
        >>> loss = SoftWhiteningLoss(weight=1.0)
        >>> z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> loss([z * 1.5**0.5, z * 1.5**0.5]).abs() < 1e-5
        tensor(True)
    """

    def __init__(
        self, weight: float = 1.0, axis: Axis = 'batch', gather: bool = True
    ) -> None:
        """Initialize a new SoftWhiteningLoss instance.

        Raises:
            ValueError: If an argument is out of its range.
        """
        super().__init__()
        check_axis(axis)
        if weight < 0:
            raise ValueError(f'Expected a weight of 0 or more, got {weight}.')
        self.weight, self.axis, self.gather = weight, axis, gather

    def _penalty(self, z: Tensor) -> Tensor:
        rows = to_rows(z, self.axis)
        covariance = rows @ rows.T / (rows.shape[1] - 1)
        one = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        return (covariance - one).square().sum() / len(rows)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss.

        Args:
            views: Embeddings of shape ``(B, D)`` of two or more views; the first is
                compared with all others.

        Returns:
            The mean over the pairs of 2 - 2 x mean cosine, plus the mean penalty of the
            views.

        Raises:
            ValueError: If there are fewer views, or their shapes do not fit.
        """
        found = gather_views(views, self.gather)
        with full_precision(found[0].device):
            pairs = [alignment(view, found[0]) for view in found[1:]]
            penalties = [self._penalty(view) for view in found]
            return (
                torch.stack(pairs).mean() + self.weight * torch.stack(penalties).mean()
            )
