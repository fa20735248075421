# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""All shards of a conversion, in two rounds where samples end processes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..io.store import StoreReader, StoreSpec, reopen_store
from ..io.store._folder import is_finished, read_checksums
from ..io.store._shards import read_records, record_path
from ..jobs import JobFailure, JobReport, run_jobs
from ._convert_shard import ShardResult, TrySample, WriteShard
from ._convert_source import Parts


def write_shards(
    parts: Parts,
    folder: Path,
    spec: StoreSpec,
    todo: Sequence[int],
    retries: int,
    options: Mapping[str, Any],
) -> tuple[dict[int, JobFailure], tuple[JobFailure, ...]]:
    """Write shards.

    A shard of which worker processes die is not lost for one bad sample: its samples
    are read one by one, and those that are deadly are left out.

    Args:
        parts: The samples.
        folder: Folder of the store.
        spec: What it holds.
        todo: Shards to write.
        retries: How often a sample or shard that failed is tried again.
        options: Where the work is done, for :func:`~torchgeo_hsi.jobs.run_jobs`.

    Returns:
        Samples that could not be read, by their index, and shards that could not be
        written.

    Raises:
        OutputError: If nothing more can be written, e.g. on a full disk.
    """

    def run(shards: Sequence[int], deadly: dict[int, str]) -> JobReport[ShardResult]:
        return run_jobs(
            WriteShard(parts, str(folder), spec, retries, deadly),
            shards,
            retries=retries,
            names=lambda shard: f'shard {shard}',
            fatal=(OutputError,),
            **options,
        )

    report = run(todo, {})
    failed = _failures(parts, report)
    left = [todo[failure.index] for failure in report.failures]
    died = [todo[f.index] for f in report.failures if not f.traceback]
    if died:
        suspects = [index for shard in died for index in spec.shard_range(shard)]
        trial = run_jobs(
            TrySample(parts), suspects, retries=0, names=parts.name, **options
        )
        deadly = {suspects[f.index]: f.error for f in trial.failures}
        if deadly:
            report = run(left, deadly)
            failed |= _failures(parts, report)
            left = [left[failure.index] for failure in report.failures]
    missing = tuple(
        JobFailure(shard, f'shard {shard}', f.error, f.attempts, f.traceback)
        for shard, f in zip(left, report.failures, strict=True)
    )
    return failed, missing


def _failures(parts: Parts, report: JobReport[ShardResult]) -> dict[int, JobFailure]:
    return {
        index: JobFailure(index, parts.name(index), error, result.attempts)
        for result in report.succeeded
        for index, error in result.failures.items()
    }


def empty_items(folder: Path) -> list[int]:
    """List the places of a finished store that are empty.

    Args:
        folder: The store.

    Returns:
        Indexes of samples that could not be read.
    """
    present = StoreReader(folder).items.present
    return [int(index) for index in (~present).nonzero()[0]]


def reopen_empty(folder: Path) -> None:
    """Make shards with empty places unwritten again.

    Args:
        folder: The store, finished or not.
    """
    if is_finished(folder):
        spec = StoreReader(folder).spec
        shards = {index // spec.shard_items for index in empty_items(folder)}
        recorded = read_checksums(folder)['shards']
        # one of its files stands for a shard
        files = [next(iter(recorded[shard]['files'])) for shard in shards]
        if files:
            reopen_store(folder, files)
        return
    for shard, record in read_records(folder).items():
        if None in record['items']:
            record_path(folder, shard).unlink()
