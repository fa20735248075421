# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patches of any dataset from a training store."""

import copy
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torchgeo.datasets import NonGeoDataset

from .._typing import PathLike, Sample
from ..errors import MetadataError
from ..io.store import StoreReader, store_kind
from ..physics import BandSet
from ._crop import empty_shared
from ._store_parts import decode_samples, sample_parts, stored_bands
from ._stored_index import ItemGroups, select_items
from .plotting import CLASS_COLORS, plot_sample
from .spectral_earth._figure import plot_dates
from .spectral_earth._views import check_options, crop_window, random_spot


class StoredPatches(NonGeoDataset):
    """The samples of a dataset, from a store that reads almost as fast as raw bytes.

    A sample has the keys, shapes and numbers that it had in the dataset which was
    converted: image, masks, labels, wavelengths, place. Only the data type of the image
    is a matter of *dtype*. Samples that could not be read when the store was written
    are left out. ``valid`` and masks say where all bands of the store have data, also
    if only some of them are selected.

    Where the store knows which patches show the same place (SpectralEarth, converted
    with ``item='patch'``), ``item='location'`` makes one sample of them, as
    :class:`SpectralEarth` does: ``timestamps='pair'`` gives an image of shape
    ``(2 * C, H, W)`` and ``valid`` of shape ``(2, H, W)``; ``'all'`` gives
    ``(T, C, H, W)`` and ``(T, H, W)``.

    ``dataset[[3, 1, 4]]`` is a list of samples, which are read in one go. Data loaders
    do so for every batch. :class:`~torchgeo_hsi.datamodules.StoreLoader` also deals
    them out to several processes and resumes in the middle of an epoch.

    Random choices follow torch's random numbers, which data loaders seed in each
    worker.

    Example:
        .. code-block:: python

            convert_dataset(SpectralEarth('data', item='patch'), 'data/store')
            dataset = StoredPatches('data/store', item='location', timestamps='pair')
    """

    def __init__(
        self,
        root: PathLike,
        split: str | None = None,
        bands: Sequence[str | int | float] | None = None,
        dtype: Literal['float32', 'stored'] = 'float32',
        item: Literal['patch', 'location'] = 'patch',
        timestamps: Literal['random', 'first', 'last', 'all', 'pair'] | None = None,
        crop_size: int | None = None,
        seed: int | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Initialize a new StoredPatches instance.

        Args:
            root: Folder of the store, or its address (``s3://...``, ``https://...``).
            split: Name of a split of the store; all of its samples by default.
            bands: Bands in the order wanted: names, positions (from 0), or wavelengths
                in micrometres (the nearest band); all by default.
            dtype: ``'stored'`` keeps images that are stored as int16 as they are, for a
                conversion on the device: half the bytes.
            item: Whether a sample is a single patch or all patches of a place.
            timestamps: Which patches of a place a sample has: a random one (the
                default), the first or the last in the store, all, or a random pair. Only
                for places.
            crop_size: Rows and columns of a random crop, the same for all dates of a
                sample; everything by default.
            seed: With a number, the choice of dates and crop depends on it and on the
                index alone, so it is the same in each epoch. Without one, it is random.
            transforms: Function that takes a sample and returns a changed one.
            options: Options of the file system of an address, see
                :class:`~torchgeo_hsi.io.StoreReader`.

        Raises:
            FileNotFoundError: If there is no store, or it is not finished.
            CorruptFileError: If its metadata are damaged.
            MetadataError: If it does not hold samples, or not what an option needs.
            ValueError: If an option is not one of those above.
            UnknownNameError: If there is no such split or band.
            UnitError: If a wavelength in *bands* looks like nanometres.
        """
        if dtype not in ('float32', 'stored'):
            raise ValueError(f"Expected dtype 'float32' or 'stored', got {dtype!r}.")
        check_options(item, timestamps, 'float32', crop_size)
        self.root = root
        self.split = split
        self.dtype = dtype
        self.item = item
        self.timestamps = 'first' if item == 'patch' else timestamps or 'random'
        self.crop_size = crop_size
        self.seed = seed
        self.transforms = transforms
        self._reader = StoreReader(root, options=options)
        self._parts = sample_parts(self._reader.spec)
        self._bandset, self._indexes = self._select_bands(bands)
        items = select_items(self._reader, split)
        if item == 'location':
            self._groups = ItemGroups.by_place(self._reader, items)
        else:
            self._groups = ItemGroups.single(items)
        self._check_crop()

    def _select_bands(
        self, bands: Sequence[str | int | float] | None
    ) -> tuple[BandSet | None, list[int] | None]:
        every = stored_bands(self._reader.spec)
        if bands is None:
            return every, None
        if every is None:
            raise MetadataError(
                f'{self.root} does not describe its bands, so none can be selected. '
                'Leave out bands=.'
            )
        chosen = every.select(bands)
        same = chosen.names == every.names
        return chosen, None if same else every.indices(chosen.names)

    def _check_crop(self) -> None:
        size = self._reader.spec.fields['image'].shape[-2:]
        if self.crop_size is not None and self.crop_size > min(size):
            raise ValueError(
                f'Expected a crop_size of {min(size)} or less for patches of {size[0]} x '
                f'{size[1]} pixels, got {self.crop_size}.'
            )

    @property
    def bandset(self) -> BandSet:
        """Selected bands in the order of ``image``.

        Raises:
            MetadataError: If the dataset that was converted did not describe them.
        """
        if self._bandset is None:
            raise MetadataError(f'{self.root} does not describe its bands.')
        return self._bandset

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the store says about itself as a whole."""
        return self._reader.attributes

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class; empty if the dataset that was converted had none."""
        return tuple(self.attributes.get('classes', ()))

    @property
    def files(self) -> list[str]:
        """Name that each sample, or its first patch, had in the dataset; may be empty."""
        return self._column('name')

    @property
    def scenes(self) -> list[str]:
        """Scene that each sample was cut from, empty where it is not known."""
        return self._column('scene')

    def _column(self, key: str) -> list[str]:
        column = self._reader.items.column(key)
        return [column[item] or '' for item in self._groups.first.tolist()]

    @property
    def shards(self) -> list[NDArray[np.int64]]:
        """Indexes of the samples of each shard."""
        return self._groups.shards(self._reader.spec.shard_items)

    @property
    def num_locations(self) -> int:
        """Number of places, or of patches where each is a sample."""
        return len(self._groups)

    def select(self, samples: ArrayLike) -> Self:
        """Restrict the dataset to some of its samples.

        Args:
            samples: Their indexes, from 0, in the order wanted.

        Returns:
            A dataset that shares the store with this one.

        Raises:
            IndexError: If there is no such sample.
            EmptyDataError: If there is none at all.
        """
        part = copy.copy(self)
        part._groups = self._groups.select(samples)
        return part

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: Sequence[int]) -> list[Sample]: ...

    def __getitem__(self, index: int | Sequence[int]) -> Sample | list[Sample]:
        """Return a sample, or a list of samples that are read in one go.

        Args:
            index: Number of the sample, or a list of them.

        Returns:
            The sample, see the class, or a list.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If a file is damaged.
        """
        if isinstance(index, Sequence):
            return self.__getitems__(index)
        return self.__getitems__([operator.index(index)])[0]

    def __getitems__(self, indexes: Sequence[int]) -> list[Sample]:
        """Return samples that are read in one go; data loaders of torch call this.

        Args:
            indexes: Numbers of the samples.

        Returns:
            The samples.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If a file is damaged.
        """
        chosen, spots = [], []
        for index in indexes:
            generator = self._generator(self._position(index))
            spots.append(random_spot(generator) if self.crop_size else (0.0, 0.0))
            chosen.append(self._choose(self._groups[self._position(index)], generator))
        dates = self._read([item for items in chosen for item in items])
        samples, start = [], 0
        for items, spot in zip(chosen, spots, strict=True):
            sample = self._join(dates[start : start + len(items)])
            start += len(items)
            sample = self._crop(sample, spot)
            samples.append(
                sample if self.transforms is None else self.transforms(sample)
            )
        return samples

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f'Sample {index} is out of range for {len(self)} samples.')
        return index % len(self)

    def _generator(self, index: int) -> torch.Generator | None:
        if self.seed is None:
            return None
        state = np.random.SeedSequence((self.seed, index)).generate_state(2)
        return torch.Generator().manual_seed(int(state[0]) << 31 ^ int(state[1]))

    def _choose(self, items: list[int], generator: torch.Generator | None) -> list[int]:
        """Choose the patches of a sample among those of its place."""
        if self.timestamps == 'all':
            return items
        if len(items) > 1 and self.timestamps in ('random', 'pair'):
            order = torch.randperm(len(items), generator=generator).tolist()
            count = 2 if self.timestamps == 'pair' else 1
            return [items[i] for i in order[:count]]
        return items[-1:] if self.timestamps == 'last' else items[:1]

    def _read(self, items: list[int]) -> list[Sample]:
        """Read single patches."""
        stored = self.dtype == 'stored'
        field = self._reader.spec.fields['image']
        # converted while it is decoded, into the memory of the batch
        kept = stored and field.dtype == 'int16'
        bands = field.shape[0] if self._indexes is None else len(self._indexes)
        image = empty_shared(
            (len(items), bands, *field.shape[1:]),
            torch.int16 if kept else torch.float32,
        )
        out = {'image': image.numpy()}
        arrays = self._reader.read_many(items, self._indexes, out=out)
        found = [self._reader.items[item] or {} for item in items]
        return decode_samples(self._parts, arrays, found, self._indexes, stored)

    def _join(self, dates: list[Sample]) -> Sample:
        """Make one sample of the patches of a place."""
        first = dates[0]
        if self.timestamps not in ('pair', 'all'):
            return first
        if self.timestamps == 'pair' and len(dates) == 1:
            # read once, seen twice
            dates = dates * 2
        joined = dict(first)
        for key in ('valid', 'mask'):
            if key in first:
                joined[key] = torch.stack([date[key] for date in dates])
        if self.timestamps == 'all':
            joined['image'] = torch.stack([date['image'] for date in dates])
            return joined
        for key in ('image', 'wavelength', 'fwhm'):
            if key in first:
                joined[key] = torch.cat([date[key] for date in dates])
        return joined

    def _crop(self, sample: Sample, spot: tuple[float, float]) -> Sample:
        """Cut out a window of all entries that have rows and columns."""
        height, width = shape = tuple(sample['image'].shape[-2:])
        window = crop_window((height, width), self.crop_size, spot)
        if window is None:
            return sample
        rows, columns = window.toslices()
        cut = {
            key: value[..., rows, columns]
            for key, value in sample.items()
            if isinstance(value, torch.Tensor) and tuple(value.shape[-2:]) == shape
        }
        return {**sample, **cut}

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample.

        Args:
            sample: A sample as returned by ``[index]``, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no selected band is visible.
            MetadataError: If there are several dates, and the store does not describe
                its bands.
        """
        if self.timestamps in ('pair', 'all'):
            return plot_dates(sample, len(self.bandset), show_titles, suptitle)
        return plot_sample(
            sample,
            show_titles=show_titles,
            suptitle=suptitle,
            class_names=self.classes or None,
            class_colors=self.attributes.get('class_colors', CLASS_COLORS),
            ignore_index=self.attributes.get('ignore_index'),
            scale=self.attributes.get('scale', 1e4),
        )


def holds_store(root: Any) -> bool:
    """Tell whether a datamodule's *root* is a store and no folder of files.

    Args:
        root: A folder or an address; anything else is no store.

    Returns:
        True for the folder of a store of patches, and for any address.
    """
    if not isinstance(root, str | os.PathLike):
        return False
    return '://' in os.fspath(root) or store_kind(root) == 'patches'
