# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Regions that are read by a thread before they are needed."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class RegionQueue[R, T]:
    """Reads regions in order, a bounded number ahead of those that are closed.

    What cannot be used (None) is replaced by the last that can, or else by the next.

    Args:
        regions: The regions.
        read: Reads one.
        most: Regions that are kept or being read at a time.
    """

    def __init__(
        self, regions: Sequence[R], read: Callable[[R], T | None], most: int
    ) -> None:
        """Initialize a new RegionQueue instance; see the class for the arguments."""
        self._regions = regions
        self._read = read
        self._most = most
        self._next = 0
        self._usable: T | None = None
        self._open: dict[int, Future[T | None]] = {}
        self._waiting = deque(range(len(regions)))
        self._thread = ThreadPoolExecutor(1, 'region')
        self._fill()

    def _fill(self) -> None:
        """Order regions, as far as there is room."""
        while self._waiting and len(self._open) < self._most:
            number = self._waiting.popleft()
            self._open[number] = self._thread.submit(self._load, number)

    def _load(self, number: int) -> T | None:
        """Read up to a region, in the thread."""
        last = len(self._regions)
        while self._next <= number or (self._usable is None and self._next < last):
            found = self._read(self._regions[self._next])
            self._next += 1
            if found is not None:
                self._usable = found
        return self._usable

    def get(self, number: int) -> T | None:
        """Wait for a region.

        Args:
            number: Its number; regions have to be closed so that there is room for it.

        Returns:
            The region, or its replacement; None if no region can be used.
        """
        return self._open[number].result()

    def close(self, number: int) -> None:
        """Forget a region, which makes room for another.

        Args:
            number: Its number.
        """
        del self._open[number]
        self._fill()

    def __enter__(self) -> Self:
        """Return the queue itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop reading; waits for the region that is being read."""
        self._thread.shutdown(cancel_futures=True)
        self._open.clear()
        self._usable = None
