# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches of a data module that no trainer runs, as a network gets them in evaluation."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule, NonGeoDataModule

from .._typing import Sample
from ..errors import EmptyDataError, MetadataError
from ..samplers._epochs import EpochSampler

#: What a data module asks its trainer: evaluation, so that nothing is augmented.
EVALUATION = SimpleNamespace(
    training=False,
    validating=True,
    sanity_checking=False,
    testing=False,
    predicting=False,
    global_rank=0,
    world_size=1,
)


def _all_windows(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Let this process draw the windows of all processes, and wait for none of them."""
    sampler = loader.sampler
    if not isinstance(sampler, EpochSampler):
        return loader
    generator = torch.Generator().manual_seed(sampler._seed % 2**63)
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=sampler.draw(sampler._total, generator),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
    )


def _loader(datamodule: Any, split: str) -> DataLoader[Any]:
    """Make the loader of a split, in order where its data have one."""
    if not isinstance(datamodule, GeoDataModule | NonGeoDataModule):
        raise MetadataError(
            f'{type(datamodule).__name__} has no images with labels, which a probe '
            'compares features with. Name a data module that has, such as '
            'EnMAPL2ADataModule or SimulatedEnMAPDataModule.'
        )
    if isinstance(datamodule, GeoDataModule):
        return _all_windows(getattr(datamodule, f'{split}_dataloader')())
    dataset = getattr(datamodule, f'{split}_dataset', None)
    if dataset is None:
        raise EmptyDataError(
            f'{type(datamodule).__name__} has no {split} data. Choose with --on, or on= '
            'of OnlineProbe.'
        )
    return DataLoader(
        dataset,
        batch_size=datamodule.batch_size,
        num_workers=datamodule.num_workers,
        collate_fn=datamodule.collate_fn,
    )


def evaluation_batches(
    datamodule: Any, split: str, device: torch.device
) -> Iterator[Sample]:
    """Yield batches as a network gets them in evaluation.

    Args:
        datamodule: The data module.
        split: ``'train'``, ``'val'`` or ``'test'``.
        device: Where the batches go.

    Yields:
        Normalized batches.

    Raises:
        EmptyDataError: If there are no such data.
    """
    datamodule.trainer = EVALUATION
    datamodule.setup('test' if split == 'test' else 'fit')
    empty = True
    for batch in _loader(datamodule, split):
        moved = datamodule.transfer_batch_to_device(batch, device, 0)
        yield datamodule.on_after_batch_transfer(moved, 0)
        empty = False
    if empty:
        raise EmptyDataError(f'The {split} data are empty.')
