# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How many directions features fill."""

from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from ._features import check_features

#: Variance, relative to the largest, that is nothing but rounding in float64.
_ROUNDING = 1e-14
#: Variance, relative to the square of the mean, that is rounding of a network's float32.
_CONSTANT = 1e-12


class _Moments(NamedTuple):
    """Number and mean of samples, and squares and products around the mean."""

    number: Tensor
    mean: Tensor
    squares: Tensor


def _moments(features: Tensor) -> _Moments:
    """Compute the moments of samples."""
    x = features.double()
    mean = x.mean(dim=0)
    count = torch.tensor(float(len(x)), dtype=torch.float64, device=x.device)
    return _Moments(count, mean, (x - mean).T @ (x - mean))


def _merge(one: _Moments, other: _Moments) -> _Moments:
    """Put moments together.

    Sums of plain squares would lose what differs between features that are nearly the
    same. https://doi.org/10.2307/2683386
    """
    count = one.number + other.number
    step = other.mean - one.mean
    share = other.number / count.clamp_min(1)
    squares = torch.outer(step, step) * one.number * share
    return _Moments(
        count, one.mean + step * share, one.squares + other.squares + squares
    )


def _eigenvalues(moments: _Moments) -> Tensor:
    """Compute the eigenvalues of a covariance, the largest first."""
    count = int(moments.number)
    if count < 2:
        return torch.full_like(moments.mean, torch.nan)
    found: Tensor = torch.linalg.eigvalsh(moments.squares).flip(0) / (count - 1)
    # there are no more directions than differences of samples
    found[count - 1 :] = 0
    least = _ROUNDING * found[0]
    if found.sum() <= _CONSTANT * moments.mean.square().sum():
        least = found.sum()
    return found.where(found > least, 0.0)


def eigen_spectrum(features: Tensor) -> Tensor:
    """Compute the variance of features along each of their principal axes.

    Args:
        features: Features of shape ``(N, F)``.

    Returns:
        Eigenvalues of the covariance (divisor ``N - 1``), the largest first, shape
        ``(F,)``, float64; NaN for fewer than two samples.

    Raises:
        ValueError: If it is no such table of real numbers, or not all are finite.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
        >>> eigen_spectrum(x).tolist()
        [4.0, 0.0]
    """
    features = check_features(features)
    if not len(features):
        return torch.full_like(
            features.new_empty(features.shape[1]).double(), torch.nan
        )
    return _eigenvalues(_moments(features))


def spectrum_rank(eigenvalues: Tensor) -> Tensor:
    """Compute the effective rank from the eigenvalues of a covariance.

    Args:
        eigenvalues: Eigenvalues of shape ``(F,)``; their scale does not matter.

    Returns:
        The effective rank, see :func:`effective_rank`, of shape ``()``.

    Example:
        >>> import torch
        >>> spectrum_rank(torch.tensor([9.0, 9.0, 9.0, 0.0]))
        tensor(3.)
    """
    singular = eigenvalues.clamp_min(0).sqrt()
    total = singular.sum()
    share = singular / total
    rank = torch.special.entr(share).sum().exp()
    # of no variance there are no directions; NaN stays NaN
    return torch.where(total == 0, 0.0, rank)


def effective_rank(features: Tensor) -> Tensor:
    r"""Compute how many directions features fill, weighted by how much.

    :math:`\exp(-\sum_i p_i \log p_i)`, where :math:`p_i` are the singular values of
    the features minus their mean, divided by the sum of all. It is ``F`` for features
    that spread alike in all directions, and far lower where a network has collapsed to
    a few of them (dimensional collapse).

    * https://ieeexplore.ieee.org/document/7098875 (Roy and Vetterli, 2007)

    Args:
        features: Features of shape ``(N, F)``.

    Returns:
        The effective rank, of shape ``()``, float64: at least 1, and at most the lower
        of ``F`` and ``N - 1``; NaN for fewer than two samples, and 0 if all are the
        same, up to a millionth of their length.

    Raises:
        ValueError: If it is no such table of real numbers, or not all are finite.

    Example:
        >>> import torch
        >>> effective_rank(torch.cat([torch.eye(4), -torch.eye(4)]))
        tensor(4., dtype=torch.float64)
    """
    return spectrum_rank(eigen_spectrum(features))


class EigenSpectrum(Metric):
    """Variance of features along each of their principal axes.

    See :func:`eigen_spectrum`. The memory is that of a covariance, whatever the number
    of samples, and processes are put together exactly.

    Example:
        >>> import torch
        >>> metric = EigenSpectrum(2)
        >>> metric.update(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        >>> metric.update(torch.tensor([[4.0, 5.0]]))
        >>> metric.compute().tolist()
        [4.0, 0.0]
    """

    # forward() would have to put moments together; updating twice does
    full_state_update = True

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, num_features: int) -> None:
        """Initialize a new EigenSpectrum instance.

        Args:
            num_features: Length F of the feature vectors.

        Raises:
            ValueError: If it is not positive.
        """
        super().__init__()
        if num_features < 1:
            raise ValueError(f'Expected at least one feature, got {num_features}.')
        size = (num_features, num_features)
        words: dict[str, Any] = {'dtype': torch.float64}
        self.add_state('count', torch.zeros((), **words), dist_reduce_fx=None)
        self.add_state('mean', torch.zeros(size[0], **words), dist_reduce_fx=None)
        self.add_state('squares', torch.zeros(size, **words), dist_reduce_fx=None)

    def update(self, features: Tensor) -> None:
        """Take a batch into account.

        Args:
            features: Features of shape ``(B, F)``.

        Raises:
            ValueError: If it is no such table of real numbers, or not all are finite.
        """
        features = check_features(features)
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f'Expected {len(self.mean)} features of each sample, got '
                f'{features.shape[1]}.'
            )
        if len(features):
            own = _Moments(self.count, self.mean, self.squares)
            self.count, self.mean, self.squares = _merge(own, _moments(features))

    def spectrum(self) -> Tensor:
        """Return the eigenvalues of what this metric holds."""
        # one row for each process where several were put together
        parts = zip(
            self.count.reshape(-1),
            self.mean.reshape(-1, self.mean.shape[-1]),
            self.squares.reshape(-1, *self.squares.shape[-2:]),
            strict=True,
        )
        return _eigenvalues(reduce(_merge, (_Moments(*part) for part in parts)))

    def compute(self) -> Tensor:
        """Return the eigenvalues, shape ``(F,)``; NaN for fewer than two samples."""
        return self.spectrum()


class EffectiveRank(EigenSpectrum):
    """How many directions features fill, weighted by how much.

    See :func:`effective_rank`.

    Args:
        num_features: Length F of the feature vectors.

    Example:
        >>> import torch
        >>> metric = EffectiveRank(4)
        >>> metric.update(torch.eye(4))
        >>> metric.update(-torch.eye(4))
        >>> metric.compute()
        tensor(4., dtype=torch.float64)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Return the effective rank, see :func:`effective_rank`."""
        return spectrum_rank(self.spectrum())
