# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cross-entropy over labelled pixels."""

from torch import Tensor, nn


class MaskedCrossEntropy(nn.CrossEntropyLoss):
    """Cross-entropy that is 0, and not NaN, where a batch has no labelled pixel.

    :class:`torch.nn.CrossEntropyLoss` divides by the number of pixels that count. In
    a batch of cloudy or unlabelled patches that number is 0, and one such batch turns
    all weights of a network into NaN. Elsewhere the two are the same.

    Args:
        weight: Weight of each class, shape ``(K,)``.
        ignore_index: Label that does not count.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        label_smoothing: Share of the truth that is spread over all classes.

    Example:
        >>> import torch
        >>> loss = MaskedCrossEntropy(ignore_index=255)
        >>> loss(torch.rand(1, 3, 2, 2), torch.full((1, 2, 2), 255)).item()
        0.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            input: Logits of shape ``(B, K, ...)``.
            target: Class indices of shape ``(B, ...)``, long.

        Returns:
            The loss, with the *reduction* of the constructor.
        """
        if bool((target == self.ignore_index).all()):
            # stays in the graph, so that distributed training has its gradients
            zero = input.sum() * 0.0
            return zero.expand(target.shape) if self.reduction == 'none' else zero
        return super().forward(input, target)
