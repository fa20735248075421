# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Run a job in a fork of this process, and end it at a moment of our choice.

A fork has everything imported already, so a kill costs as much as the job. It lacks the
threads of the process, so the process must not have used those of GDAL before. Moments are
counted in what a job does to files, which is the same in every run: its n-th opening,
renaming, making or removing below one folder. What GDAL and other libraries do to files
by themselves is reached by moments in time. A limit of the size of files ends a job in the
middle of a write, which no other moment is sure to meet: small files take one call.
"""

import os
import resource
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

#: What Python tells before it does something to files.
_EVENTS = frozenset(
    {'open', 'os.rename', 'os.mkdir', 'os.remove', 'os.rmdir', 'os.truncate'}
)

#: How the system ends what was killed: from outside, or in a write beyond the limit.
KILLED = (-signal.SIGKILL, -signal.SIGXFSZ)

#: The longest that a job may take, in seconds.
_PATIENCE = 120


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Args:
        status: 0, or the number of the signal, negative, or what the job returned.
        events: What it did to files.
        seconds: Its time.
        said: What it printed at the end, such as an error.
    """

    status: int
    events: int
    seconds: float
    said: str


def run_forked(
    job: Callable[[], int | None],
    folder: Path,
    *,
    event: int | None = None,
    seconds: float | None = None,
    file_size: int | None = None,
    written: int | None = None,
) -> Ended:
    """Run a job in a fork, and perhaps kill it.

    Args:
        job: The job; what it returns is the status of the fork.
        folder: Folder in which events count.
        event: Number of the event before which it is killed, from 0.
        seconds: Time after which it is killed.
        file_size: Largest size of a file that it can write, in bytes: a disk that is
            full from there.
        written: Bytes of a file after which it is killed, in the middle of the write.

    Returns:
        How it ended.
    """
    told, tell = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    start = time.monotonic()
    with warnings.catch_warnings():
        # torch and others have threads, which the fork does not need
        warnings.simplefilter('ignore', DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(told)
        _be_the_fork(job, folder, tell, event, (file_size, written))
    os.close(tell)
    timer = threading.Timer(seconds or _PATIENCE, _kill, [pid])
    timer.start()
    raw, words = _wait(told, pid)
    timer.cancel()
    took = time.monotonic() - start
    events, _, said = words.partition('\n')
    status = os.waitstatus_to_exitcode(raw)
    return Ended(status, int(events or 0), took, said)


def _wait(told: int, pid: int) -> tuple[int, str]:
    """Wait for a fork and for its last words; its own children may outlive it."""
    words = bytearray()
    with os.fdopen(told, 'rb', buffering=0) as pipe:
        while True:
            ready = select.select([pipe], [], [], 0.05)[0]
            if ready and (part := pipe.read(65536)):
                words += part
                continue
            found, raw = os.waitpid(pid, os.WNOHANG)
            if found:
                return raw, words.decode(errors='replace')
            time.sleep(0.005)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _be_the_fork(
    job: Callable[[], int | None],
    folder: Path,
    tell: int,
    event: int | None,
    sizes: tuple[int | None, int | None],
) -> None:
    """Run the job and leave, whatever happens: pytest goes on in the parent."""
    status, said = 70, ''
    count = [0]
    try:
        # a fork has none of the threads of the pools
        torch.set_num_threads(1)
        _count_events(str(folder.resolve()), count, event)
        _limit_files(*sizes)
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(silent, stream)
        status = job() or 0
    except BaseException as error:  # noqa: BLE001  (the parent is told)
        status = getattr(error, 'status', status)
        said = f'{type(error).__name__}: {error}'
    os.write(tell, f'{count[0]}\n{said}'.encode()[:60_000])
    os._exit(status)


def _limit_files(file_size: int | None, written: int | None) -> None:
    """Let writes beyond a size fail, or end the process."""
    size = file_size if written is None else written
    if size is None:
        return
    end = signal.SIG_IGN if written is None else signal.SIG_DFL
    signal.signal(signal.SIGXFSZ, end)
    # this signal would leave an image of the memory
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _count_events(folder: str, count: list[int], last: int | None) -> None:
    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name not in _EVENTS or not args:
            return
        path = args[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike):
            return
        if not os.path.abspath(path).startswith(folder):
            return
        if name == 'open' and not _writes(args):
            return
        if count[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1

    sys.addaudithook(hook)


def _writes(args: tuple[Any, ...]) -> bool:
    flags = args[2] if len(args) > 2 else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder that are not hidden.

    Args:
        folder: The folder.

    Returns:
        Content by path.
    """
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and not is_hidden(path, folder)
    }


def is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file, or a folder it is in, has a name that begins with a dot."""
    return any(part.startswith('.') for part in path.relative_to(folder).parts)


def leftovers(folder: Path) -> list[str]:
    """List what is not finished: folders whose names begin with a dot, end with .part.

    Args:
        folder: Folder to look in, and below.

    Returns:
        Their paths.
    """
    found = (path for path in folder.rglob('.*.part'))
    return sorted(path.relative_to(folder).as_posix() for path in found)
