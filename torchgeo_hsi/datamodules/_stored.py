# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules on a training store."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import default_collate

from .._compat import pending_loader_states
from .._typing import PathLike
from ..datasets import StoredPatches
from ..datasets.spectral_earth.splits import label_efficient
from ..errors import MetadataError
from .store_loader import StoreLoader


def open_stored(
    root: PathLike,
    split: str | None,
    bands: Sequence[str | int | float] | None,
    dataset: str,
    classes: Sequence[str] = (),
    fraction: float = 1.0,
    **options: Any,
) -> StoredPatches:
    """Open a split of a store in place of a folder of files.

    Args:
        root: The store.
        split: Name of the split; None for everything.
        bands: Bands in the order wanted.
        dataset: Name of the class that the store has to be made from.
        classes: Names of the classes.
        fraction: Share of the training and validation labels to use.
        **options: What the dataset has to have been opened with, e.g. *split_by*.

    Returns:
        The samples; images keep the data type that they are stored in.

    Raises:
        MetadataError: If the store was made from other data, or lacks what *fraction*
            needs.
        FileNotFoundError: If there is no store.
        UnknownNameError: If it has no such split.
    """
    stored = StoredPatches(root, split, bands, dtype='stored')
    check_stored(stored, dataset, classes, **options)
    if fraction < 1 and split in ('train', 'val'):
        names = {s: StoredPatches(root, s).files for s in ('train', 'val')}
        if not all(map(all, names.values())):
            raise MetadataError(
                f'{root} does not name its samples, so fraction={fraction} cannot be '
                'drawn as for the files. Convert again, or use all labels.'
            )
        chosen = label_efficient(split, names['train'], names['val'], fraction)
        place = {name: index for index, name in enumerate(names[split])}
        stored = stored.select([place[name] for name in chosen])
    return stored


def check_stored(
    stored: StoredPatches, dataset: str, classes: Sequence[str] = (), **options: Any
) -> None:
    """Refuse a store of other data.

    Args:
        stored: What was opened.
        dataset: Name of the class that the store has to be made from.
        classes: Names of the classes.
        **options: What the dataset has to have been opened with.

    Raises:
        MetadataError: If the store was made from other data.
    """
    source = stored.attributes.get('dataset')
    names = [name.rpartition('.')[2] for name in str(source or dataset).split(', ')]
    if names != [dataset]:
        raise MetadataError(
            f'Expected a store made from {dataset} in {stored.root}, got one from '
            f'{source}. Use the data module for these data.'
        )
    if classes and stored.classes and stored.classes != tuple(classes):
        raise MetadataError(
            f'{stored.root} has {len(stored.classes)} classes, others than the '
            f'{len(classes)} that were asked for. Convert again with these.'
        )
    for name, value in options.items():
        known = stored.attributes.get(name, value)
        if known != value:
            raise MetadataError(
                f'{stored.root} was made with {name}={known!r}. Pass that, or convert '
                f'again with {name}={value!r}.'
            )


def stored_loader(module: Any, dataset: StoredPatches, train: bool) -> StoreLoader:
    """Build the loader of a data module.

    Args:
        module: The data module.
        dataset: The samples.
        train: Whether to shuffle, and to go on in the middle of an epoch.

    Returns:
        The loader.
    """
    collate = module.collate_fn
    loader = StoreLoader(
        dataset,
        module.batch_size,
        shuffle=train,
        num_workers=module.num_workers,
        collate_fn=None if collate is default_collate else collate,
        persistent_workers=module.num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    if train:
        loader.trainer = module.trainer
        # Lightning counts the batches before it hands over the state, and a state of
        # another number of processes changes their number
        for state in pending_loader_states(module.trainer):
            loader.load_state_dict(state)
    return loader
