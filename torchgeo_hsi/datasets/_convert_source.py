# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a store is made from, remembered so that a conversion goes on with the same."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchgeo.datasets import GeoDataset

from .._typing import Sample
from ..errors import EmptyDataError, MetadataError, OutputError
from ..io.store._folder import write_file
from ._store_samples import describe_items

if sys.platform != 'win32':
    import fcntl

#: Hidden, so that a folder which holds nothing else still counts as empty.
_RECORD = '.source.json'
_LOCK = '.lock'


class Parts(Sequence[Sample]):
    """The samples of all splits in a row.

    Args:
        datasets: One dataset, or those of the splits by their names.

    Raises:
        MetadataError: If a dataset has no samples that can be counted.
        EmptyDataError: If there is no sample at all.
    """

    def __init__(self, datasets: Any) -> None:
        """Initialize a new Parts instance; see the class for the arguments."""
        named = dict(datasets) if isinstance(datasets, Mapping) else {'': datasets}
        for dataset in named.values():
            _check(dataset)
        self.datasets: dict[str, Any] = named
        self.counts = {name: len(dataset) for name, dataset in named.items()}
        if not sum(self.counts.values()):
            raise EmptyDataError('There is no sample to convert.')

    def __len__(self) -> int:
        """Return the number of samples."""
        return sum(self.counts.values())

    def locate(self, index: int) -> tuple[str, int]:
        """Find a sample.

        Args:
            index: Its index among all.

        Returns:
            Its split, and its index there.

        Raises:
            IndexError: If there is no such sample.
        """
        left = index
        for name, count in self.counts.items():
            if 0 <= left < count:
                return name, left
            left -= count
        raise IndexError(f'Expected a sample from 0 to {len(self) - 1}, got {index}.')

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """Return a sample."""
        name, place = self.locate(index)
        sample: Sample = self.datasets[name][place]
        return sample

    def name(self, index: int) -> str:
        """Name a sample without reading it.

        Args:
            index: Its index among all.

        Returns:
            The name of its file, as far as that is known, or its index.
        """
        split, place = self.locate(index)
        (known,) = describe_items(self.datasets[split], [place])
        return str(known.get('name') or f'{split} item {place}'.strip())

    def describe(self, indexes: Sequence[int]) -> list[dict[str, Any]]:
        """Say what is known of samples besides their values.

        Args:
            indexes: Their indexes among all.

        Returns:
            Name, group and scene of each, as far as they are known, its split, and its
            index there.
        """
        places: dict[str, list[int]] = {}
        for index in indexes:
            split, place = self.locate(index)
            places.setdefault(split, []).append(place)
        # indexes are in order, and so are splits
        return [
            {**known, 'index': place, **({'split': split} if split else {})}
            for split, found in places.items()
            for place, known in zip(
                found, describe_items(self.datasets[split], found), strict=True
            )
        ]


def _check(dataset: Any) -> None:
    if isinstance(dataset, GeoDataset):
        raise MetadataError(
            f'{type(dataset).__name__} holds scenes, not patches, so it has no samples '
            'to count. Convert its files: "torchgeo-hsi convert FILES OUT".'
        )
    if not hasattr(dataset, '__len__') or not hasattr(dataset, '__getitem__'):
        raise MetadataError(
            'Expected a dataset with a length, whose samples have indexes, got '
            f'{type(dataset).__name__}.'
        )


def _files(dataset: Any) -> Iterator[str]:
    """Yield the files of a dataset, as far as it tells them."""
    files = getattr(dataset, 'files', None)
    if callable(files):
        for index in range(len(dataset)):
            yield from map(os.fspath, files(index))
    elif isinstance(files, list | tuple):
        for file in files:
            several = file.values() if isinstance(file, Mapping) else [file]
            yield from (str(f) for f in several if isinstance(f, str | os.PathLike))


def check_repeatable(parts: Parts) -> None:
    """Refuse a dataset that draws its samples at random.

    Args:
        parts: The samples.

    Raises:
        MetadataError: If one of the first samples is another one each time.
    """
    for index in range(min(3, len(parts))):
        try:
            first, second = parts[index], parts[index]
        # what cannot be read is told later
        except Exception:  # noqa: BLE001, S112
            continue
        if first.keys() != second.keys() or not all(
            _same(first[key], second[key]) for key in first
        ):
            raise MetadataError(
                f'Sample {index} is another one each time that it is read, so a store '
                'would keep one of many. Leave out random crops, dates and transforms.'
            )


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return bool(one == other)
    return one.shape == other.shape and bool(
        torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all()
    )


def describe_source(parts: Parts, shard_mb: float, note: str) -> dict[str, Any]:
    """Describe what a store is made from.

    Args:
        parts: The samples.
        shard_mb: Size of a shard.
        note: Anything else that matters, such as arguments.

    Returns:
        The description, which JSON can hold.
    """
    listing = hashlib.sha256()
    for dataset in parts.datasets.values():
        folders = [
            os.fspath(folder)
            for folder in (
                getattr(dataset, 'folder', None),
                getattr(dataset, 'root', ''),
            )
            if isinstance(folder, str | os.PathLike)
        ]
        for file in _files(dataset):
            listing.update(f'{file} {_state(file, folders)}\n'.encode())
    kinds = {f'{type(d).__module__}.{type(d).__qualname__}' for d in _each(parts)}
    return {
        'dataset': ', '.join(sorted(kinds)),
        'number of samples': parts.counts,
        'arguments': note,
        'shard size': shard_mb,
        'files': listing.hexdigest(),
    }


def _each(parts: Parts) -> Iterator[Any]:
    yield from parts.datasets.values()


def _state(file: str, folders: Sequence[str]) -> str:
    """Return size and time of a file; empty if it is not known where it lies."""
    for folder in ('', *folders):
        try:
            found = os.stat(os.path.join(folder, file))
        except OSError:
            continue
        return f'{found.st_size} {found.st_mtime_ns}'
    return ''


def check_source(out: Path, source: Mapping[str, Any]) -> bool:
    """Compare the source with that of an earlier run, or remember it.

    Args:
        out: Folder of the store.
        source: What :func:`describe_source` returned.

    Returns:
        Whether there was an earlier run.

    Raises:
        OutputError: If the earlier run had another source, or the folder holds a store
            of which nothing is known.
    """
    record = out / _RECORD
    try:
        before = json.loads(record.read_bytes())
    except FileNotFoundError:
        write_file(record, (json.dumps(source, indent=1) + '\n').encode())
        return False
    # cut by a power failure, or something else in its place
    except (OSError, ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise OutputError(
            f'{record}, which says what the store is made from, is damaged. Pass '
            'overwrite=True to begin anew, or choose another folder.'
        )
    wanted = json.loads(json.dumps(source))
    differing = [key for key in wanted if before.get(key) != wanted[key]]
    if differing:
        words = ' and '.join(differing)
        raise OutputError(
            f'{out} was begun with other data or options ({words}). Pass overwrite=True '
            'to begin anew, or choose another folder.'
        )
    return True


def forget_source(out: Path) -> None:
    """Forget what a store is made from.

    Args:
        out: Folder of the store.
    """
    (out / _RECORD).unlink(missing_ok=True)


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Keep two conversions from writing to one folder at the same time.

    The system releases the lock when a process ends, however it ends.

    Args:
        out: Folder of the store.

    Yields:
        Nothing.

    Raises:
        OutputError: If there is another conversion.
    """
    if sys.platform == 'win32':
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise OutputError(
            f'Nothing can be written to {out}: {error}. Choose another folder.'
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f'Another conversion is writing to {out}. Wait for it, or end it.'
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(file)
