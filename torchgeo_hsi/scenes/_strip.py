# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One row of overlapping tiles after the other, blended on disk."""

import mmap
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: Columns that are moved or taken at once.
_COLUMNS = 128

#: Bytes up to which a strip may stay in memory, which is faster.
_SMALL = 256 << 20


class Strip:
    """Sums of the tiles of one row, as long as the scene is wide, in a file.

    Memory holds at most 256 MiB of it, or a few tiles, whatever the width.

    Args:
        folder: Where the file is created; it has no name, and vanishes in the end.
        shape: Bands, rows of a tile, and columns of the scene.

    Raises:
        OSError: If the disk is full.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        """Initialize a new Strip instance; see the class for the arguments."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        size = int(np.prod(shape)) * 4
        try:
            # written, not only reserved: a full disk would end the process later
            block = bytes(1 << 20)
            for start in range(0, size, len(block)):
                self._file.write(block[: size - start])
            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), size)
        except BaseException:
            self._file.close()
            raise
        self._shape = shape
        self._is_large = size > _SMALL

    def _sums(self) -> NDArray[np.float32]:
        return np.frombuffer(self._map, np.float32).reshape(self._shape)

    def add(self, tile: NDArray[np.float32], col: int) -> None:
        """Add a tile that is multiplied by its weights.

        Args:
            tile: Numbers of shape ``(C, h, w)``.
            col: Column of the scene at which it starts.
        """
        height, width = tile.shape[1:]
        self._sums()[:, :height, col : col + width] += tile
        self._forget()

    def columns(self, rows: int, unit: int = 1) -> list[tuple[int, int]]:
        """Cut the strip into pieces for :meth:`take`.

        Args:
            rows: Rows that are complete.
            unit: Pieces begin at multiples of this.

        Returns:
            First column and number of columns of each piece.
        """
        width = self._shape[2] if rows else 0
        piece = max(_COLUMNS // unit, 1) * unit
        return [(c, min(piece, width - c)) for c in range(0, width, piece)]

    def take(self, rows: int, col: int, width: int) -> NDArray[np.float32]:
        """Take out complete rows and move up the others.

        Args:
            rows: Number of rows that are complete.
            col: First column.
            width: Number of columns.

        Returns:
            Sums of shape ``(C, rows, width)``.
        """
        piece = self._sums()[:, :, col : col + width]
        done = piece[:, :rows].copy()
        piece[:, :-rows] = piece[:, rows:].copy()
        piece[:, -rows:] = 0
        del piece
        self._forget()
        return done

    def _forget(self) -> None:
        """Give memory back; the system keeps what it wants of the file."""
        if self._is_large and hasattr(mmap, 'MADV_DONTNEED'):
            self._map.madvise(mmap.MADV_DONTNEED)

    def __enter__(self) -> Self:
        """Return the strip itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the file."""
        # closed when nothing looks at it any more, such as the traceback of an error
        del self._map
        self._file.close()
