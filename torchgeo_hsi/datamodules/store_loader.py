# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A loader of training stores that a checkpoint remembers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler, default_collate

from .._compat import processed_batches
from .._typing import Sample
from ..datasets import StoredPatches
from ..samplers import ShardBatchSampler


class StoreLoader(DataLoader[Sample]):
    """Load batches of a store; training goes on exactly where a checkpoint was written.

    A whole batch is read at once. Each epoch deals out every sample exactly once, over
    all processes of a distributed training, see
    :class:`~torchgeo_hsi.samplers.ShardBatchSampler`. Lightning writes the state of the
    loader into its checkpoints, also in the middle of an epoch, and neither exchanges
    the sampler nor complains. The state counts batches that were handed out, not those
    that worker processes have read ahead.

    Example:
        .. code-block:: python

            dataset = StoredPatches('data/store', split='train')
            trainer.fit(task, StoreLoader(dataset, batch_size=64, num_workers=8))
    """

    # what a checkpoint needs of the sampler
    sampler: ShardBatchSampler | BatchSampler
    #: Lightning's trainer; data modules set it. With it, a checkpoint that is written in
    #: the middle of a step, as at a signal of SLURM or an error, repeats that step.
    trainer: Any = None

    def __init__(
        self,
        dataset: StoredPatches,
        batch_size: int = 1,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        shuffle: bool = True,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        buffer_shards: int = 64,
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new StoreLoader instance.

        Args:
            dataset: The patches.
            batch_size: Most samples per batch, for each process.
            sampler: Sampler of batches, or of single samples that are to make batches of
                *batch_size*; a :class:`~torchgeo_hsi.samplers.ShardBatchSampler` by
                default.
            shuffle: Whether the default sampler shuffles.
            num_workers: Processes that load data.
            collate_fn: Makes a batch of samples; by default as torch does, but without
                a copy of what was read in one piece.
            buffer_shards: Shards that the default sampler shuffles together.
            generator: Source of the seed of the order and of the worker processes;
                torch's own by default.
            **kwargs: Other arguments of :class:`~torch.utils.data.DataLoader`, such as
                ``pin_memory`` and ``persistent_workers``.

        Raises:
            ValueError: If a number is not positive.
            TypeError: If the dataset is no store.
            EmptyDataError: If there is no sample.
        """
        if not hasattr(dataset, 'shards'):
            raise TypeError(
                f'Expected StoredPatches, got {type(dataset).__name__}. Convert it by '
                'convert_dataset, or use a DataLoader of torch.'
            )
        if sampler is None:
            sampler = ShardBatchSampler(
                dataset.shards, batch_size, buffer_shards, shuffle, generator
            )
        elif not isinstance(sampler, ShardBatchSampler | BatchSampler):
            # overfit_batches of Lightning puts in a sampler of samples
            sampler = BatchSampler(sampler, batch_size, drop_last=False)
        super().__init__(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=collate_fn or collate_stored,
            generator=generator,
            **kwargs,
        )
        # Lightning builds a loader anew from its attributes; torch takes None for
        # "the sampler makes the batches", and protects what it was given
        object.__setattr__(self, 'batch_size', batch_size)

    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        """Go through the batches of an epoch.

        Yields:
            Batches.
        """
        # as a generator, this reads nothing before the first batch is asked for: when
        # Lightning resumes, it makes the iterator first and sets the epoch later
        for batch in super().__iter__():
            if isinstance(self.sampler, ShardBatchSampler):
                self.sampler.used += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the epoch is, the same in all processes.

        Returns:
            State of the sampler; empty if it has none.
        """
        sampler = self.sampler
        if not isinstance(sampler, ShardBatchSampler):
            return {}
        state = sampler.state_dict()
        started = state['batches'] if sampler.used and self.trainer is not None else 0
        # one batch was handed out, and there was no step yet
        if started and started == processed_batches(self.trainer) + 1:
            state = sampler.state_dict(unfinished=1)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another loader was.

        Args:
            state_dict: What :meth:`state_dict` returned.

        Raises:
            MetadataError: If it is of other data or another way of shuffling.
        """
        if state_dict and isinstance(self.sampler, ShardBatchSampler):
            self.sampler.load_state_dict(state_dict)


def collate_stored(samples: list[Sample]) -> Sample:
    """Stack samples, without a copy of those that lie one after the other in memory.

    Args:
        samples: Samples of the same keys and shapes.

    Returns:
        A batch.
    """
    blocks: Sample = {}
    for key, value in samples[0].items():
        if isinstance(value, Tensor):
            block = _block([sample[key] for sample in samples])
            blocks |= {} if block is None else {key: block}
    rest = [{k: v for k, v in s.items() if k not in blocks} for s in samples]
    batch: Sample = {**default_collate(rest), **blocks}
    return {key: batch[key] for key in samples[0]}


def _block(parts: list[Tensor]) -> Tensor | None:
    """Return tensors as one, if they follow each other in one piece of memory."""
    first, size = parts[0], parts[0].numel()
    start, place = first.untyped_storage().data_ptr(), first.storage_offset()
    for number, part in enumerate(parts):
        if (
            part.shape != first.shape
            or part.dtype != first.dtype
            or not part.is_contiguous()
            or part.untyped_storage().data_ptr() != start
            or part.storage_offset() != place + number * size
        ):
            return None
    return first.as_strided((len(parts), *first.shape), (size, *first.stride()), place)
