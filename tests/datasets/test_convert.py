# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A store is complete and the same, whatever happened while it was written."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.conversion.data import Converter, Patches, make_sample
from torch.utils.data import Dataset

from tests.datasets.converting import convert
from torchgeo_hsi.datasets import _convert_shard as convert_shard
from torchgeo_hsi.datasets.conversion_report import ConversionReport
from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io.store import StoreReader, done_shards, read_spec
from torchgeo_hsi.jobs import JobFailure, JobReport

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> ConversionReport:
    return convert(Patches(), tmp_path_factory.mktemp('undisturbed') / 'store')


def test_everything_is_there(undisturbed: ConversionReport) -> None:
    assert (undisturbed.items, undisturbed.shards, undisturbed.written) == (30, 8, 8)
    assert undisturbed.failures == undisturbed.missing == ()
    reader = StoreReader(undisturbed.path)
    assert reader.checksum == undisturbed.checksum
    for index in range(30):
        sample, stored = make_sample(index), reader.read(index)
        np.testing.assert_array_equal(stored['image'], sample['image'].numpy())
        np.testing.assert_array_equal(stored['valid'], sample['valid'].numpy())
        item = reader.items[index]
        assert item is not None
        assert item['index'] == index


def test_a_second_run_does_nothing(undisturbed: ConversionReport) -> None:
    class Unread(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            raise AssertionError(index)

    # the same class by name
    Unread.__qualname__, Unread.__module__ = Patches.__qualname__, Patches.__module__
    again = convert(Unread(), undisturbed.path)
    assert again.written == 0
    assert again.checksum == undisturbed.checksum


@pytest.fixture(scope='module')
def converter() -> Iterator[Converter]:
    process = Converter()
    yield process
    process.close()


@pytest.mark.parametrize('seed', [0, 1])
def test_killed_five_times(tmp_path: Path, converter: Converter, seed: int) -> None:
    rng = random.Random(seed)
    expected = convert(Patches(200), tmp_path / 'undisturbed')
    start = time.perf_counter()
    assert converter.wait(converter.start(tmp_path / 'timed', 200, seconds=0.01)) == 0
    undisturbed = time.perf_counter() - start
    out = tmp_path / 'store'
    counts = [0]
    for _ in range(5):
        pid = converter.start(out, 200, seconds=0.01)
        # a random moment of the writing, that of the planning included; in parts of
        # the time that it takes on this machine
        time.sleep(rng.uniform(0.03, 0.22) * undisturbed)
        os.kill(pid, signal.SIGKILL)
        assert converter.wait(pid) == -signal.SIGKILL
        if (out / '.unfinished.json').exists():
            counts.append(len(done_shards(out)))
    assert counts == sorted(counts)
    assert 0 < counts[-1] < expected.shards
    report = convert(Patches(200), out)
    assert report.written == expected.shards - counts[-1]
    assert report.checksum == expected.checksum
    # nothing of the killed runs is left, and the files are the same
    assert contents(out) == contents(expected.path)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.name != '.source.json'
    }


def test_a_patch_that_fails_is_left_out(
    tmp_path: Path, undisturbed: ConversionReport
) -> None:
    out = tmp_path / 'store'
    report = convert(Patches(bad=(5, 17)), out, retries=1)
    assert report.checksum is not None
    assert [f.index for f in report.failures] == [5, 17]
    assert report.failures[0].error == 'OSError: sector 5 is damaged'
    assert report.failures[0].attempts == 2
    reader = StoreReader(out)
    assert [i for i, item in enumerate(reader.items) if item is None] == [5, 17]
    np.testing.assert_array_equal(reader.read(6)['image'], make_sample(6)['image'])
    listed = json.loads((out / 'failures.json').read_text())
    assert [entry['index'] for entry in listed] == [5, 17]
    # it stays known, and is not tried again unless asked for
    again = convert(Patches(), out)
    assert again.written == 0
    assert again.failures == report.failures
    mended = convert(Patches(), out, retry_failed=True)
    assert (mended.written, mended.failures) == (2, ())
    assert mended.checksum == undisturbed.checksum
    assert not (out / 'failures.json').exists()


def test_failures_of_a_killed_run_are_known(tmp_path: Path) -> None:
    out = tmp_path / 'store'

    class Stops(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 13 and (out / '.unfinished.json').exists():
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        convert(Stops(bad=(2,)), out)
    Stops.__getitem__ = Patches.__getitem__  # type: ignore[method-assign]
    report = convert(Stops(), out)
    (failure,) = report.failures
    assert failure.index == 2
    assert failure.error == 'not readable in an earlier run'
    report = convert(Stops(), out, retry_failed=True)
    assert (report.written, report.failures) == (1, ())


def test_retry_failed_before_the_store_is_finished(tmp_path: Path) -> None:
    out = tmp_path / 'store'

    class Stops(Patches):
        stop = True

        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 13 and self.stop and (out / '.unfinished.json').exists():
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        convert(Stops(bad=(2,)), out)
    done = len(done_shards(out))
    Stops.stop = False
    report = convert(Stops(), out, retry_failed=True)
    assert report.failures == ()
    assert report.written == 8 - done + 1


def test_what_fails_once_is_tried_again(
    tmp_path: Path, undisturbed: ConversionReport
) -> None:
    class Flaky(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            trace = tmp_path / f'{index}.tried'
            if index % 7 == 6 and not trace.exists():
                trace.touch()
                raise OSError('timed out')
            return super().__getitem__(index)

    report = convert(Flaky(), tmp_path / 'store')
    assert report.failures == ()
    np.testing.assert_array_equal(
        StoreReader(report.path).read(6)['image'],
        StoreReader(undisturbed.path).read(6)['image'],
    )


def test_a_sample_of_another_shape_is_left_out(tmp_path: Path) -> None:
    class Odd(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            sample = super().__getitem__(index)
            if index == 9:
                sample['image'] = sample['image'][:, :8]
            return sample

    report = convert(Odd(), tmp_path / 'store')
    (failure,) = report.failures
    assert failure.index == 9
    assert failure.error.startswith('MetadataError: Expected samples of the same')
    assert StoreReader(report.path).items[8] is not None


def test_splits_share_a_store(tmp_path: Path) -> None:
    parts = {'train': Patches(6), 'val': Patches(3, start=6, bad=(1,))}
    report = convert(parts, tmp_path / 'store')
    assert report.failures[0].name == 'val item 1'
    reader = StoreReader(report.path)
    items = list(reader.items)
    assert [item and item['split'] for item in items] == (
        ['train'] * 6 + ['val', None, 'val']
    )
    assert [item and item['index'] for item in items] == [*range(6), 0, None, 2]
    np.testing.assert_array_equal(reader.read(8)['image'], make_sample(8)['image'])
    assert reader.attributes['splits'] == {'train': 6, 'val': 3}


def test_full_disk(
    tmp_path: Path, undisturbed: ConversionReport, converter: Converter
) -> None:
    out = tmp_path / 'store'
    assert converter.wait(converter.start(out, limit=5000)) == 7
    assert done_shards(out) == {}
    report = convert(Patches(), out)
    assert report.checksum == undisturbed.checksum
    assert contents(out) == contents(undisturbed.path)


def test_two_at_a_time(tmp_path: Path, converter: Converter) -> None:
    out = tmp_path / 'store'
    pid = converter.start(out, seconds=0.2)
    try:
        while not (out / '.unfinished.json').exists():
            time.sleep(0.01)
        with pytest.raises(OutputError, match='Another conversion is writing'):
            convert(Patches(), out)
    finally:
        os.kill(pid, signal.SIGKILL)
        converter.wait(pid)


class DeathError(BaseException):
    """Stands for the end of a process in the test that follows."""


def run_with_deaths(
    function: Callable[[Any], Any], items: Sequence[Any], **options: Any
) -> JobReport[Any]:
    """Do what run_jobs does when workers die."""
    results, failures = [], []
    for index, item in enumerate(items):
        result = None
        try:
            result = function(item)
        except DeathError:
            name = options['names'](item)
            failures.append(JobFailure(index, name, 'its worker process died', 2))
        results.append(result)
    return JobReport(results, tuple(failures), 0.0)


def test_a_sample_that_ends_processes_costs_itself_only(
    tmp_path: Path, undisturbed: ConversionReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            if index in (5, 21):
                raise DeathError
            return super().__getitem__(index)

    monkeypatch.setattr(
        'torchgeo_hsi.datasets._convert_shards.run_jobs', run_with_deaths
    )
    report = convert(Deadly(bad=(6,)), tmp_path / 'store')
    assert report.missing == ()
    assert [f.index for f in report.failures] == [5, 6, 21]
    assert report.failures[2].error == 'its worker process died'
    reader = StoreReader(report.path)
    assert [i for i, item in enumerate(reader.items) if item is None] == [5, 6, 21]
    sums, expected = done_shards(report.path), done_shards(undisturbed.path)
    spec = read_spec(undisturbed.path)
    others = {index // spec.shard_items for index in (5, 6, 21)}
    assert {shard for shard in sums if sums[shard] != expected[shard]} == others


def test_shards_that_cannot_be_written(
    tmp_path: Path, undisturbed: ConversionReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for a sample: then the rest is there, and the next run completes it."""
    original = convert_shard.encode_samples

    def encode(spec: Any, samples: Any) -> Any:
        if any(sample and int(sample['label']) == 9 for sample in samples):
            raise DeathError
        return original(spec, samples)

    out = tmp_path / 'store'
    with monkeypatch.context() as patch:
        patch.setattr(convert_shard, 'encode_samples', encode)
        patch.setattr('torchgeo_hsi.datasets._convert_shards.run_jobs', run_with_deaths)
        report = convert(Patches(), out)
    assert report.checksum is None
    assert report.written == 7
    (missing,) = report.missing
    assert (missing.index, missing.name) == (2, 'shard 2')
    with pytest.raises(FileNotFoundError):
        StoreReader(out)
    report = convert(Patches(), out)
    assert report.written == 1
    assert report.checksum == undisturbed.checksum


@pytest.mark.usefixtures('converter')
def test_a_worker_is_killed_in_the_middle(
    tmp_path: Path, undisturbed: ConversionReport
) -> None:
    class Once(Dataset[dict[str, Any]]):
        # by value, since workers cannot import this file
        def __len__(self) -> int:
            return 30

        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 13 and os.getpid() != parent and not once.exists():
                once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return samples[index]

    import dask

    parent, once = os.getpid(), tmp_path / 'once'
    samples = [make_sample(index) for index in range(30)]
    # three times the import of torch, if each worker began with nothing
    with dask.config.set({'distributed.worker.multiprocessing-method': 'forkserver'}):
        report = convert(Once(), tmp_path / 'store', workers=2, retries=0)
    assert once.exists()
    assert report.failures == report.missing == ()
    assert done_shards(report.path) == done_shards(undisturbed.path)
