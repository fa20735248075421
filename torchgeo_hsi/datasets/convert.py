# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From a collection of patches to a training store."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._typing import PathLike
from ..errors import OutputError
from ..io.store import (
    StoreSpec,
    create_store,
    done_shards,
    finish_store,
    is_store,
    read_spec,
    reopen_store,
    verify_store,
)
from ..io.store._folder import is_finished, write_file
from ..jobs import JobFailure, JobProgress
from ._convert_shards import empty_items, reopen_empty, write_shards
from ._convert_source import (
    Parts,
    check_repeatable,
    check_source,
    describe_source,
    forget_source,
    only_one,
)
from ._store_samples import plan_store
from .conversion_report import ConversionReport

#: Names and errors of the samples that could not be read, for people.
_FAILURES = 'failures.json'

#: What is there of a store besides its fields.
_OWN = ('zarr.json', 'items.npz', 'checksums.json', _FAILURES)


def convert_dataset(
    dataset: Any,
    out: PathLike,
    *,
    shard_mb: float = 64.0,
    workers: int | None = None,
    scheduler: str | None = None,
    retries: int = 2,
    progress: Callable[[JobProgress], None] | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    verify: bool = False,
    note: str = '',
) -> ConversionReport:
    """Write the samples of a dataset into a store that trains faster.

    The same samples come out of :class:`StoredPatches`, with masks, wavelengths and
    places. The store is written shard by shard. After a kill, or if some shards failed,
    call this again with the same arguments: only what is missing is written, and the
    result is the same to the last bit. Samples have to be the same each time that they
    are read.

    A sample that cannot be read is tried again, then left out: its place in the store
    stays empty, and ``failures.json`` in *out* names it.

    Args:
        dataset: Dataset of patches that can be pickled, or a dictionary with those of
            several splits, which share one store. Samples need an ``image``.
        out: Folder of the store.
        shard_mb: Size of a shard in MiB, uncompressed.
        workers: Processes on this machine, see :func:`~torchgeo_hsi.jobs.run_jobs`.
        scheduler: Address of a Dask scheduler whose workers see *out* and the data.
        retries: How often a sample or shard that failed is tried again.
        progress: Called with every step.
        overwrite: Whether to delete a store that is there and begin anew.
        retry_failed: Whether to try samples again that an earlier run could not read.
        verify: Whether to read the whole store again and compare it with its checksums,
            also what an earlier run has written; damaged shards are written anew.
        note: Anything else that the store depends on, such as arguments of the
            dataset; a run with another note does not go on with the store.

    Returns:
        What was written, and what could not be read.

    Raises:
        MetadataError: If the dataset holds no patches, or gives other samples each time.
        EmptyDataError: If it is empty.
        OutputError: If the folder cannot be written, holds something else, or was begun
            with other data.
        JobError: If workers cannot be reached or started.

    Example:
        .. code-block:: python

            splits = {s: SpectralEarthCDL('data', split=s) for s in ('train', 'val')}
            report = convert_dataset(splits, 'data/cdl_store', workers=8)
            train = StoredPatches('data/cdl_store', split='train')
    """
    start = time.perf_counter()
    folder = Path(out)
    _check_source(folder, dataset)
    parts = Parts(dataset)
    _check_folder(folder, overwrite)
    with only_one(folder):
        if overwrite:
            _clear(folder)
        spec = _begin(folder, parts, shard_mb, note)
        if retry_failed:
            reopen_empty(folder)
        elif verify and is_finished(folder):
            _reopen_damaged(folder)
        done = done_shards(folder)
        todo = [shard for shard in range(spec.shards) if shard not in done]
        options = {'workers': workers, 'scheduler': scheduler, 'progress': progress}
        failed, missing = write_shards(parts, folder, spec, todo, retries, options)
        checksum = None if missing else finish_store(folder)
        failures = _note_failures(folder, parts, failed, checksum is not None)
        if verify and checksum is not None:
            _verify(folder)
    written = len(todo) - len(missing)
    seconds = time.perf_counter() - start
    return ConversionReport(
        folder, checksum, spec.items, spec.shards, written, failures, missing, seconds
    )


def _check_source(folder: Path, dataset: Any) -> None:
    """Refuse to write over the dataset itself."""
    for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
        root = getattr(part, 'root', None)
        if isinstance(root, str | Path) and os.path.realpath(root) == os.path.realpath(
            folder
        ):
            raise OutputError(
                f'{folder} is where the dataset itself lies. Name another folder.'
            )


def _check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something else before anything is written there."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f'{folder} is a file. Name a folder for the store.')
    if not folder.is_dir() or is_store(folder):
        return
    # a run that ended early has left fields without a store
    foreign = [
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith('.') and not (entry / 'zarr.json').is_file()
    ]
    if foreign and not (overwrite and set(foreign) <= set(_OWN)):
        raise OutputError(
            f'{folder} holds other things, such as {foreign[0]}. Name a new folder.'
        )


def _clear(folder: Path) -> None:
    """Delete a store; the lock stays."""
    for entry in folder.iterdir():
        if entry.name == '.lock':
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _begin(folder: Path, parts: Parts, shard_mb: float, note: str) -> StoreSpec:
    """Begin a store, or find one that goes on."""
    source = describe_source(parts, shard_mb, note)
    was_there = is_store(folder)
    known = check_source(folder, source)
    if was_there and known:
        return read_spec(folder)
    if was_there:
        forget_source(folder)
        raise OutputError(
            f'{folder} is a store, and it is not known what it was made from. Pass '
            'overwrite=True to begin anew, or choose another folder.'
        )
    check_repeatable(parts)
    spec = plan_store(parts, shard_mb=shard_mb)
    attributes = {**spec.attributes, 'dataset': source['dataset']}
    if '' not in parts.counts:
        attributes['splits'] = parts.counts
    spec = dataclasses.replace(spec, attributes=attributes)
    create_store(folder, spec)
    return spec


def _reopen_damaged(folder: Path) -> None:
    """Make shards whose files are damaged unwritten again."""
    damaged = verify_store(folder)
    if damaged:
        reopen_store(folder, damaged)


def _verify(folder: Path) -> None:
    """Compare a store with its checksums."""
    damaged = verify_store(folder)
    if damaged:
        raise OutputError(
            f'{len(damaged)} files of {folder} are not what was written, such as '
            f'{damaged[0]}. The disk or file system may be faulty. Run again with '
            'verify=True to write them anew.'
        )


def _note_failures(
    folder: Path, parts: Parts, found: Mapping[int, JobFailure], complete: bool
) -> tuple[JobFailure, ...]:
    """List what could not be read, in this run and before, and write it down."""
    file = folder / _FAILURES
    try:
        before = {
            int(f['index']): JobFailure(**f) for f in json.loads(file.read_text())
        }
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        before = {}
    failures = {**before, **found}
    if complete:
        empty = empty_items(folder)
        failures = {
            index: failures.get(index)
            or JobFailure(index, parts.name(index), 'not readable in an earlier run', 1)
            for index in empty
        }
    listed = tuple(failures[index] for index in sorted(failures))
    if listed:
        content = [dataclasses.asdict(failure) for failure in listed]
        write_file(file, (json.dumps(content, indent=1) + '\n').encode())
    else:
        file.unlink(missing_ok=True)
    return listed
