# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reading a store."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._typing import PathLike
from ...errors import BandMismatchError, CorruptFileError, UnknownNameError
from .._files import parse_json, shorten
from ._array import ChunkReader, Request, Wanted, region_shape
from ._folder import GROUP, ITEMS, UNFINISHED, check_header, header_of
from ._layout import ArrayLayout, field_layout
from ._source import FolderSource, Source, open_source
from .items import BROKEN, ItemTable
from .spec import StoreSpec

#: What the metadata of an array say about its size.
_COMPARED = ('shape', 'data_type', 'chunk_grid')


class StoreReader:
    """A finished store of patches, on disk or in object storage.

    May be used by many threads, sent to other processes, and be open while a process
    forks. It keeps no file open, and no item in memory.

    Args:
        path: Folder; or address such as ``s3://bucket/store``, ``gs://...`` or
            ``https://...``, of any file system of fsspec.
        cache_mb: Bound of the memory for indexes of shards and for small fields, in
            MiB.
        threads: Threads that decode. The number of cores by default; in a worker of
            torch's data loader, its share of them; in other worker processes, one.
        options: Options of the file system of fsspec, for addresses only, e.g.
            ``{'anon': True}`` for public data in S3.

    Raises:
        FileNotFoundError: If there is no store, or it is not finished.
        MetadataError: If it is a store of a scene, or of a newer version.
        CorruptFileError: If its metadata are damaged.
        DownloadError: If an address cannot be read.
        ImportError: If numcodecs, or what an address needs, is not installed.

    Example:
        .. code-block:: python

            reader = StoreReader('data/store')
            image = reader.read(7, bands=[43, 28, 10])['image']
    """

    #: Where the store is.
    path: str
    #: What it holds.
    spec: StoreSpec
    #: What else is known about each item, a sequence of dictionaries, None for items
    #: that could not be read.
    items: ItemTable
    #: SHA-256 of the whole store.
    checksum: str

    def __init__(
        self,
        path: PathLike,
        cache_mb: float = 64,
        threads: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Initialize a new StoreReader instance; see the class for the arguments."""
        self.path = os.fspath(path)
        self._arguments = (self.path, cache_mb, threads, dict(options or {}))
        source = open_source(self.path, self._arguments[3])
        group = read_group(source)
        header = check_header(header_of(group), 'patches', self.path)
        try:
            self.spec = StoreSpec.from_json(header['spec'])
            self.checksum = str(header['sha256'])
            self._layouts = {
                name: field_layout(self.spec, name) for name in self.spec.fields
            }
            check_arrays(group, self._layouts.values())
            self.items = ItemTable.from_bytes(source.read(ITEMS), self.spec.items)
        except CorruptFileError:
            raise
        # whatever zipfile, zlib and numpy find wrong with a damaged file
        except (FileNotFoundError, *BROKEN) as error:
            raise CorruptFileError(
                f'The item table or the metadata of {self.path} are missing or damaged '
                f'({shorten(str(error), 200)}). Copy them again, or convert again.'
            ) from error
        self._chunks = ChunkReader(source, cache_mb, threads)
        self._shards: list[NDArray[np.int64]] | None = None

    def __reduce__(self) -> tuple[type['StoreReader'], tuple[Any, ...]]:
        """Open the store again in another process."""
        return type(self), self._arguments

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the store as a whole."""
        return self.spec.attributes

    def __len__(self) -> int:
        """Return the number of items, those included that could not be read."""
        return self.spec.items

    @property
    def shards(self) -> list[NDArray[np.int64]]:
        """Indexes of the items of each shard, without those that could not be read."""
        if self._shards is None:
            present = np.flatnonzero(self.items.present)
            edges = np.arange(1, self.spec.shards) * self.spec.shard_items
            self._shards = np.split(present, np.searchsorted(present, edges))
        return self._shards

    def read(
        self,
        index: int,
        bands: Sequence[int] | None = None,
        fields: Iterable[str] | None = None,
        out: Mapping[str, NDArray[Any]] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Read one item.

        Args:
            index: Index of the item, from 0.
            bands: Bands to read, from 0, in any order, of the fields that have a band
                axis; all by default. Only the groups of bands are decoded that are
                wanted.
            fields: Fields to read; all by default.
            out: Arrays to read into, for all or some of the fields; of the right shape
                and any data type, into which numbers are converted.

        Returns:
            One array for each field, of the shape and data type of its specification.
            They belong to the caller.

        Raises:
            IndexError: If there is no such item, or it could not be read when the store
                was written.
            BandMismatchError: If a band does not exist.
            UnknownNameError: If a field does not exist.
            ValueError: If an array to read into has another shape.
            CorruptFileError: If a file is missing or damaged.
        """
        given = {name: array[None] for name, array in (out or {}).items()}
        many = self.read_many([index], bands, fields, given)
        # a number would come as a scalar of numpy
        return {name: array.reshape(array.shape[1:]) for name, array in many.items()}

    def read_many(
        self,
        indexes: Sequence[int],
        bands: Sequence[int] | None = None,
        fields: Iterable[str] | None = None,
        out: Mapping[str, NDArray[Any]] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Read several items at once, into one array for each field.

        Args:
            indexes: Indexes of the items, in any order.
            bands: Bands to read, see :meth:`read`.
            fields: Fields to read; all by default.
            out: Arrays to read into, see :meth:`read`.

        Returns:
            One array for each field, with the items stacked along the first axis.

        Raises:
            IndexError: If there is no such item, or it could not be read when the store
                was written.
            BandMismatchError: If a band does not exist.
            UnknownNameError: If a field does not exist.
            ValueError: If an array to read into has another shape.
            CorruptFileError: If a file is missing or damaged.
        """
        self._check_items(indexes)
        given = out or {}
        result: dict[str, NDArray[Any]] = {}
        requests = []
        for name in self.spec.fields if fields is None else dict.fromkeys(fields):
            wanted = self._wanted(name, bands)
            shape = (len(indexes), *region_shape(wanted))
            array = given.get(name)
            if array is None:
                array = np.empty(shape, self.spec.fields[name].dtype)
            elif array.shape != shape:
                raise ValueError(
                    f'Expected an array of shape {shape[1:]} for {name} of each item, '
                    f'got {array.shape[1:]} for {len(array)} of {len(indexes)} items.'
                )
            result[name] = array
            for place, index in enumerate(indexes):
                where: tuple[Wanted, ...] = ((index, index + 1), *wanted)
                one = array[place : place + 1]
                requests.append(Request(self._layouts[name], where, one))
        self._chunks.read(requests)
        return result

    def _wanted(self, name: str, bands: Sequence[int] | None) -> tuple[Wanted, ...]:
        """Return what is wanted along the axes of a field."""
        if name not in self.spec.fields:
            raise UnknownNameError('field', name, self.spec.fields)
        field = self.spec.fields[name]
        wanted: list[Wanted] = [(0, size) for size in field.shape]
        if bands is not None and field.band_axis is not None:
            wanted[field.band_axis] = wanted_bands(
                bands, field.shape[field.band_axis], self.path
            )
        return tuple(wanted)

    def _check_items(self, indexes: Sequence[int]) -> None:
        for index in indexes:
            if not 0 <= index < len(self):
                raise IndexError(
                    f'Expected an item from 0 to {len(self) - 1} of {self.path}, got '
                    f'{index}.'
                )
            if not self.items.present[index]:
                raise IndexError(
                    f'Item {index} of {self.path} could not be read when the store was '
                    'written. The items that can be read are listed in shards.'
                )


def wanted_bands(bands: Sequence[int], count: int, path: str) -> Wanted:
    """Check bands, and see whether they are neighbours.

    Args:
        bands: The bands, from 0.
        count: How many there are.
        path: The store, for messages.

    Returns:
        First and last, if they are in order without a gap; else all of them.

    Raises:
        BandMismatchError: If a band does not exist.
    """
    chosen = np.asarray(bands, np.int64).reshape(-1)
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
        raise BandMismatchError(
            f'Expected bands 0 to {count - 1} of {path}, got {chosen.tolist()}.'
        )
    if chosen.size and (np.diff(chosen) == 1).all():
        return int(chosen[0]), int(chosen[-1]) + 1
    return chosen


def read_group(source: Source) -> Any:
    """Read the metadata of the group of a store.

    Args:
        source: Where the store is.

    Returns:
        The metadata.

    Raises:
        FileNotFoundError: If there is no store, or it is not finished.
        CorruptFileError: If the metadata are damaged.
    """
    try:
        content = source.read(GROUP)
    except FileNotFoundError as error:
        begun = isinstance(source, FolderSource) and os.path.isfile(
            os.path.join(source.path, UNFINISHED)
        )
        hint = (
            'The store there is not finished: run "torchgeo-hsi convert" again.'
            if begun
            else 'Check the path.'
        )
        raise FileNotFoundError(
            f'There is no store at {source.path}. {hint}'
        ) from error
    return parse_json(content, f'{source.path}/{GROUP}', 'Copy it again.')


def check_arrays(group: Any, layouts: Iterable[ArrayLayout]) -> None:
    """Compare two accounts of the arrays of a store, of which one may be damaged.

    Args:
        group: The metadata of the group.
        layouts: The arrays as the specification has them.

    Raises:
        ValueError: If they contradict each other.
    """
    stored = group['consolidated_metadata']['metadata']
    for layout in layouts:
        wanted = layout.metadata()
        if any(stored[layout.name][key] != wanted[key] for key in _COMPARED):
            raise ValueError(f'two sizes or types of {layout.name!r}')
