# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small patches that need no files, and processes that convert them and may be killed.

A process that has many threads cannot be forked safely, as the one of the tests. So a
small one imports what is needed once and then forks for each conversion.
"""

import multiprocessing
import resource
import signal
import sys
import time
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

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
        # also for workers of Dask that are told to begin so
        self._context = multiprocessing.get_context('forkserver')
        self._context.set_forkserver_preload(['distributed', 'torchgeo_hsi.datasets'])
        self._processes: dict[int, ForkServerProcess] = {}
        # what is imported counts for no conversion
        ready = self._context.Process()
        ready.start()
        ready.join()
        assert ready.exitcode == 0

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
        arguments = str(out), count, seconds, limit
        process = self._context.Process(target=_convert, args=arguments)
        process.start()
        assert process.pid is not None
        self._processes[process.pid] = process
        return process.pid

    def wait(self, pid: int) -> int:
        """Wait for a process; return its exit code, or the signal as a negative."""
        process = self._processes.pop(pid)
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def close(self) -> None:
        """End the process that starts others."""
        server: Any = forkserver
        server._forkserver._stop()


def _convert(out: str, count: int, seconds: float, limit: int) -> None:
    from torchgeo_hsi.datasets import convert_dataset
    from torchgeo_hsi.errors import OutputError

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    patches = Patches(count, seconds)
    try:
        convert_dataset(patches, out, shard_mb=SHARD_MB, workers=1)
    except OutputError as error:
        sys.exit(7 if 'could not be written' in str(error) else 8)
    finally:
        # what watches the tests, such as coverage, writes at the end
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
