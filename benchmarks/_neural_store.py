# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Finished cells of ``neural_spectral.py``, kept in a file."""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any


class Cells:
    """What is finished, kept in a file after each cell.

    Several processes may use the file: each adds to what is there.

    Args:
        path: The file, or None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        """Initialize a new Cells instance; see the class for the arguments."""
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self.read()

    def read(self) -> None:
        """Read what has been finished."""
        if self.path is not None and self.path.is_file():
            self.rows = json.loads(self.path.read_text())

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a cell."""
        if self.path is None:
            self.rows[key] = row
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix('.lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.read()
            self.rows[key] = row
            part = self.path.with_suffix('.part')
            part.write_text(json.dumps(self.rows))
            part.replace(self.path)


def key_of(*parts: Any) -> str:
    """Name a cell by all that its result depends on."""
    state = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    return '/'.join([*(str(p) for p in parts if isinstance(p, str | int)), state])
