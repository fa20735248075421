# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any loss of segmentation, over labelled pixels only."""

from torch import Tensor, nn


class LabelledPixels(nn.Module):
    """Show a loss nothing but the pixels that have a label.

    Losses of overlap, such as Dice and Jaccard, cannot all be told which label does not
    count, and fail on a batch without any other. They do not look at where a pixel is,
    so the labelled ones can be handed over in one row.

    Args:
        loss: Takes logits of shape ``(1, K, N)`` and class indices of shape ``(1, N)``.
        ignore_index: Label that does not count.

    Example:
        >>> import torch
        >>> loss = LabelledPixels(torch.nn.CrossEntropyLoss(), ignore_index=255)
        >>> loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 255]]]))
        tensor(0.6931)
    """

    def __init__(self, loss: nn.Module, ignore_index: int) -> None:
        """Initialize a new LabelledPixels instance."""
        super().__init__()
        self.loss = loss
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Logits of shape ``(B, K, ...)``.
            target: Class indices of shape ``(B, ...)``, long.

        Returns:
            The loss; 0 if there is no labelled pixel.
        """
        labelled = target != self.ignore_index
        if not labelled.any():
            # stays in the graph, so that distributed training has its gradients
            return input.sum() * 0.0
        pixels = input.movedim(1, -1)[labelled].T
        loss: Tensor = self.loss(pixels[None], target[labelled][None])
        return loss
