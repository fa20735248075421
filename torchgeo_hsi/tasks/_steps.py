# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tasks whose random numbers and moving averages follow from their steps."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from lightly.models.utils import deactivate_requires_grad
from torch import nn
from torchgeo.tasks import BaseTask

from .._typing import Sample
from ._recipes import training_progress


class SteppedTask(BaseTask):
    """Base of tasks that draw views, and of which slow copies may follow.

    Random numbers are drawn from a seed of the training and the number of the step, so
    a training that goes on from a checkpoint draws what it would have drawn.
    """

    #: What the random numbers of all steps follow from.
    _seed: int | None = None

    def on_fit_start(self) -> None:
        """Choose the random numbers of this training, the same in all processes."""
        if self._seed is None:
            self._seed = int(self.trainer.strategy.broadcast(torch.initial_seed()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the random numbers follow from, so that training can go on exactly.

        Args:
            checkpoint: The checkpoint.
        """
        checkpoint['random_seed'] = self._seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the random numbers of a checkpoint.

        Args:
            checkpoint: The checkpoint.
        """
        self._seed = checkpoint.get('random_seed')

    def progress(self) -> float:
        """Return which share of the training is done, counted in steps."""
        return training_progress(self.trainer)

    def _rising_momentum(self, start: float) -> float:
        """Return how much of a moving average stays: more and more, up to 1."""
        share = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return 1 - (1 - start) * share


def slow_copy(network: nn.Module) -> nn.Module:
    """Copy a network that the copy will follow as a moving average.

    Args:
        network: The network.

    Returns:
        A copy that learns nothing by itself.
    """
    copied = deepcopy(network)
    deactivate_requires_grad(copied)
    return copied


def check_views(views: Sequence[Sample], most: int | None = None) -> None:
    """Refuse views that are too few to be compared, or too many.

    Args:
        views: The views.
        most: Their number; 2 or more by default.

    Raises:
        ValueError: If there is another number of them.
    """
    if len(views) != most if most is not None else len(views) < 2:
        words = '2 or more' if most is None else f'{most} view' + 's' * (most > 1)
        raise ValueError(f'Expected views= to make {words}, got {len(views)}.')


def check_shares(**shares: float) -> None:
    """Refuse shares of moving averages that are none.

    Args:
        **shares: Their values, by the names of the arguments.

    Raises:
        ValueError: If one is not from 0 to 1.
    """
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f'Expected a {name} from 0 to 1, got {value}.')
