# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hidden folders for unfinished files, and what is left of them after a kill."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

if sys.platform != 'win32':  # leftovers are ignored there, but not removed
    import fcntl

_SUFFIX = '.part'
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
        for other in parent.iterdir():
            if other.name.startswith(prefix) and other.name.endswith(_SUFFIX):
                _remove_leftover(other)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=parent))
        self._lock: int | None = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT)
        _lock(self._lock)

    def remove(self) -> None:
        """Remove the folder with everything in it; calling it again does nothing."""
        if self._lock is not None:
            # before the lock is released, so that nobody else removes it meanwhile
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None
            # an open lock file cannot be removed on some systems
            shutil.rmtree(self.path, ignore_errors=True)


def _lock(file: int) -> bool:
    if sys.platform == 'win32':
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by a living process, or the file system has no locks
        return False
    return True


def _remove_leftover(folder: Path) -> None:
    try:
        file = os.open(folder / _LOCK, os.O_RDWR)
        stale = _lock(file)
        os.close(file)
    except FileNotFoundError:
        stale = folder.is_dir() and time.time() - folder.stat().st_mtime > _GRACE
    except OSError:  # another user's
        stale = False
    if stale:
        shutil.rmtree(folder, ignore_errors=True)
