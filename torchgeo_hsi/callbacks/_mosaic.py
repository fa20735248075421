# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From overlapping tiles in any order to blended blocks, through the disk.

Tiles are cut along the blocks of the mosaic and appended to a file; nothing is read or
changed before all are there. So neither the order of the tiles nor the number of
processes matters to the result, not even in the last bit, and memory holds one tile or
one block, never the scene.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..io._tiles import blend_weights

# One part of a tile within one block of the mosaic: which block; the file of which
# process, and where in it; rows and columns within the block; the tile itself.
_PART = np.dtype(
    [
        (name, np.int64)
        for name in (
            'block_row',
            'block_col',
            'rank',
            'start',
            'row',
            'col',
            'height',
            'width',
            'tile_row',
            'tile_col',
            'tile_height',
            'tile_width',
        )
    ]
)


class PartWriter:
    """Take tiles in any order and keep their parts in one file.

    Args:
        folder: Folder for the files, shared by all processes.
        rank: Number of this process.
        shape: Rows and columns of the mosaic.
        side: Side of its blocks.
    """

    def __init__(
        self, folder: Path, rank: int, shape: tuple[int, int], side: int
    ) -> None:
        """Initialize a new PartWriter instance; see the class for the arguments."""
        self._rank = rank
        self._shape = shape
        self._side = side
        self._position = 0
        self._files = ExitStack()
        self._values, self._index = (
            self._files.enter_context((folder / f'{rank}.{kind}').open('wb'))
            for kind in ('values', 'index')
        )

    def add(self, tile: NDArray[Any], row: int, col: int) -> None:
        """Add one tile; what reaches over the edge of the mosaic is cut off.

        Args:
            tile: Predictions of shape ``(C, h, w)``, NaN where there is none.
            row: Row of the mosaic at which the tile starts; may be negative.
            col: Column at which it starts; may be negative.

        Raises:
            OSError: If the disk is full.
        """
        height, width = tile.shape[1:]
        side = self._side
        top, bottom = max(row, 0), min(row + height, self._shape[0])
        left, right = max(col, 0), min(col + width, self._shape[1])
        for i in range(top // side, -(-bottom // side)):
            for j in range(left // side, -(-right // side)):
                r, r_end = max(top, i * side), min(bottom, (i + 1) * side)
                c, c_end = max(left, j * side), min(right, (j + 1) * side)
                part = tile[:, r - row : r_end - row, c - col : c_end - col]
                if np.isnan(part[0]).all():
                    continue
                entry = (i, j, self._rank, self._position, r % side, c % side)
                size = (r_end - r, c_end - c, row, col, height, width)
                self._index.write(np.array((*entry, *size), dtype=_PART).tobytes())
                self._values.write(np.ascontiguousarray(part).data)
                self._position += part.nbytes

    def close(self) -> None:
        """Close the files.

        Raises:
            OSError: If the disk is full.
        """
        self._files.close()

    def abort(self) -> None:
        """Close the files, and ignore that their last part may not fit on the disk."""
        with suppress(OSError):
            self._files.close()


class Mosaic:
    """Blend the parts that all processes have written.

    Args:
        folder: Folder with the files.
        shape: Bands, rows and columns of the mosaic.
        side: Side of its blocks.
        dtype: Data type of the tiles.
        overlap: Length of the ramps in pixels; half a tile by default.
        delta: Margin of the tiles that is cut off.
        method: Form of the ramps.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int, int],
        side: int,
        dtype: np.dtype[Any],
        overlap: int | None,
        delta: int,
        method: Literal['cosine', 'linear'],
    ) -> None:
        """Initialize a new Mosaic instance; see the class for the arguments."""
        self._folder = folder
        self._shape = shape
        self._side = side
        self._dtype = dtype
        self._blend = (overlap, delta, method)
        parts = np.concatenate(
            [np.fromfile(path, dtype=_PART) for path in sorted(folder.glob('*.index'))]
        )
        # tiles of a block in a fixed order, so that sums do not depend on theirs
        keys = ('start', 'rank', 'tile_col', 'tile_row', 'block_col', 'block_row')
        self._parts = parts[np.lexsort([parts[key] for key in keys])]

    @property
    def num_parts(self) -> int:
        """Number of parts; 0 if no tile holds a prediction."""
        return len(self._parts)

    def blocks(self) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
        """Blend block after block; blocks without any prediction are left out.

        Yields:
            Row and column at which the block starts, and its values of shape
            ``(C, h, w)``, NaN where there is no prediction.
        """
        if not len(self._parts):
            return
        place = np.stack([self._parts['block_row'], self._parts['block_col']])
        starts = np.flatnonzero((np.diff(place) != 0).any(axis=0)) + 1
        with ExitStack() as stack:
            files = {
                int(rank): stack.enter_context(
                    open(self._folder / f'{rank}.values', 'rb')
                )
                for rank in np.unique(self._parts['rank'])
            }
            for parts in np.split(self._parts, starts):
                row = int(parts['block_row'][0]) * self._side
                col = int(parts['block_col'][0]) * self._side
                yield row, col, self._block(parts, row, col, files)

    def _block(
        self, parts: NDArray[Any], row: int, col: int, files: dict[int, Any]
    ) -> NDArray[np.float64]:
        count, height, width = self._shape
        size = (min(self._side, height - row), min(self._side, width - col))
        total = np.zeros((count, *size))
        weights = np.zeros(size)
        for part in parts:
            file = files[int(part['rank'])]
            file.seek(int(part['start']))
            shape = (count, int(part['height']), int(part['width']))
            values = np.fromfile(file, self._dtype, int(np.prod(shape))).reshape(shape)
            r, c = int(part['row']), int(part['col'])
            weight = np.outer(
                self._ramp(part, 'row', row + r, shape[1], height),
                self._ramp(part, 'col', col + c, shape[2], width),
            )
            missing = np.isnan(values[0])
            if missing.any():
                weight[missing] = 0
                values[:, missing] = 0
            area = np.s_[r : r + shape[1], c : c + shape[2]]
            weights[area] += weight
            total[:, *area] += values * weight
        with np.errstate(invalid='ignore'):
            total /= weights
        return total

    def _ramp(
        self, part: Any, axis: str, start: int, size: int, end: int
    ) -> NDArray[np.float64]:
        tile_start = int(part[f'tile_{axis}'])
        length = int(part['tile_height' if axis == 'row' else 'tile_width'])
        # no ramp where the tile reaches the edge of the scene: nothing follows there
        ramps = (tile_start > 0, tile_start + length < end)
        weights = blend_weights(length, *self._blend, ramps)
        return weights[start - tile_start :][:size]
