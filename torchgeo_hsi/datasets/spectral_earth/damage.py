# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which files of a tree cannot be used, kept beside its manifest."""

import csv
import io
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._typing import PathLike
from ...errors import CorruptFileError
from ...io._whole import write_whole
from .manifest import Manifest

_COLUMNS = ('file', 'kind', 'size', 'mtime_ns', 'reason')
#: What is wrong with the content of a file stays wrong until the file changes.
_DAMAGED = 'damaged'
#: What depends on the options, and what may pass (permissions, a lost connection), is
#: tried again the next time.
_UNFIT = 'unfit'
_UNREADABLE = 'unreadable'

_log = logging.getLogger(__name__)


class DamagedFile(NamedTuple):
    """A file that cannot be used.

    Args:
        file: Path relative to the root of the tree.
        kind: ``'damaged'`` (truncated, empty, no TIFF), ``'unfit'`` (other bands,
            another size) or ``'unreadable'`` (not permitted, not reachable, gone).
        reason: What the attempt to read it said.
    """

    file: str
    kind: str
    reason: str


def report_path(manifest: PathLike) -> Path:
    """Return where damaged files are listed.

    Args:
        manifest: File of the manifest.

    Returns:
        File beside it.
    """
    path = Path(manifest)
    return path.with_name(f'{path.stem}_damaged.csv')


class DamageReport:
    """The files of a tree that cannot be used, as far as that is known.

    They are kept in a CSV file. Files that were damaged are skipped from the beginning
    when the tree is opened again, unless their size or time of modification changed.
    Worker processes append to the file; each skips what it has found itself.
    """

    def __init__(self, manifest: Manifest, path: PathLike) -> None:
        """Initialize a new DamageReport instance.

        Args:
            manifest: The files of the tree.
            path: File of the report; it is created when there is something to report.
        """
        self.manifest = manifest
        self.path = Path(path)
        #: Whether each file is to be skipped, shape ``(P,)``.
        self.flags: NDArray[np.bool_] = np.zeros(len(manifest.files), dtype=bool)
        self._found: dict[str, DamagedFile] = {}
        self._lock = threading.Lock()
        self._load()

    def __getstate__(self) -> dict[str, object]:
        """Leave out the lock, which cannot be sent to a worker process."""
        return {k: v for k, v in self.__dict__.items() if k != '_lock'}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Make a new lock."""
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def files(self) -> list[DamagedFile]:
        """The files that are skipped, by name."""
        return [self._found[name] for name in sorted(self._found)]

    def _load(self) -> None:
        """Take what is known from earlier, as far as it still holds."""
        try:
            # a broken letter costs its own line alone
            text = self.path.read_text(encoding='utf-8', errors='replace')
            rows = list(csv.reader(io.StringIO(text)))
        except FileNotFoundError:
            return
        except (OSError, csv.Error) as error:
            # what it lists is found damaged again, only later
            _log.warning(
                '%s cannot be read, so no file is skipped from the beginning (%s). '
                'Delete it.',
                self.path,
                error,
            )
            return
        for row in rows:
            if len(row) != len(_COLUMNS) or row[1] != _DAMAGED:
                continue
            name, kind, size, time, reason = row
            patch = self.manifest.find(name)
            if patch is None or _state(self.manifest.path(patch)) != (size, time):
                continue
            self.flags[patch] = True
            self._found[name] = DamagedFile(name, kind, reason)

    def add(self, patch: int, error: Exception) -> bool:
        """Skip a file from now on, and write it down.

        Args:
            patch: Number of the file.
            error: What went wrong.

        Returns:
            False if that was known already.
        """
        with self._lock:
            if self.flags[patch]:
                return False
            found = self._describe(patch, error)
            self.flags[patch] = True
            self._found[found.file] = found
            try:
                self._append([found])
            except OSError as failure:
                # the tree may be read-only; the files are still skipped
                _log.info('%s cannot be written: %s', self.path, failure)
            return True

    def replace(self, found: Iterable[tuple[int, Exception]]) -> None:
        """Replace the report by what a check of the whole tree has found.

        Args:
            found: Number of each bad file, and what went wrong.

        Raises:
            OutputError: If the report cannot be written.
        """
        with self._lock:
            self.flags[:] = False
            self._found = {}
            for patch, error in found:
                self.flags[patch] = True
                item = self._describe(patch, error)
                self._found[item.file] = item
            text = _lines([_COLUMNS, *map(self._row, self.files)])
            write_whole(
                self.path,
                lambda part: part.write_text(text, encoding='utf-8'),
                'pass manifest= with a file in a folder that can be written to',
            )

    def _describe(self, patch: int, error: Exception) -> DamagedFile:
        if isinstance(error, CorruptFileError):
            kind = _DAMAGED
        else:
            kind = _UNREADABLE if isinstance(error, OSError) else _UNFIT
        reason = ' '.join(str(error).split())
        return DamagedFile(self.manifest.name(patch), kind, reason)

    def _row(self, item: DamagedFile) -> tuple[str, ...]:
        path = os.path.join(self.manifest.root, item.file)
        return (item.file, item.kind, *_state(path), item.reason)

    def _append(self, items: list[DamagedFile]) -> None:
        """Append lines in one call, so that those of several workers do not mix."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows: list[tuple[str, ...]] = [self._row(item) for item in items]
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            file = os.open(self.path, flags | os.O_EXCL, 0o644)
            rows.insert(0, _COLUMNS)
        except FileExistsError:
            file = os.open(self.path, flags)
        try:
            os.write(file, _lines(rows).encode())
        finally:
            os.close(file)


def _state(path: str) -> tuple[str, str]:
    """Return size and modification time of a file, by which a repaired one is known."""
    try:
        status = os.stat(path)
    except OSError:
        return '', ''
    return str(status.st_size), str(status.st_mtime_ns)


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()
