# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Work on a cluster that the user has started."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from torchgeo_hsi.errors import HSIWarning, JobError
from torchgeo_hsi.jobs import run_jobs

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


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
