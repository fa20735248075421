# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Large arrays that take over the memory of others that are no longer used.

Memory that is new to a process has to be cleared by the system, page by page, which
takes as long as decoding what is written to it.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: Smaller arrays come from the heap, which uses its memory again by itself.
_LARGE = 1 << 20
#: Buffers that wait for their next use.
_MOST_FREE = 2
#: Part of a buffer that may stay unused.
_WASTE = 0.5


class BufferPool:
    """Memory of large arrays; it is used again once nothing refers to an array."""

    def __init__(self) -> None:
        """Initialize a new BufferPool instance."""
        self._free: list[NDArray[np.uint8]] = []
        self._lock = threading.RLock()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Make an array.

        Args:
            shape: Its shape.
            dtype: Its data type.

        Returns:
            Array with any values.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        if size < _LARGE:
            return np.empty(shape, dtype)
        buffer = self._take(size)
        array = lease(buffer, self._give, buffer)
        return array[:size].view(dtype).reshape(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        with self._lock:
            for number, buffer in enumerate(self._free):
                if size <= buffer.size <= size / (1 - _WASTE):
                    return self._free.pop(number)
            # what does not fit now is unlikely to fit later
            self._free.clear()
        return np.empty(size, np.uint8)

    def _give(self, buffer: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(buffer)
            del self._free[:-_MOST_FREE]


class _Lease:
    """What an array refers to as its memory, so that its end can be noticed."""

    def __init__(self, memory: NDArray[Any]) -> None:
        self.memory = memory

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.memory.__array_interface__


def lease(
    memory: NDArray[Any], end: Callable[..., object], *args: object
) -> NDArray[Any]:
    """Lend memory, and notice when it is no longer used.

    Args:
        memory: The memory.
        end: Called when nothing refers to the result any more, its views, the views of
            these and tensors made of any of them included; only in this process, not
            where a forked one lets go of its copy.
        *args: Arguments of *end*.

    Returns:
        The same memory.
    """
    lent = _Lease(memory)
    weakref.finalize(lent, _end, os.getpid(), end, args).atexit = False
    array: NDArray[Any] = np.asarray(lent)
    return array


def _end(owner: int, end: Callable[..., object], args: tuple[object, ...]) -> None:
    if os.getpid() == owner:
        end(*args)


_POOL: ContextVar[BufferPool | None] = ContextVar('buffer_pool', default=None)


@contextmanager
def pooled(pool: BufferPool) -> Iterator[None]:
    """Let this thread take the memory of large windows from a pool.

    Args:
        pool: The pool.

    Yields:
        Nothing; arrays have memory of their own again afterwards.
    """
    token = _POOL.set(pool)
    try:
        yield
    finally:
        _POOL.reset(token)


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make an array of zeros, from the pool of this thread if there is one.

    Args:
        shape: Its shape.
        dtype: Its data type.

    Returns:
        The array.
    """
    pool = _POOL.get()
    if pool is None:
        return np.zeros(shape, dtype)
    array = pool.empty(shape, dtype)
    array.fill(0)
    return array


_SCRATCH = threading.local()


def scratch(name: str, size: int) -> NDArray[np.uint8]:
    """Return memory of this thread that the next call takes again.

    Args:
        name: What it is for.
        size: Bytes.

    Returns:
        Array of that many bytes, with any values.
    """
    kept: NDArray[np.uint8] | None = getattr(_SCRATCH, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, np.uint8)
        setattr(_SCRATCH, name, kept)
    return kept[:size]
