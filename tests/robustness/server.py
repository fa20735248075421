# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A process that has imported everything once, and forks for each job.

The process of the tests has threads, those of GDAL among them, that a fork would wait
for in vain. This one has none. It reads a request in each line and answers in a line.
"""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


class Server:
    """The process as its clients see it."""

    def __init__(self) -> None:
        code = (
            f'import sys; sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]; '
            'from robustness.server import serve; serve()'
        )
        self._process = subprocess.Popen(
            [sys.executable, '-c', code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'Agg'},
        )

    def ask(self, what: str, job: str, *args: Any) -> list[dict[str, Any]]:
        """Let a job be killed, or meet a full disk.

        Args:
            what: ``'kills'``, ``'sizes'`` or ``'rooms'``.
            job: Name of the job.
            *args: Arguments of that function.

        Returns:
            What became of it, each time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, job, *args]) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, 'The server has died.'
        found: list[dict[str, Any]] | str = json.loads(answer)
        assert isinstance(found, list), found
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        # its forks are gone, and it has nothing to put away
        self._process.kill()
        self._process.wait()


def kills(job: str, count: int, timed: int, seed: int) -> list[dict[str, Any]]:
    """Kill a job at events and at times."""
    from robustness.bench import Bench
    from robustness.jobs import JOBS

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(JOBS[job], Path(folder) / 'work')
        moments = bench.moments(count, seed, timed)
        return [bench.kill(**moment)._asdict() for moment in moments]


def sizes(job: str, shares: list[float]) -> list[dict[str, Any]]:
    """Let a job write files of a limited size."""
    from robustness.bench import Bench
    from robustness.disks import try_sizes
    from robustness.jobs import JOBS

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(JOBS[job], Path(folder) / 'work')
        return [refusal._asdict() for refusal in try_sizes(bench, shares)]


def rooms(job: str, free: list[int]) -> list[dict[str, Any]]:
    """Let a job write to a small disk that is nearly full."""
    from robustness.bench import Bench
    from robustness.disks import small_disk, try_rooms
    from robustness.jobs import JOBS

    with (
        tempfile.TemporaryDirectory() as folder,
        small_disk(Path(folder) / 'disk') as disk,
    ):
        if disk is None:
            return []
        bench = Bench(JOBS[job], Path(folder) / 'work')
        return [refusal._asdict() for refusal in try_rooms(bench, disk, free)]


def serve() -> None:
    """Answer requests until nobody asks any more."""
    answers = os.fdopen(os.dup(1), 'w')
    # what libraries print is no answer
    os.dup2(2, 1)
    import torchgeo.main  # noqa: F401
    from robustness import jobs  # noqa: F401

    import torchgeo_hsi

    # forks shall not import anything again and again
    for module in pkgutil.walk_packages(torchgeo_hsi.__path__, 'torchgeo_hsi.'):
        if not module.name.endswith('__main__'):
            with suppress(ImportError):
                importlib.import_module(module.name)
    functions: dict[str, Callable[..., Any]] = {
        'kills': kills,
        'sizes': sizes,
        'rooms': rooms,
    }
    for line in sys.stdin:
        what, *args = json.loads(line)
        try:
            answer: Any = functions[what](*args)
        # the next job is another one
        except Exception:  # noqa: BLE001
            answer = traceback.format_exc()
        answers.write(json.dumps(answer) + '\n')
        answers.flush()
