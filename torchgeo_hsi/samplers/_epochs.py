# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One random order per epoch, which all processes of a training agree on."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler


class EpochSampler[T](DistributedSampler[T]):
    """Draws the samples of an epoch, of which each process takes its share.

    The order follows from a seed and the number of the epoch. The seed is drawn once,
    from *generator*, and that of the first process is told to all others when the
    first epoch starts, so every process has to start it. Each draws the whole order and
    takes every n-th sample, so processes never share one, and all get the same number.

    Being a :class:`~torch.utils.data.DistributedSampler`, it is left as it is by
    Lightning, which calls :meth:`set_epoch`; without that call, epochs count themselves.

    Args:
        length: Samples per epoch, over all processes; rounded up to a multiple of
            their number.
        generator: Source of the seed; torch's own by default.
    """

    def __init__(self, length: int, generator: torch.Generator | None = None) -> None:
        """Initialize a new EpochSampler instance."""
        # torch's own constructor wants a dataset with a length and fixes the number of
        # processes, which is not known before the training starts
        self._total = length
        self._seed = int(torch.randint(2**62, (), generator=generator))
        self._is_agreed = False
        self.epoch = 0

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> Sequence[T]:
        """Draw the order of one epoch.

        Args:
            count: Number of samples.
            generator: Source of randomness, the same in all processes.

        Returns:
            The samples.
        """

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of samples per epoch for this process."""
        return math.ceil(self._total / process_rank()[1])

    def __iter__(self) -> Iterator[T]:
        """Draw the share of this process in the next epoch.

        Yields:
            Samples.
        """
        rank, processes = process_rank()
        if processes > 1 and not self._is_agreed:
            seed: list[Any] = [self._seed]
            dist.broadcast_object_list(seed, src=0)
            self._seed, self._is_agreed = seed[0], True
        generator = torch.Generator().manual_seed((self._seed + self.epoch) % 2**63)
        self.epoch += 1
        order = self.draw(len(self) * processes, generator)
        yield from order[rank::processes]


def process_rank() -> tuple[int, int]:
    """Return the number of this process and how many there are.

    Returns:
        Rank and number of processes; 0 and 1 without distributed training.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
