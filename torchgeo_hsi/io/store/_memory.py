# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a reader keeps: indexes of shards and small chunks, up to some bytes."""

import threading
from collections import OrderedDict
from typing import Any

from numpy.typing import NDArray


class Memory:
    """Arrays by name; those not used for the longest time are dropped.

    May be used from many threads.

    Args:
        limit: Bound in bytes.
    """

    def __init__(self, limit: float) -> None:
        """Initialize a new Memory instance."""
        self._limit = limit
        self._used = 0
        self._held: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None.

        Args:
            name: Its name.
        """
        with self._lock:
            found = self._held.get(name)
            if found is not None:
                self._held.move_to_end(name)
            return found

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array, and drop others if that is too much.

        Args:
            name: Its name.
            array: The array.
        """
        with self._lock:
            if name not in self._held:
                self._held[name] = array
                self._used += array.nbytes
            while self._used > self._limit and len(self._held) > 1:
                self._used -= self._held.popitem(last=False)[1].nbytes

    def renew_lock(self) -> None:
        """Forget the lock, which another thread may have held when a process forked."""
        self._lock = threading.Lock()
