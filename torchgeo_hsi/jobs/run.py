# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The same work on many items, in one or many processes."""

import os
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any, cast

from .._typing import PathLike
from ._calls import call
from ._ledger import Ledger
from .progress import JobProgress
from .report import JobReport


def run_jobs[I, T](
    function: Callable[[I], T],
    items: Iterable[I],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    retries: int = 2,
    names: Sequence[str] | Callable[[I], str] | None = None,
    progress: Callable[[JobProgress], None] | None = None,
    fatal: tuple[type[Exception], ...] = (),
) -> JobReport[T]:
    """Call a function with each of many items.

    With at most one worker and no scheduler, this process does it all. Otherwise Dask
    does: on a cluster of processes on this machine that ends with the work, or on that
    of the user. An item that fails is tried again, and in the end reported and left
    out; it never ends the work. A worker process that dies is replaced and its items
    are repeated, so the function has to do no harm when it is called twice. An item of
    which workers keep dying, for instance for lack of memory, fails like any other.

    The function is pickled once and loaded once in each process, so what it keeps in
    its attributes serves all items that this process gets. Each process works on one
    item at a time.

    A script that uses more than one worker has to call this below ``if __name__ ==
    '__main__':``, since the processes of the workers import it.

    Args:
        function: Takes an item. With workers, function, items and results have to be
            picklable.
        items: The items.
        scheduler: Address of a Dask scheduler, such as ``'tcp://10.0.0.1:8786'``,
            whose workers have this package and see the same files.
        workers: Number of processes on this machine; as many as it has CPUs by
            default. 0 and 1 are this very process.
        retries: How often an item that failed is tried again.
        names: Name of each item in reports, or a function that returns it; paths and
            texts name themselves.
        progress: Called in this process with every step.
        fatal: Errors after which no other item can succeed, such as a full disk. The
            first one ends the work, and is raised here.

    Returns:
        The results in the order of the items, and the failures.

    Raises:
        JobError: If the function cannot be sent to workers, or workers cannot be
            reached or started.
        ImportError: If Dask is needed and not installed.
        ValueError: If options contradict each other.

    Example:
        >>> report = run_jobs(len, ['one', 'three'], workers=1)
        >>> report.results, report.failures
        ([3, 5], ())
        >>> report = run_jobs(int, ['1', 'two'], workers=1, retries=0)
        >>> print(report.failures[0])
        two: ValueError: invalid literal for int() with base 10: 'two' (tried once)
    """
    work = list(items)
    _check(scheduler, workers, retries)
    ledger = Ledger(_names(work, names), retries, progress)
    count = _count(workers, len(work)) if scheduler is None else 0
    if not work:
        return cast(JobReport[T], ledger.report())
    if scheduler is None and not count:
        _run_here(function, work, ledger, fatal)
    else:
        from ._dask import run_on_dask

        run_on_dask(function, work, ledger, scheduler, count, fatal)
    return cast(JobReport[T], ledger.report())


def _check(scheduler: str | None, workers: int | None, retries: int) -> None:
    if retries < 0 or (workers is not None and workers < 0):
        raise ValueError(
            f'Expected retries and workers of 0 or more, got {retries} and {workers}.'
        )
    if scheduler is not None and workers is not None:
        raise ValueError(
            f'The workers of {scheduler} are those that it has. Leave workers= out, or '
            'scheduler=.'
        )


def _names[I](
    items: Sequence[I], names: Sequence[str] | Callable[[I], str] | None
) -> list[str]:
    if names is None:
        return [
            os.fsdecode(cast(PathLike, item))
            if isinstance(item, str | os.PathLike)
            else f'item {index}'
            for index, item in enumerate(items)
        ]
    if callable(names):
        return [names(item) for item in items]
    if len(names) != len(items):
        raise ValueError(f'Expected {len(items)} names, got {len(names)}.')
    return list(names)


def _count(workers: int | None, items: int) -> int:
    """Return the number of processes to start; 0 to start none."""
    if workers is None:
        # more than one is an offer here, not a wish
        workers = min(cpu_count(), items) if find_spec('distributed') else 0
        return workers if workers > 1 else 0
    return max(1, min(workers, items)) if workers > 1 else 0


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run_here(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    ledger: Ledger,
    fatal: tuple[type[Exception], ...],
) -> None:
    while ledger.todo:
        index = ledger.todo.popleft()
        ledger.tell(ledger.names[index])
        outcome = call(function, items[index], fatal)
        if outcome.fatal is not None:
            raise outcome.fatal
        if outcome.error:
            ledger.fail(index, outcome.error, outcome.traceback)
        else:
            ledger.succeed(index, outcome.value)
