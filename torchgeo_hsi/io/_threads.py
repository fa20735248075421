# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How many threads decode one window."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

_COUNT: ContextVar[int] = ContextVar('decoding_threads', default=1)


@contextmanager
def decoding_threads(count: int) -> Iterator[None]:
    """Let readers decode large windows by several threads.

    It holds for this thread only: a training has many workers, each of which would
    otherwise take all cores.

    Args:
        count: Number of threads, at least 1.

    Yields:
        Nothing; the old number holds again afterwards.
    """
    token = _COUNT.set(count)
    try:
        yield
    finally:
        _COUNT.reset(token)


def for_each[T](function: Callable[[T], None], tasks: Sequence[T]) -> None:
    """Call a function for each task, by as many threads as are allowed.

    Args:
        function: Function that several threads may call at once.
        tasks: Arguments.
    """
    count = min(_COUNT.get(), len(tasks))
    if count <= 1:
        for task in tasks:
            function(task)
        return
    # asking for the results raises what was raised in a thread
    list(_pool(os.getpid(), count).map(function, tasks))


@lru_cache(maxsize=4)
def _pool(pid: int, count: int) -> ThreadPoolExecutor:
    """Keep threads: a new one reads its first blocks into memory of its own."""
    # the threads of a process are not there in its forks, hence its number
    return ThreadPoolExecutor(count, 'decode')
