# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Open files that are never shared between processes or threads."""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..io import CubeReader

#: Files that are kept open; a product with all its layers needs up to nine handles.
_KEPT = 32


class ReaderCache:
    """Opens scenes and keeps the last ones open.

    A GDAL handle that a fork or a thread shares reads the wrong bytes, so each process
    and thread opens its own, and a copy of the cache (pickle) starts empty.

    Args:
        opener: Opens a file.
        keep: Whether to keep files open between reads.
        limit: Files that are kept open, for each process and thread.
    """

    def __init__(
        self, opener: Callable[[str], CubeReader], keep: bool = True, limit: int = _KEPT
    ) -> None:
        """Initialize a new ReaderCache instance."""
        self.opener = opener
        self.keep = keep
        self.limit = limit
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open files behind."""
        return {'opener': self.opener, 'keep': self.keep, 'limit': self.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without open files."""
        self.__init__(**state)  # type: ignore[misc]

    def _mine(self) -> OrderedDict[str, CubeReader]:
        """Return the open files of this process and thread."""
        if getattr(self._local, 'pid', None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.open = _Open()
        mine: _Open = self._local.open
        return mine.readers

    @contextmanager
    def open(self, path: str) -> Iterator[CubeReader]:
        """Give an open reader.

        Args:
            path: The file.

        Yields:
            The reader; do not close it.
        """
        if not self.keep:
            with self.opener(path) as reader:
                yield reader
            return
        readers = self._mine()
        if path not in readers:
            readers[path] = self.opener(path)
            if len(readers) > self.limit:
                readers.popitem(last=False)[1].close()
        readers.move_to_end(path)
        yield readers[path]


class _Open:
    """Open readers, closed when their thread or cache ends, or the program."""

    def __init__(self) -> None:
        self.readers: OrderedDict[str, CubeReader] = OrderedDict()
        # left to the interpreter, they would be closed when GDAL is gone already
        weakref.finalize(self, _close, self.readers)


def _close(readers: OrderedDict[str, CubeReader]) -> None:
    while readers:
        readers.popitem()[1].close()
