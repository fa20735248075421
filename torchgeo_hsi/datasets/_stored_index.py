# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which items of a store make up which sample."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import EmptyDataError, MetadataError, UnknownNameError
from ..io.store import StoreReader


def select_items(reader: StoreReader, split: str | None) -> NDArray[np.int64]:
    """List the items of a split.

    Args:
        reader: The store.
        split: Name of the split; None for everything.

    Returns:
        Indexes of the items that are there, in order.

    Raises:
        UnknownNameError: If there is no such split.
        EmptyDataError: If all of its items are missing.
    """
    present = reader.items.present
    if split is not None:
        column = reader.items.column('split')
        known = dict.fromkeys(name for name in column if name)
        if split not in known:
            raise UnknownNameError('split', split, known)
        present = present & np.array([name == split for name in column])
    found = np.flatnonzero(present)
    if not found.size:
        raise EmptyDataError(
            f'{reader.path} holds no sample that could be read when it was written.'
        )
    return found


class ItemGroups:
    """Items by the sample that they make up, in one flat array.

    Args:
        items: Indexes of items, those of one sample in a row.
        starts: First position of each sample, and the number of items.
    """

    def __init__(self, items: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        """Initialize a new ItemGroups instance; see the class for the arguments."""
        self.items, self.starts = items, starts

    @classmethod
    def single(cls, items: NDArray[np.int64]) -> 'ItemGroups':
        """Make each item a sample.

        Args:
            items: Indexes of the items.

        Returns:
            The samples.
        """
        return cls(items, np.arange(len(items) + 1))

    @classmethod
    def by_place(cls, reader: StoreReader, items: NDArray[np.int64]) -> 'ItemGroups':
        """Make one sample of all items of a place.

        Args:
            reader: The store.
            items: Indexes of the items.

        Returns:
            The samples, in the order in which their places first appear.

        Raises:
            MetadataError: If the store does not know places.
        """
        column = reader.items.column('group')
        names = [column[item] for item in items.tolist()]
        if any(name is None for name in names):
            raise MetadataError(
                f'{reader.path} does not say which patches show the same place, so '
                "dates cannot be chosen. Pass item='patch'."
            )
        codes: dict[str, int] = {}
        number = np.array([codes.setdefault(name, len(codes)) for name in names])
        order = np.argsort(number, kind='stable')
        counts = np.bincount(number)
        return cls(items[order], np.concatenate([[0], np.cumsum(counts)]))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> list[int]:
        """Return the items of a sample.

        Args:
            index: Number of the sample.

        Returns:
            Indexes of its items, in the order of the store.
        """
        start, stop = self.starts[index : index + 2]
        found: list[int] = self.items[start:stop].tolist()
        return found

    @property
    def first(self) -> NDArray[np.int64]:
        """First item of each sample."""
        return self.items[self.starts[:-1]]

    def select(self, samples: ArrayLike) -> 'ItemGroups':
        """Take some of the samples.

        Args:
            samples: Their numbers, in the order wanted.

        Returns:
            These samples.

        Raises:
            IndexError: If there is no such sample.
            EmptyDataError: If there is none at all.
        """
        wanted = np.asarray(samples, dtype=np.int64)
        if not wanted.size:
            raise EmptyDataError('Expected at least one sample, got none.')
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(
                f'Expected samples from 0 to {len(self) - 1}, got {wanted.min()} to '
                f'{wanted.max()}.'
            )
        counts = np.diff(self.starts)[wanted]
        ends = np.cumsum(counts)
        # position within the sample, plus where the sample starts
        place = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        items = self.items[np.repeat(self.starts[wanted], counts) + place]
        return ItemGroups(items, np.concatenate([[0], ends]))

    def shards(self, shard_items: int) -> list[NDArray[np.int64]]:
        """Group the samples by the shard of their first item.

        Args:
            shard_items: Items of a shard.

        Returns:
            Numbers of the samples of each shard that has some.
        """
        shard = self.first // shard_items
        order = np.argsort(shard, kind='stable')
        edges = np.flatnonzero(np.diff(shard[order])) + 1
        return np.split(order, edges)
