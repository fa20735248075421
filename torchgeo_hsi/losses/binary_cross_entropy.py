# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Binary cross-entropy over known labels."""

import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBinaryCrossEntropy(nn.Module):
    """Binary cross-entropy with logits that skips unknown labels.

    Where all labels are known it equals :class:`torch.nn.BCEWithLogitsLoss`, where none
    is known it is 0.

    Args:
        pos_weight: Weight of the presence of each label, shape ``(K,)``.
        ignore_index: Value of an unknown label.

    Example:
        >>> import torch
        >>> loss = MaskedBinaryCrossEntropy(ignore_index=-1)
        >>> loss(torch.zeros(1, 2), torch.tensor([[1, -1]]))
        tensor(0.6931)
    """

    pos_weight: Tensor | None

    def __init__(
        self, pos_weight: Tensor | None = None, ignore_index: int | None = None
    ) -> None:
        """Initialize a new MaskedBinaryCrossEntropy instance."""
        super().__init__()
        self.register_buffer('pos_weight', pos_weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Logits of shape ``(B, K)``.
            target: Labels of shape ``(B, K)``: 1, 0 or *ignore_index*.

        Returns:
            The mean over the known labels.
        """
        truth = target.to(input.dtype)
        loss = F.binary_cross_entropy_with_logits(
            input, truth, pos_weight=self.pos_weight, reduction='none'
        )
        if self.ignore_index is None:
            return loss.mean()
        known = target != self.ignore_index
        return loss.masked_fill(~known, 0.0).sum() / known.sum().clamp_min(1)
