# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How evenly features spread over all directions."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ._features import unit_features


def _check(t: float) -> None:
    if not t > 0:
        raise ValueError(f'Expected a positive t, got {t}.')


def _score(units: Tensor, t: float) -> Tensor:
    """Score features of length 1."""
    if len(units) < 2:
        return units.new_tensor(torch.nan)
    # in float32, features that are nearly the same have no distance
    score = torch.pdist(units.double()).square().mul(-t).exp().mean().log()
    return score.to(units.dtype)


def uniformity(features: Tensor, t: float = 2.0) -> Tensor:
    r"""Compute how evenly features spread over all directions.

    :math:`\log \operatorname{mean} \exp(-t \lVert x - y \rVert^2)` over all pairs of
    different samples, with features scaled to the length 1. It is 0 where all features
    have one direction, and the lower the more even they are: with ``t=2``, down to -4
    for many features that are spread over a sphere of many dimensions.

    * https://arxiv.org/abs/2005.10242

    Args:
        features: Features of shape ``(N, F)``; all pairs are compared.
        t: How much more near pairs count than distant ones.

    Returns:
        The score, of shape ``()``; NaN for fewer than two samples.

    Raises:
        ValueError: If it is no such table of real numbers, or not all are finite.

    Example:
        >>> import torch
        >>> uniformity(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        tensor(-4.)
    """
    _check(t)
    return _score(unit_features(features), t)


class Uniformity(Metric):
    """How evenly features spread over all directions, from a sample of them.

    See :func:`uniformity`. All pairs of up to *samples* features are compared; which
    features, out of all that came, is drawn by numbers of the metric's own.

    Example:
        >>> import torch
        >>> metric = Uniformity()
        >>> metric.update(torch.tensor([[2.0, 0.0]]))
        >>> metric.update(torch.tensor([[0.0, 3.0]]))
        >>> metric.compute()
        tensor(-4.)
    """

    higher_is_better = False
    full_state_update = True

    units: list[Tensor]
    ticket: list[Tensor]
    seen: Tensor

    def __init__(self, t: float = 2.0, samples: int = 2048, seed: int = 0) -> None:
        """Initialize a new Uniformity instance.

        Args:
            t: How much more near pairs count than distant ones.
            samples: Most features that are kept, and compared with each other.
            seed: What draws them.

        Raises:
            ValueError: If *t* is not positive, or *samples* below 2.
        """
        super().__init__()
        _check(t)
        if samples < 2:
            raise ValueError(f'Expected at least 2 samples to compare, got {samples}.')
        self.t = t
        self.samples = samples
        self.seed = seed
        self.add_state('units', [], dist_reduce_fx='cat')
        self.add_state('ticket', [], dist_reduce_fx='cat')
        self.add_state('seen', torch.zeros((), dtype=torch.long), dist_reduce_fx='sum')

    def update(self, features: Tensor) -> None:
        """Take a batch into account.

        Args:
            features: Features of shape ``(B, F)``.

        Raises:
            ValueError: If it is no such table of real numbers, or not all are finite.
        """
        units = unit_features(features)
        # the lowest tickets stay: a fair draw, whatever the number of samples
        generator = torch.Generator().manual_seed(self.seed + int(self.seen))
        tickets = torch.rand(len(units), generator=generator).to(units.device)
        self.seen += len(units)
        kept = self._draw([*self.units, units], [*self.ticket, tickets])
        self.units, self.ticket = [kept[0]], [kept[1]]

    def _draw(self, units: Any, tickets: Any) -> tuple[Tensor, Tensor]:
        """Keep the features with the lowest tickets."""
        rows: Tensor = dim_zero_cat(units)
        order: Tensor = dim_zero_cat(tickets)
        index = order.argsort(stable=True)[: self.samples]
        return rows[index], order[index]

    def compute(self) -> Tensor:
        """Return the score of the sample; NaN for fewer than two features."""
        # lists, or tensors where several processes have put theirs together
        if not len(self.units):
            return self.seen.new_tensor(torch.nan, dtype=torch.float32)
        return _score(self._draw(self.units, self.ticket)[0], self.t)
