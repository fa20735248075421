# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Score of the Hyperview challenge: error relative to guessing the mean."""

import torch
from torch import Tensor
from torchmetrics import Metric


def _checked(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check two tables and leave out samples without all of their targets."""
    if prediction.shape != target.shape or target.ndim != 2:
        raise ValueError(
            'Expected predictions and targets of the same shape (samples, targets), got '
            f'{tuple(prediction.shape)} and {tuple(target.shape)}.'
        )
    known = target.isfinite().all(dim=1)
    return prediction[known].float(), target[known].float()


def _ratio(error: Tensor, guess: Tensor) -> Tensor:
    """Average the ratios of the targets that do not equal the guess everywhere."""
    ratios: Tensor = (error / guess)[guess > 0]
    return ratios.mean()


def hyperview_score(
    prediction: Tensor, target: Tensor, baseline: Tensor | None = None
) -> Tensor:
    r"""Compute the score of the Hyperview challenge.

    The mean over the targets of :math:`MSE / MSE_0`, where :math:`MSE_0` is the error
    of always predicting the mean of the training data: 0 is perfect, 1 no better than
    guessing the mean, and there is no upper limit.

    * https://doi.org/10.1109/ICIP46576.2022.9897443

    Args:
        prediction: Predictions of shape ``(N, K)``.
        target: Targets of shape ``(N, K)``. Samples with a NaN do not count.
        baseline: What the guess predicts, shape ``(K,)``; 0 by default, the mean of
            standardized targets.

    Returns:
        The score; NaN if nothing counts. A target that equals the guess in all samples
        is left out.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> import torch
        >>> target = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
        >>> hyperview_score(target / 2, target)
        tensor(0.2500)
    """
    prediction, target = _checked(prediction, target)
    guess = target if baseline is None else target - baseline
    return _ratio((prediction - target).square().sum(0), guess.square().sum(0))


class HyperviewScore(Metric):
    """Score of the Hyperview challenge over all batches, see :func:`hyperview_score`.

    The error of the guess is that of the whole set, so the score does not depend on the
    batches, in contrast to the loss of the same form.

    * https://doi.org/10.1109/ICIP46576.2022.9897443

    Example:
        >>> import torch
        >>> metric = HyperviewScore(num_outputs=1)
        >>> metric.update(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
        >>> metric.compute()
        tensor(0.2500)
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    error: Tensor
    guess: Tensor

    def __init__(self, num_outputs: int, baseline: Tensor | None = None) -> None:
        """Initialize a new HyperviewScore instance.

        Args:
            num_outputs: Number of targets.
            baseline: What the guess predicts, shape ``(num_outputs,)``; 0 by default.
        """
        super().__init__()
        self.baseline = baseline
        for name in ('error', 'guess'):
            self.add_state(name, torch.zeros(num_outputs), dist_reduce_fx='sum')

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take a batch into account.

        Args:
            prediction: Predictions of shape ``(B, num_outputs)``.
            target: Targets of the same shape. Samples with a NaN do not count.

        Raises:
            ValueError: If the shapes differ.
        """
        prediction, target = _checked(prediction, target)
        baseline = self.baseline
        guess = target if baseline is None else target - baseline.to(target.device)
        self.error += (prediction - target).square().sum(0)
        self.guess += guess.square().sum(0)

    def compute(self) -> Tensor:
        """Return the score of all batches so far; NaN if nothing counted."""
        return _ratio(self.error, self.guess)
