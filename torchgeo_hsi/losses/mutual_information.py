# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bounds of mutual information, by telling true pairs from false ones."""

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class MutualInformationLoss(nn.Module):
    r"""Loss of a critic that tells true pairs from false ones.

    Minimizing it maximizes a lower bound of the mutual information between both parts
    of a pair, such as a node and its graph in MVGRL:

    * ``'jsd'``: with scores :math:`s`, the mean over true pairs of
      :math:`\operatorname{sp}(-s) - \log 2` plus that over false pairs of
      :math:`\operatorname{sp}(s) - \log 2`, where
      :math:`\operatorname{sp}(x) = \log(1 + e^x)`
      (Jensen-Shannon, https://arxiv.org/abs/1808.06670).
    * ``'bce'``: binary cross entropy, averaged over all pairs
      (https://arxiv.org/abs/1809.10341).

    With as many true as false pairs, the first is twice the second less
    :math:`2 \log 2`.

    If you use this loss in your research, please cite the following paper:

    * https://arxiv.org/abs/2006.05582

    Args:
        kind: ``'jsd'`` or ``'bce'``.

    Raises:
        ValueError: If there is no such bound.

    Example:
        >>> import torch
        >>> loss = MutualInformationLoss('jsd')
        >>> loss(torch.zeros(2, 2), torch.eye(2, dtype=torch.bool))
        tensor(0.)
    """

    def __init__(self, kind: Literal['jsd', 'bce'] = 'jsd') -> None:
        """Initialize a new MutualInformationLoss instance; see the class."""
        super().__init__()
        if kind not in ('jsd', 'bce'):
            raise ValueError(f"Expected the kind 'jsd' or 'bce', got {kind!r}.")
        self.kind = kind

    def forward(self, scores: Tensor, positive: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            scores: Score of each pair, of any shape.
            positive: Which pairs are true, bool of the same shape.

        Returns:
            The loss.

        Raises:
            ValueError: If there are no true pairs, or no false ones.
        """
        if positive.all() or not positive.any():
            raise ValueError(
                'Expected true and false pairs, got only one kind. Graphs need at '
                'least two tiles: use a smaller tile_size.'
            )
        if self.kind == 'bce':
            return F.binary_cross_entropy_with_logits(scores, positive.to(scores.dtype))
        true = F.softplus(-scores[positive]).mean()
        false = F.softplus(scores[~positive]).mean()
        return true + false - 2 * math.log(2)
