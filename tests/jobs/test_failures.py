# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What fails, and what dies, in this process and on workers."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.errors import JobError, OutputError
from torchgeo_hsi.jobs import run_jobs

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


@pytest.mark.parametrize('workers', [1, 2])
def test_failures_are_reported_and_never_fatal(workers: int) -> None:
    def work(name: str) -> str:
        if name == 'b':
            raise ValueError('two\nlines')
        if name == 'c':
            raise SystemExit(2)
        return name.upper()

    report = run_jobs(work, ['a', 'b', 'c', 'd'], workers=workers, retries=1)
    assert report.results == ['A', None, None, 'D']
    assert report.succeeded == ['A', 'D']
    first, second = report.failures
    assert (first.index, first.name, first.attempts) == (1, 'b', 2)
    assert first.error == 'ValueError: two lines'
    assert 'in work' in first.traceback
    assert second.error == 'SystemExit: 2'
    assert str(first) == 'b: ValueError: two lines (tried 2 times)'
    assert str(report).startswith('2 of 4 done in ')
    assert 'failed: c: SystemExit: 2 (tried 2 times)' in str(report)


@pytest.mark.parametrize('workers', [1, 2])
def test_what_fails_once_is_tried_again(workers: int, tmp_path: Path) -> None:
    def work(name: str) -> int:
        trace = tmp_path / name
        count = len(trace.read_text()) if trace.exists() else 0
        trace.write_text('x' * (count + 1))
        if name == 'flaky' and count < 2:
            raise OSError('no route to host')
        return count

    report = run_jobs(work, ['flaky', 'fine'], workers=workers)
    assert report.results == [2, 0]
    assert not report.failures


def test_an_error_that_cannot_be_rebuilt_is_told() -> None:
    class OddError(Exception):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(f'{one} and {two}')
            self.handle = threading.Lock()

    def work(number: int) -> int:
        raise OddError('one', 'two')

    report = run_jobs(work, [1], workers=2, retries=0)
    assert report.failures[0].error == 'OddError: one and two'


def test_a_result_or_item_that_cannot_be_sent_is_told() -> None:
    def work(item: Any) -> Any:
        return threading.Lock() if item == 'lock' else item

    report = run_jobs(work, ['lock', 'fine', threading.Lock()], workers=2, retries=0)
    assert report.results == [None, 'fine', None]
    result, item = report.failures
    assert 'cannot be sent back' in result.error
    assert 'cannot be sent to a worker' in item.error


def test_a_function_that_cannot_be_sent_is_refused() -> None:
    lock = threading.Lock()

    def work(number: int) -> bool:
        return lock.locked()

    with pytest.raises(JobError, match='cannot be sent to worker processes'):
        run_jobs(work, range(3), workers=2)
    assert run_jobs(work, range(3), workers=1).results == [False] * 3


@pytest.mark.parametrize('workers', [1, 2])
def test_fatal_errors_end_the_work(workers: int, tmp_path: Path) -> None:
    class LocalError(ValueError):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one + two)

    def work(number: int) -> None:
        (tmp_path / str(number)).touch()
        time.sleep(0.05)
        if number == 1:
            raise OutputError('the disk is full')
        if number == 100:
            raise LocalError('the disk ', 'is full')

    with pytest.raises(OutputError, match=r'^the disk is full$'):
        run_jobs(work, range(20), workers=workers, fatal=(OutputError,))
    assert len(list(tmp_path.iterdir())) < 12
    kind: type[Exception] = LocalError if workers == 1 else JobError
    with pytest.raises(kind, match=r'the disk is full$'):
        run_jobs(work, [100], workers=workers, fatal=(LocalError,))


def test_an_item_that_kills_workers_fails_and_the_others_do_not(tmp_path: Path) -> None:
    def work(number: int) -> int:
        time.sleep(0.02)
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    report = run_jobs(work, range(10), workers=2, retries=1)
    assert report.results == [0, 1, 2, None, *range(4, 10)]
    (failure,) = report.failures
    assert failure.index == 3
    assert failure.attempts == 2
    assert 'worker process died' in failure.error


def test_a_worker_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    once = tmp_path / 'killed'

    def work(number: int) -> int:
        time.sleep(0.02)
        if number == 4 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    notes: list[str] = []
    report = run_jobs(
        work, range(12), workers=2, retries=0, progress=lambda p: notes.append(str(p))
    )
    assert once.exists()
    assert report.results == list(range(12))
    assert not report.failures
    assert any('a worker died' in note for note in notes)
