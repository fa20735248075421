# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several processes at once, which are there in no time.

To import what a test needs takes a process many seconds, and a process in which tests
have run cannot be forked: its threads are not there in the other one.  So one is forked
as soon as all tests are found.  Everything is imported in it, nothing has run, and it
forks those that tests ask for.
"""

import multiprocessing
import os
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def free_port() -> int:
    """Return a port at which processes can meet."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port: int = probe.getsockname()[1]
    return port


class Nursery:
    """A process in which nothing has run, and which forks others."""

    def __init__(self) -> None:
        context = multiprocessing.get_context('fork')
        self._end, other = context.Pipe()
        self._process = context.Process(target=self._serve, args=(other,))
        with warnings.catch_warnings():
            # the thread that talks to the controller of xdist is of no use there
            warnings.simplefilter('ignore', DeprecationWarning)
            self._process.start()
        other.close()

    def __call__(
        self,
        work: Callable[..., None],
        *rows: tuple[Any, ...],
        timeout: float = 300,
        **environment: str,
    ) -> str:
        """Do work in several processes at once, each with one thread.

        Args:
            work: A function of a module that has been imported.
            *rows: Arguments of each process.
            timeout: Seconds until processes are killed.
            **environment: Environment variables of the processes.

        Returns:
            What the processes have written.
        """
        self._end.send((work, rows, timeout, environment))
        codes, said = self._end.recv()
        assert codes == [0] * len(rows), f'{codes}\n{said}'
        result: str = said
        return result

    def close(self) -> None:
        """End the process."""
        self._end.close()
        self._process.join(30)

    def _serve(self, end: Connection) -> None:
        self._end.close()
        while True:
            try:
                end.send(_run(*end.recv()))
            except EOFError:
                return


def _run(
    work: Callable[..., None],
    rows: tuple[tuple[Any, ...], ...],
    timeout: float,
    environment: dict[str, str],
) -> tuple[list[int | None], str]:
    context = multiprocessing.get_context('fork')
    with tempfile.TemporaryFile() as said:
        runs = [
            context.Process(target=_child, args=(said.fileno(), environment, work, row))
            for row in rows
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join(timeout)
        for run in runs:
            if run.is_alive():
                run.kill()
                run.join()
        said.seek(0)
        text = said.read().decode('utf-8', 'replace')
    return [run.exitcode for run in runs], text


def _child(
    said: int,
    environment: dict[str, str],
    work: Callable[..., None],
    row: tuple[Any, ...],
) -> None:
    # sys.stdout may be a file of pytest
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, 'w', 1, closefd=False) for n in (1, 2))
    os.environ.update(environment)
    import torch

    torch.set_num_threads(1)
    work(*row)
