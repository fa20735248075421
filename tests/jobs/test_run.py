# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The same work in this process and on workers: results, names, progress, options."""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.errors import HSIWarning
from torchgeo_hsi.jobs import JobFailure, JobProgress, JobReport, run_jobs
from torchgeo_hsi.jobs import run as run_module

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


def square() -> Callable[[int], int]:
    # local, so that workers get its code and need not import this file
    def work(number: int) -> int:
        return number * number

    return work


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_results_are_in_order(workers: int) -> None:
    report = run_jobs(square(), range(7), workers=workers)
    assert report.results == [0, 1, 4, 9, 16, 25, 36]
    assert report.failures == ()
    assert report.seconds > 0


def test_one_worker_is_this_process_and_two_are_others() -> None:
    def who(_: int) -> int:
        return os.getpid()

    assert set(run_jobs(who, range(3), workers=1).results) == {os.getpid()}
    others = set(run_jobs(who, [0], workers=2).results)
    assert len(others) == 1
    assert os.getpid() not in others


def test_default_is_one_process_for_each_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, 'cpu_count', lambda: 4)
    assert run_module._count(None, 100) == 4
    assert run_module._count(None, 3) == 3
    # a single item needs no other process, unless the user wants one
    assert run_module._count(None, 1) == 0
    assert run_module._count(8, 1) == 1
    monkeypatch.setattr(run_module, 'find_spec', lambda name: None)
    assert run_module._count(None, 100) == 0


def test_our_warnings_come_back_once() -> None:
    def work(number: int) -> int:
        warnings.warn('nominal wavelengths', HSIWarning, stacklevel=1)
        warnings.warn('somebody else', UserWarning, stacklevel=1)
        return number

    with pytest.warns(HSIWarning) as caught:
        run_jobs(work, range(6), workers=2)
    assert [str(w.message) for w in caught] == ['nominal wavelengths']


def test_the_function_is_loaded_once_in_a_process() -> None:
    class Counter:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, number: int) -> tuple[int, int]:
            self.calls += 1
            return os.getpid(), self.calls

    report = run_jobs(Counter(), range(9), workers=2)
    last: dict[int, int] = {}
    for pid, calls in report.succeeded:
        last[pid] = max(calls, last.get(pid, 0))
    assert sum(last.values()) == 9


@pytest.mark.parametrize('workers', [1, 2])
def test_progress_tells_every_step(workers: int) -> None:
    seen: list[JobProgress] = []

    def work(number: int) -> int:
        if number == 2:
            raise ValueError
        return number

    run_jobs(work, range(4), workers=workers, retries=0, progress=seen.append)
    assert (seen[-1].done, seen[-1].failed, seen[-1].total) == (3, 1, 4)
    counts = [p.done + p.failed for p in seen]
    assert counts == sorted(counts)
    if workers > 1:
        assert str(seen[0]) == '0/4: starting 2 worker processes'
        assert max(p.workers for p in seen) == 2
    moment = JobProgress(3, 1, 9, 2, 'scene.tif')
    assert str(moment) == '4/9, 1 failed, 2 workers: scene.tif'


def test_names() -> None:
    def work(item: Any) -> None:
        raise ValueError

    def names(**options: Any) -> list[str]:
        report = run_jobs(work, items, workers=1, retries=0, **options)
        return [failure.name for failure in report.failures]

    items: list[Any] = ['a', Path('b'), 3]
    assert names() == ['a', 'b', 'item 2']
    assert names(names=['x', 'y', 'z']) == ['x', 'y', 'z']
    assert names(names=lambda item: f'<{item}>') == ['<a>', '<b>', '<3>']
    with pytest.raises(ValueError, match='Expected 3 names, got 1'):
        names(names=['x'])


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match='of 0 or more, got -1'):
        run_jobs(len, ['a'], retries=-1)
    with pytest.raises(ValueError, match='of 0 or more, got 2 and -2'):
        run_jobs(len, ['a'], workers=-2)
    with pytest.raises(ValueError, match='Leave workers= out'):
        run_jobs(len, ['a'], workers=2, scheduler='tcp://127.0.0.1:1')


def test_nothing_to_do_starts_nothing() -> None:
    report = run_jobs(len, [], workers=64)
    assert report == JobReport([], (), report.seconds)


def test_results_that_are_none_are_results() -> None:
    def work(number: int) -> None:
        if number:
            raise ValueError

    report = run_jobs(work, [0, 1], workers=1, retries=0)
    assert report.succeeded == [None]
    assert report.failures[0].index == 1
    assert str(JobFailure(0, 'a', 'b', 1)) == 'a: b (tried once)'


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[parallel\]'):
        run_jobs(len, ['a', 'b'], workers=2)
    assert run_jobs(len, ['a', 'b'], workers=1).results == [1, 1]
