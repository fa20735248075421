# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Average precision over known labels."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    r"""Compute the average precision of one label.

    :math:`\sum_n (R_n - R_{n-1}) P_n` over the distinct scores, the highest first,
    where :math:`P_n` and :math:`R_n` are precision and recall of what has at least the
    n-th score.

    * https://doi.org/10.1007/978-0-387-39940-9_482

    Args:
        scores: Scores of shape ``(N,)``.
        labels: Whether each has the label, shape ``(N,)``.

    Returns:
        The average precision; NaN if nothing has the label.

    Example:
        >>> import torch
        >>> average_precision(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1, 0, 1]))
        tensor(0.8333)
    """
    if not labels.any():
        return scores.new_tensor(torch.nan, dtype=torch.float32)
    order = scores.argsort(descending=True)
    hits = labels[order].bool().cumsum(0).float()
    # scores that are equal are found together
    last = F.pad(scores[order].diff() != 0, (0, 1), value=True)
    rank = last.nonzero().flatten()
    precision = hits[rank] / (rank + 1)
    recall = hits[rank] / hits[-1]
    return (recall.diff(prepend=recall.new_zeros(1)) * precision).sum()


class KnownAveragePrecision(Metric):
    """Average precision of each class over what is known, and their mean (mAP).

    That of torchmetrics, except that classes or whole sets without a known label are
    left out, where torchmetrics fails.

    Example:
        >>> import torch
        >>> metric = KnownAveragePrecision(2, 'multilabel', ignore_index=-1)
        >>> metric.update(torch.tensor([[2.0, 9.0]]), torch.tensor([[1, -1]]))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True
    full_state_update = False

    found: list[Tensor]
    truth: list[Tensor]

    def __init__(
        self,
        num_classes: int,
        task: Literal['multiclass', 'multilabel'],
        average: Literal['micro', 'macro', 'none'] = 'macro',
        ignore_index: int | None = None,
    ) -> None:
        """Initialize a new KnownAveragePrecision instance.

        Args:
            num_classes: Number of classes, or of labels.
            task: Whether there is one class for each image, or several.
            average: Take all labels together (``'micro'``), the mean over the classes
                that occur (``'macro'``), or no mean (``'none'``).
            ignore_index: Class, or value of a label, that does not count.
        """
        super().__init__()
        self.num_classes = num_classes
        self.task = task
        self.average = average
        self.ignore_index = ignore_index
        self.add_state('found', [], dist_reduce_fx='cat')
        self.add_state('truth', [], dist_reduce_fx='cat')

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Take a batch into account.

        Args:
            scores: Logits of shape ``(B, num_classes)``.
            labels: Classes of shape ``(B,)``, or labels of shape ``(B, num_classes)``.
        """
        if self.ignore_index is None:
            known = torch.ones_like(labels, dtype=torch.bool)
        else:
            known = labels != self.ignore_index
        if self.task == 'multiclass':
            scores, labels = scores[known].softmax(dim=1), labels[known].long()
            labels = F.one_hot(labels, self.num_classes)
        else:
            # unknown labels are marked, to be left out of their own class only
            labels = labels.long().masked_fill(~known, -1)
        self.found.append(scores.detach().float())
        self.truth.append(labels)

    def compute(self) -> Tensor:
        """Return the average precision; NaN where no label is known."""
        # lists, or tensors where several processes have put theirs together
        nothing = [torch.zeros(0, self.num_classes)]
        scores: Any = dim_zero_cat(self.found if len(self.found) else nothing)
        labels: Any = dim_zero_cat(self.truth if len(self.truth) else nothing)
        if self.average == 'micro':
            scores, labels = scores.reshape(-1, 1), labels.reshape(-1, 1)
        each = torch.stack(
            [
                average_precision(x[y >= 0], y[y >= 0])
                for x, y in zip(scores.T, labels.T, strict=True)
            ]
        )
        return each if self.average == 'none' else each.nanmean()
