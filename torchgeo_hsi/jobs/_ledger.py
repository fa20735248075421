# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which items are done, failed or still to do."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .failure import JobFailure
from .progress import JobProgress
from .report import JobReport


class Ledger:
    """Keeps account of the items of one run.

    An item that raises an error goes to the end of the line, until it has been tried
    often enough. One whose worker died is a suspect: others were perhaps killed with
    it, so it fails for good only after it has killed a worker on its own.

    Args:
        names: Name of each item.
        retries: How often an item is tried again.
        progress: Told about every step, or None.
    """

    def __init__(
        self,
        names: Sequence[str],
        retries: int,
        progress: Callable[[JobProgress], None] | None,
    ) -> None:
        """Initialize a new Ledger instance; see the class for the arguments."""
        self.names = names
        self.retries = retries
        self.progress = progress
        #: Items to start next.
        self.todo: deque[int] = deque(range(len(names)))
        #: Items that may run only while nothing else does.
        self.suspects: deque[int] = deque()
        #: Processes that do the work.
        self.workers = 0
        self._results: list[Any] = [None] * len(names)
        self._failures: dict[int, JobFailure] = {}
        self._attempts = [0] * len(names)
        self._done = 0
        self._start = time.perf_counter()

    @property
    def is_complete(self) -> bool:
        """Whether every item has a result or has failed."""
        return self._done + len(self._failures) == len(self.names)

    def succeed(self, index: int, value: Any) -> None:
        """Keep a result."""
        self._results[index] = value
        self._done += 1
        self.tell(self.names[index])

    def fail(self, index: int, error: str, traceback: str = '') -> None:
        """Note an error; the item is tried again if it may be."""
        self._attempts[index] += 1
        if self._attempts[index] <= self.retries:
            self.todo.append(index)
            self.tell(f'{self.names[index]} failed and is tried again')
        else:
            self._give_up(index, error, traceback)

    def die(self, index: int, error: str, deaths: int, alone: bool) -> None:
        """Note that a worker died of an item, or of another one that it had.

        Args:
            index: The item.
            error: What to say about it.
            deaths: Number of workers that died in this attempt.
            alone: Whether no other item was running.
        """
        self._attempts[index] += deaths
        if alone and self._attempts[index] > self.retries:
            self._give_up(index, error, '')
            return
        is_last = self._attempts[index] >= self.retries
        (self.suspects if is_last else self.todo).append(index)
        self.tell(f'a worker died, {self.names[index]} is tried again')

    def _give_up(self, index: int, error: str, traceback: str) -> None:
        self._failures[index] = JobFailure(
            index, self.names[index], error, self._attempts[index], traceback
        )
        self.tell(f'{self.names[index]} failed')

    def tell(self, note: str) -> None:
        """Say what is going on."""
        if self.progress is not None:
            self.progress(
                JobProgress(
                    self._done, len(self._failures), len(self.names), self.workers, note
                )
            )

    def report(self) -> JobReport[Any]:
        """Return what came out."""
        failures = tuple(self._failures[index] for index in sorted(self._failures))
        return JobReport(self._results, failures, time.perf_counter() - self._start)
