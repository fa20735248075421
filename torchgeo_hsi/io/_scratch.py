# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hidden folders for unfinished files, and what is left of them after a kill."""

import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

if sys.platform != 'win32':  # leftovers are ignored there, but not removed
    import fcntl

_SUFFIX = '.part'

# of a folder that is not locked yet, and of all where there are no locks
_NEW = '.new.part'
_LOCK = 'lock'

# seconds for which a folder may exist before its owner has locked it
_GRACE = 60


class ScratchFolder:
    """A folder beside an output, for everything that is not finished.

    Its name is new in every run, so nothing half-written is ever taken up again. The
    owner holds a lock that the system releases when the process ends, however it ends;
    so the next run for the same output can tell leftovers from the folder of a run
    that is still going on, and removes them.

    Args:
        target: The output that the folder is for.
        folder: Where to create it; beside *target* by default.

    Raises:
        OSError: If the folder cannot be created.
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        """Initialize a new ScratchFolder instance; see the class for the arguments."""
        parent = target.parent if folder is None else folder
        parent.mkdir(parents=True, exist_ok=True)
        prefix = f'.{target.name}.'
        remove_leftovers(parent, prefix)
        made = tempfile.mkdtemp(prefix=prefix, suffix=_NEW, dir=parent)
        self._lock: int | None = os.open(Path(made, _LOCK), os.O_RDWR | os.O_CREAT)
        self.path = Path(made)
        if _lock(self._lock):
            # so a living owner of a folder of this name always has its lock
            self.path = Path(made.removesuffix(_NEW) + _SUFFIX)
            os.rename(made, self.path)

    def remove(self) -> None:
        """Remove the folder with everything in it; calling it again does nothing."""
        if self._lock is not None:
            # the lock last: what a kill leaves here can still be told from a new folder
            for name in os.listdir(self.path) if self.path.is_dir() else ():
                if name != _LOCK:
                    _remove(self.path / name)
            os.close(self._lock)
            self._lock = None
            # an open lock file cannot be removed on some systems
            shutil.rmtree(self.path, ignore_errors=True)


def remove_leftovers(folder: Path, prefix: str = '.') -> None:
    """Remove scratch folders whose owners have ended without doing so.

    Args:
        folder: Folder to look in; nothing happens if there is none.
        prefix: How their names begin.
    """
    # the names alone: a folder may hold many thousands of outputs
    for name in os.listdir(folder) if folder.is_dir() else ():
        if name.startswith(prefix) and name.endswith(_SUFFIX):
            _remove_leftover(folder / name)


def _lock(file: int) -> bool:
    if sys.platform == 'win32':
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by a living process, or the file system has no locks
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _remove_leftover(folder: Path) -> None:
    """Remove a scratch folder unless its owner is alive, or somebody else was faster."""
    with suppress(OSError):
        young = time.time() - folder.stat().st_mtime <= _GRACE
        if folder.name.endswith(_NEW) and young:
            # its owner is about to lock it
            return
        try:
            file = os.open(folder / _LOCK, os.O_RDWR)
            stale = _lock(file)
            os.close(file)
        except FileNotFoundError:
            stale = not young
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
