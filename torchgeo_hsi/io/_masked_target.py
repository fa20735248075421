# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Put a window together from its parts, while they are in the cache."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._typing import BoolArray
from ._buffers import zeros
from .masked import MaskedCube

#: Numbers that go through all steps before the next ones, so that they stay in the
#: cache of the processor.
_PIECE = 1 << 18


class MaskedTarget:
    """Takes stored numbers, part by part and from several threads at once.

    Args:
        shape: Bands, rows and columns.
        dtype: Data type of the result.
        marker: Stored number of pixels without data, or None.
        gain: Factor of each band, or None.
        offset: Summand of each band, or None.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        marker: Any,
        gain: NDArray[np.float32] | None = None,
        offset: NDArray[np.float32] | None = None,
    ) -> None:
        """Initialize a new MaskedTarget instance; see the class for the arguments."""
        self.values = zeros(shape, dtype)
        self.marker = marker
        self.gain = gain
        self.offset = offset
        self._bad = np.zeros(shape[1:], dtype=bool)
        self._some = np.zeros(shape[1:], dtype=bool)
        self._filled = np.zeros(shape[0], dtype=bool)
        self._covered = np.zeros(shape[1:], dtype=bool)
        self._hidden: BoolArray | None = None
        self._lock = threading.Lock()

    def hide(self, mask: BoolArray, area: tuple[slice, slice]) -> None:
        """Leave out pixels of the parts that follow.

        Args:
            mask: False for pixels without data.
            area: Rows and columns where it applies.
        """
        if mask.all():
            return
        self._hidden = np.zeros(self._bad.shape, dtype=bool)
        self._hidden[area] = ~mask

    def put(
        self, raw: NDArray[Any], band: int = 0, row: int = 0, column: int = 0
    ) -> None:
        """Take a part.

        Args:
            raw: Stored numbers of shape ``(c, h, w)`` with any layout in memory.
            band: Its first band.
            row: Its first row.
            column: Its first column.
        """
        bands, rows, columns = raw.shape
        area = np.s_[row : row + rows, column : column + columns]
        filled = np.zeros(bands, dtype=bool)
        # bands of a pixel that lie together are read through once, row by row
        together = raw.strides[0] < raw.strides[2]
        step = max(1, _PIECE // (bands * columns if together else rows * columns))
        for start in range(0, rows if together else bands, step):
            end = start + step
            lines = slice(start, end) if together else slice(None)
            planes = slice(None) if together else slice(start, end)
            missing = self._take(raw[planes, lines], planes, lines, band, area)
            bad, some = (m[area][lines] for m in (self._bad, self._some))
            if missing is None:
                filled[planes] = True
                with self._lock:
                    some[...] = True
                continue
            filled[planes] |= ~missing.all(axis=(1, 2))
            none, lack = missing.all(axis=0), missing.any(axis=0)
            with self._lock:
                bad |= lack
                some |= ~none
        with self._lock:
            self._filled[band : band + bands] |= filled
            self._covered[area] = True

    def _take(
        self,
        piece: NDArray[Any],
        planes: slice,
        lines: slice,
        band: int,
        area: tuple[slice, slice],
    ) -> BoolArray | None:
        """Convert a piece; return where it has no data, None if there is nowhere."""
        piece = np.ascontiguousarray(piece)
        first = band + (planes.start or 0)
        bands = slice(first, first + len(piece))
        target = self.values[bands, *area][:, lines]
        target[...] = piece
        missing = find_missing(piece, self.marker)
        if self._hidden is not None:
            hidden = self._hidden[area][lines]
            if missing is not None:
                missing |= hidden
            elif hidden.any():
                missing = np.broadcast_to(hidden, piece.shape)
        for factors, apply in ((self.gain, np.multiply), (self.offset, np.add)):
            if factors is not None:
                apply(target, factors[bands, None, None], out=target)
        if missing is not None:
            np.copyto(target, 0, where=missing)
        return missing

    def result(self) -> MaskedCube:
        """Return what was taken; pixels of no part have no data."""
        every = self._covered & ~self._bad
        return MaskedCube(self.values, every, self._some, self._filled)


def find_missing(block: NDArray[Any], marker: Any) -> BoolArray | None:
    """Find numbers that are no data.

    Args:
        block: Stored numbers.
        marker: Stored number of pixels without data, or None.

    Returns:
        True where there is no data; None if there is data everywhere.
    """
    if block.dtype.kind == 'f':
        missing = ~np.isfinite(block)
        if marker is not None:
            missing |= block == marker
    # nodata mostly lies below all data, and the least is found twice as fast
    elif marker is None or marker < block.min():
        return None
    else:
        missing = block == marker
    return missing if missing.any() else None
