# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches of a training store, for any number of processes."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import EmptyDataError, MetadataError
from ._epochs import EpochSampler, process_rank

logger = logging.getLogger(__name__)


class ShardBatchSampler(EpochSampler[list[int]]):
    """Deal out all samples of an epoch in batches, every sample exactly once.

    The shards are shuffled, then the samples within each group of *buffer_shards*
    shards, so that what is read at about the same time lies in few files. With as many
    shards as there are, this is a full shuffle.

    Every process gets the same number of batches. Their sizes differ by one at most and
    do not exceed *batch_size* (with a *batch_size* of 1 and a number of samples that is
    no multiple of the processes, a few batches hold two). So there is no short last
    batch, nothing is repeated or dropped, and no process waits for another.

    :meth:`state_dict` tells where the epoch is; only :attr:`used` batches count, not
    those that worker processes have read ahead. :class:`~torchgeo_hsi.datamodules.StoreLoader`
    counts them. After :meth:`load_state_dict`, the rest of the epoch follows: the same
    batches with as many processes and the same *batch_size* as before; otherwise, the
    same samples in other batches.

    Being a :class:`~torch.utils.data.DistributedSampler`, it is left as it is by
    Lightning, which calls :meth:`set_epoch`; without that call, epochs count themselves.

    Example:
        .. code-block:: python

            dataset = StoredPatches('data/store', split='train')
            sampler = ShardBatchSampler(dataset.shards, 64, buffer_shards=16)
            loader = StoreLoader(dataset, sampler=sampler, num_workers=8)
    """

    def __init__(
        self,
        shards: Sequence[ArrayLike],
        batch_size: int = 1,
        buffer_shards: int = 64,
        shuffle: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new ShardBatchSampler instance.

        Args:
            shards: Indexes of the samples in each shard, see
                :attr:`~torchgeo_hsi.datasets.StoredPatches.shards`.
            batch_size: Most samples per batch, for each process.
            buffer_shards: Shards that are shuffled together.
            shuffle: False for the order of *shards*, the same in each epoch.
            generator: Source of the seed; torch's own by default.

        Raises:
            ValueError: If a number is not positive.
            EmptyDataError: If there is no sample.
        """
        if batch_size < 1 or buffer_shards < 1:
            raise ValueError(
                'Expected a positive batch_size and buffer_shards, got '
                f'{batch_size} and {buffer_shards}.'
            )
        self._shards = [np.asarray(shard, np.int64).ravel() for shard in shards]
        total = sum(map(len, self._shards))
        if not total:
            raise EmptyDataError(
                'Expected at least one sample in the shards, got none.'
            )
        super().__init__(total, generator)
        self.batch_size = batch_size
        self.buffer_shards = buffer_shards
        self.shuffle = shuffle
        #: Batches of the epoch that this process has trained on since it began, or
        #: since a state was loaded.
        self.used = 0
        # what had been used before: samples of all processes, batches of each
        self._samples, self._steps = 0, 0
        self._running = 0
        self._is_loaded = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is dealt out next.

        Args:
            epoch: Number of the epoch, from 0. A state that was loaded holds for its
                own epoch only.
        """
        if epoch != self._running:
            self._begin(epoch)
        super().set_epoch(epoch)

    def _begin(self, epoch: int) -> None:
        """Forget what was used of another epoch."""
        self._running = epoch
        self._samples, self._steps, self.used = 0, 0, 0
        self._is_loaded = False

    def __len__(self) -> int:
        """Return the number of batches of the epoch for this process.

        Those are included that had been used when a state was loaded.

        Raises:
            EmptyDataError: If there are fewer samples than processes.
        """
        return self._steps + self._left()

    def _left(self) -> int:
        """Return the batches for each process that follow the loaded state."""
        processes = process_rank()[1]
        if self._total < processes:
            raise EmptyDataError(
                f'{self._total} samples cannot be shared by {processes} processes. Use '
                'fewer processes or more data.'
            )
        share = processes * self.batch_size
        rest = self._total - self._samples
        # loops count the batches of all epochs alike, so an epoch that goes on with
        # another number of processes does not get shorter than others if it need not
        least, usual = -(-rest // share), -(-self._total // share) - self._steps
        return min(max(least, usual), rest // processes)

    def __iter__(self) -> Iterator[list[int]]:
        """Deal out the batches of this process in the next epoch.

        Yields:
            Indexes of samples.
        """
        if self.epoch != self._running or not self._is_loaded:
            self._begin(self.epoch)
        self._is_loaded = False
        yield from super().__iter__()

    def draw(self, count: int, generator: torch.Generator) -> list[list[int]]:
        """Draw what is left of an epoch.

        Args:
            count: Batches of the whole epoch, over all processes.
            generator: Source of randomness, the same in all processes.

        Returns:
            The batches that follow the loaded state.
        """
        parts = count - self._steps * process_rank()[1]
        if not parts:
            return []
        rest = self._order(generator)[self._samples :]
        return [batch.tolist() for batch in np.array_split(rest, parts)]

    def _order(self, generator: torch.Generator) -> NDArray[np.int64]:
        """Return all samples of an epoch in their order."""
        if not self.shuffle:
            return np.concatenate(self._shards)
        order = []
        shards = torch.randperm(len(self._shards), generator=generator).tolist()
        for group in batched(shards, self.buffer_shards):
            samples = np.concatenate([self._shards[shard] for shard in group])
            mixed = torch.randperm(len(samples), generator=generator).numpy()
            order.append(samples[mixed])
        return np.concatenate(order)

    def state_dict(self, unfinished: int = 0) -> dict[str, Any]:
        """Return where the epoch is, the same in all processes.

        Args:
            unfinished: Last ones of the :attr:`used` batches that are to come again.

        Returns:
            Seed and number of the epoch, and what has been used of it.
        """
        processes = process_rank()[1]
        used = self.used - unfinished
        batches, parts = used * processes, self._left() * processes
        samples = self._samples
        if parts:
            # the first ones are those with one more
            size, larger = divmod(self._total - samples, parts)
            samples += batches * size + min(batches, larger)
        return {
            'seed': self._seed,
            'epoch': self._running,
            'samples': samples,
            'batches': self._steps + used,
            'total': self._total,
            'buffer_shards': self.buffer_shards if self.shuffle else 0,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another sampler was.

        Args:
            state_dict: What :meth:`state_dict` returned.

        Raises:
            MetadataError: If it is of other data or another way of shuffling.
        """
        mine = (self._total, self.buffer_shards if self.shuffle else 0)
        wanted = (state_dict['total'], state_dict['buffer_shards'])
        if mine != wanted:
            raise MetadataError(
                f'The checkpoint is in the middle of {wanted[0]} samples shuffled by '
                f'{wanted[1]} shards, and there are {mine[0]} shuffled by {mine[1]}. '
                'Resume with the same data and options, or load the weights only.'
            )
        self._begin(state_dict['epoch'])
        self.epoch = state_dict['epoch']
        self._seed, self._is_agreed = state_dict['seed'], True
        self._samples, self._steps = state_dict['samples'], state_dict['batches']
        self._is_loaded = True
        missed = self._total - self._samples - self._left() * process_rank()[1]
        if self._left() == 0 and missed > 0:
            logger.warning(
                '%d samples are left of the epoch, too few for all processes; they are '
                'left out of it.',
                missed,
            )
