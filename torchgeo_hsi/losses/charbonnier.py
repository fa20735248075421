# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Absolute error, rounded at 0."""

from torch import Tensor, nn

from ._pixels import check_cubes, error_of, mean_over


class CharbonnierLoss(nn.Module):
    r"""Mean of :math:`\sqrt{e^2 + \varepsilon^2} - \varepsilon` over valid pixels.

    The absolute error for errors above :math:`\varepsilon` and a parabola below, so
    that the gradient of what is nearly right becomes small. The constant that it lacks
    in comparison with the paper changes no gradient, and makes the best loss 0.

    If you use this loss in your research, please cite the following paper:

    * https://doi.org/10.1109/ICIP.1994.413553

    Args:
        epsilon: Error at which the parabola ends, in the unit of the cubes.

    Example:
        >>> import torch
        >>> loss = CharbonnierLoss(epsilon=0.3)
        >>> loss(torch.zeros(1, 5, 8, 8), torch.full((1, 5, 8, 8), 0.4))
        tensor(0.2000)
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        """Initialize a new CharbonnierLoss instance.

        Raises:
            ValueError: If *epsilon* is not positive.
        """
        super().__init__()
        if not epsilon > 0:
            raise ValueError(f'Expected a positive epsilon, got {epsilon}.')
        self.epsilon = epsilon

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            The mean; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = check_cubes(input, target, valid)
        square = error_of(input, target, mask).square()
        return mean_over((square + self.epsilon**2).sqrt() - self.epsilon, mask)
