# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small patches that need no files, and processes that convert them and may be killed.

A process that has many threads cannot be forked safely, as the one of the tests. So a
small one imports what is needed once and then forks for each conversion.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

ROOT = Path(__file__).parents[3]

#: Four samples fill one.
SHARD_MB = 0.018


class Patches(Dataset[dict[str, Any]]):
    """Patches that follow from their index.

    Args:
        count: Number of patches.
        seconds: Time that each takes.
        start: Number of the first one.
        bad: Indexes that cannot be read.
    """

    def __init__(
        self, count: int = 30, seconds: float = 0, start: int = 0, bad: Any = ()
    ) -> None:
        self.count, self.seconds, self.start, self.bad = count, seconds, start, bad

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        time.sleep(self.seconds)
        if index in self.bad:
            raise OSError(f'sector {index} is\ndamaged')
        return make_sample(index + self.start)


def make_sample(number: int) -> dict[str, Any]:
    """Make the sample of a number."""
    rng = np.random.default_rng(number)
    return {
        'image': torch.tensor(
            rng.integers(0, 10_000, (8, 16, 16)), dtype=torch.float32
        ),
        'valid': torch.tensor(rng.random((16, 16)) > 0.1),
        'label': torch.tensor(number),
        'wavelength': torch.linspace(0.4, 2.4, 8),
    }


class Converter:
    """Starts conversions in processes of their own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-c', 'from data.conversion.data import serve; serve()'],
            env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == 'ready'

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + '\n')
        self._process.stdin.flush()
        return self._answer()

    def start(
        self, out: Path, count: int = 30, seconds: float = 0, limit: int = 0
    ) -> int:
        """Start a conversion.

        Args:
            out: Folder of the store.
            count: Number of patches.
            seconds: Time that each takes.
            limit: Bytes that a file may have, as if the disk were full.

        Returns:
            The process.
        """
        pid: int = self._ask(['start', str(out), count, seconds, limit])
        return pid

    def wait(self, pid: int) -> int:
        """Wait for a process; return its exit code, or the signal as a negative."""
        code: int = self._ask(['wait', pid])
        return code

    def close(self) -> None:
        """End the process that starts others."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Fork for each conversion that is asked for."""
    from torchgeo_hsi.datasets import convert_dataset  # noqa: F401

    _say('ready')
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        if verb == 'wait':
            _say(os.waitstatus_to_exitcode(os.waitpid(arguments[0], 0)[1]))
            continue
        pid = os.fork()
        if pid == 0:
            os._exit(_convert(*arguments))
        _say(pid)


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


def _convert(out: str, count: int, seconds: float, limit: int) -> int:
    from torchgeo_hsi.datasets import convert_dataset
    from torchgeo_hsi.errors import OutputError

    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    patches = Patches(count, seconds)
    try:
        convert_dataset(patches, out, shard_mb=SHARD_MB, workers=1)
    except OutputError as error:
        return 7 if 'could not be written' in str(error) else 8
    return 0
