# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How close the features of two views of an image are."""

import torch
from torch import Tensor

from ._features import unit_features
from ._mean_score import MeanScore


def _check(alpha: float) -> None:
    if not alpha > 0:
        raise ValueError(f'Expected a positive alpha, got {alpha}.')


def _distances(features: Tensor, others: Tensor, alpha: float) -> Tensor:
    if features.shape != others.shape:
        raise ValueError(
            'Expected features of two views of the same images, got shapes '
            f'{tuple(features.shape)} and {tuple(others.shape)}.'
        )
    difference = unit_features(features) - unit_features(others)
    distances: Tensor = torch.linalg.vector_norm(difference, dim=1).pow(alpha)
    return distances


def alignment(features: Tensor, others: Tensor, alpha: float = 2.0) -> Tensor:
    """Compute the mean distance of the features of two views of the same images.

    The features are scaled to the length 1, and distances taken to the power *alpha*:
    with 2, from 0 for views that cannot be told apart to 4 for opposite features, and
    about 2 for features that know nothing of each other. Constant features are aligned
    perfectly, so look at :func:`uniformity`, too.

    * https://arxiv.org/abs/2005.10242

    Args:
        features: Features of one view, shape ``(N, F)``.
        others: Features of the other view, same shape.
        alpha: Power of the distance.

    Returns:
        The mean, of shape ``()``; NaN without a sample.

    Raises:
        ValueError: If the shapes differ, or not all numbers are finite.

    Example:
        >>> import torch
        >>> x = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
        >>> alignment(x, torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        tensor(2.)
    """
    _check(alpha)
    return _distances(features, others, alpha).mean()


class Alignment(MeanScore):
    """Mean distance of the features of two views of the same images.

    See :func:`alignment`.

    Example:
        >>> import torch
        >>> metric = Alignment()
        >>> metric.update(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> metric.update(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, -1.0]]))
        >>> metric.compute()
        tensor(2.)
    """

    higher_is_better = False

    def __init__(self, alpha: float = 2.0) -> None:
        """Initialize a new Alignment instance.

        Args:
            alpha: Power of the distance.

        Raises:
            ValueError: If it is not positive.
        """
        super().__init__()
        _check(alpha)
        self.alpha = alpha

    def update(self, features: Tensor, others: Tensor) -> None:
        """Take a batch into account.

        Args:
            features: Features of one view, shape ``(B, F)``.
            others: Features of the other view, same shape.

        Raises:
            ValueError: If the shapes differ, or not all numbers are finite.
        """
        distances = _distances(features, others, self.alpha)
        self.total += distances.sum().to(self.total)
        self.count += len(distances)
