# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The same work in this process and on workers, whatever goes wrong."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.errors import HSIWarning, JobError, OutputError
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


@pytest.fixture(scope='module')
def scheduler() -> Iterator[str]:
    """Start the cluster of a user: one process that computes with four threads."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=4, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_the_cluster_of_a_user(scheduler: str) -> None:
    running: list[int] = []

    def work(number: int) -> tuple[int, int]:
        running.append(number)
        time.sleep(0.02)
        at_once = len(running)
        running.remove(number)
        return number, at_once

    for _ in range(2):  # nothing of the first run is left in the workers
        with pytest.warns(HSIWarning, match='more than one thread'):
            report = run_jobs(work, range(8), scheduler=scheduler)
        # datasets and models are not made for threads
        assert report.results == [(number, 1) for number in range(8)]


def test_killers_on_the_cluster_of_a_user(scheduler: str) -> None:
    def work(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.warns(HSIWarning, match='more than one thread'):
        report = run_jobs(work, range(4), scheduler=scheduler, retries=0)
    assert report.results == [0, None, 2, 3]
    # Dask itself tries four times before it gives up
    assert report.failures[0].attempts == 8
    assert 'workers with more memory' in report.failures[0].error


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torchgeo_hsi.jobs._cluster._CONNECT', 1)
    with pytest.raises(JobError, match='No Dask scheduler answers at tcp://127'):
        run_jobs(len, ['a'], scheduler='tcp://127.0.0.1:9')
    with pytest.raises(JobError, match='No Dask scheduler answers at nonsense'):
        run_jobs(len, ['a'], scheduler='nonsense://here')


def script(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    file = tmp_path / 'script.py'
    file.write_text(textwrap.dedent(body))
    return subprocess.Popen(
        [sys.executable, str(file)],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


SLOW = """
    import os, signal, sys, time
    from pathlib import Path
    from torchgeo_hsi.jobs import run_jobs

    # a shell that starts tests in the background has them ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def work(number):
        Path(f'{os.getpid()}.pid').touch()
        time.sleep(100)

    if __name__ == '__main__':
        try:
            run_jobs(work, range(4), workers=2)
        except KeyboardInterrupt:
            print('interrupted')
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().split()[2] != 'Z'
    except OSError:
        return False


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='looks at /proc')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_program(tmp_path: Path, number: int) -> None:
    process = script(tmp_path, SLOW)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob('*.pid'))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(file.stem) for file in tmp_path.glob('*.pid')]
    assert len(pids) == 2
    # as a terminal does it: Ctrl-C goes to the workers, too
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.kill()
    out, err = process.communicate(timeout=120)
    if number == signal.SIGINT:
        assert (out, err) == ('interrupted\n', '')
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))
    # nothing is left where the user works
    assert {file.suffix for file in tmp_path.iterdir()} == {'.pid', '.py'}


def test_script_without_guard(tmp_path: Path) -> None:
    process = script(
        tmp_path,
        """
        from torchgeo_hsi.jobs import run_jobs
        run_jobs(len, ['a', 'b'], workers=2)
        """,
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'below "if __name__ == \'__main__\':"' in err
