# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Work on a Dask cluster."""

import pickle
import queue
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from ..errors import JobError
from ._calls import Outcome, call_elsewhere, describe, dumps, dumps_function
from ._cluster import (
    brought,
    connect,
    count_workers,
    import_distributed,
    warn_of_threads,
)
from ._ledger import Ledger

#: Seconds between looks at the cluster while nothing is finished.
_TICK = 2.0

#: Seconds without any worker after which a cluster of our own is given up.
_PATIENCE = 180.0

#: Items per worker that are under way, so that none waits for the next one.
_AHEAD = 2


def run_on_dask(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    ledger: Ledger,
    scheduler: str | None,
    workers: int,
    fatal: tuple[type[Exception], ...],
) -> None:
    """Work on all items with a cluster.

    Args:
        function: The function.
        items: Its arguments.
        ledger: Keeps the results.
        scheduler: Address of the user's cluster; None to start one.
        workers: Processes of the one to start.
        fatal: Errors that end the work.

    Raises:
        JobError: If the work cannot start, or the cluster is lost.
        ImportError: If Dask is not installed.
    """
    import_distributed()
    payload = dumps_function(function, fatal)
    place = f'to {scheduler}' if scheduler else f'{workers} worker processes'
    ledger.tell(f'{"connecting" if scheduler else "starting"} {place}')
    with connect(scheduler, workers) as client, brought(client, payload) as token:
        if scheduler is not None:
            warn_of_threads(client)
        _Run(client, token, items, ledger, is_own=scheduler is None).finish()


class _Run:
    """Keeps a few items under way on a cluster until all are done."""

    def __init__(
        self,
        client: Any,
        token: str,
        items: Sequence[Any],
        ledger: Ledger,
        is_own: bool,
    ) -> None:
        self.client = client
        self.token = token
        self.items = items
        self.ledger = ledger
        self.is_own = is_own
        self.finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        #: Item of each future, and whether it runs on its own.
        self.running: dict[Any, tuple[int, bool]] = {}
        self.submitted = 0
        self.alive_at = time.monotonic()
        self.shown: set[tuple[type[Warning], str]] = set()

    def finish(self) -> None:
        """Work until every item is accounted for."""
        try:
            self._look()
            while not self.ledger.is_complete:
                self._fill()
                self._wait()
        finally:
            if self.running:
                # whatever ended the work is the error to be seen
                with suppress(Exception):
                    self.client.cancel(list(self.running), force=True)

    def _fill(self) -> None:
        """Start items, as many as keep the workers busy."""
        # suspects run alone, so nothing else starts while there are any
        ledger = self.ledger
        if ledger.suspects:
            if not self.running:
                self._submit(ledger.suspects.popleft(), alone=True)
            return
        if any(alone for _, alone in self.running.values()):
            return
        limit = _AHEAD * max(1, ledger.workers)
        while ledger.todo and len(self.running) < limit:
            self._submit(ledger.todo.popleft(), alone=False)

    def _submit(self, index: int, alone: bool) -> None:
        try:
            item = dumps(self.items[index])
        except Exception as error:  # noqa: BLE001
            text = f'The item cannot be sent to a worker process: {describe(error)}'
            self.ledger.fail(index, text)
            return
        self.submitted += 1
        future = self.client.submit(
            call_elsewhere,
            self.token,
            item,
            key=f'{self.token}-{self.submitted}',
            pure=False,
        )
        self.running[future] = index, alone
        future.add_done_callback(self.finished.put)

    def _wait(self) -> None:
        """Take in what is finished; look at the cluster if nothing is."""
        try:
            future = self.finished.get(timeout=_TICK)
        except queue.Empty:
            self._look()
            return
        self._take(future)

    def _take(self, future: Any) -> None:
        from distributed import KilledWorker

        index, alone = self.running.pop(future)
        try:
            outcome = pickle.loads(future.result())
        except KilledWorker as error:
            self._look()
            deaths = getattr(error, 'allowed_failures', 0) + 1
            self.ledger.die(index, self._death(), deaths, alone)
        except CancelledError as error:
            raise JobError(
                f'The connection to {self.client.scheduler.address} was lost. See the '
                'log of the scheduler, and run again.'
            ) from error
        except Exception as error:  # noqa: BLE001
            text = f'A worker process could not answer: {describe(error)}'
            self.ledger.fail(index, text)
        else:
            self._settle(index, outcome)

    def _settle(self, index: int, outcome: Outcome) -> None:
        for category, text in outcome.warnings:
            if (category, text) not in self.shown:
                self.shown.add((category, text))
                warnings.warn(text, category, stacklevel=2)
        if outcome.fatal is not None:
            raise outcome.fatal
        if outcome.error:
            self.ledger.fail(index, outcome.error, outcome.traceback)
        else:
            self.ledger.succeed(index, outcome.value)

    def _death(self) -> str:
        fewer = 'fewer workers' if self.is_own else 'workers with more memory'
        return (
            'its worker process died, e.g. of a crash in a library or of too little '
            f'memory; {fewer} may help'
        )

    def _look(self) -> None:
        """See which workers there are."""
        count = count_workers(self.client)
        now = time.monotonic()
        if count:
            self.alive_at = now
        elif self.is_own and now - self.alive_at > _PATIENCE:
            raise JobError(
                'The worker processes died and could not be started again. Use fewer '
                'workers, or workers=1 to see the reason.'
            )
        changed = count != self.ledger.workers
        self.ledger.workers = count
        if changed or not count:
            self.ledger.tell('working' if count else 'waiting for a worker')
