# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blocks of a pixel grid, and what windows see of their neighbours."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray
from ._search import Pieces

#: Block sizes to try, in windows.
_MULTIPLES = (2, 3, 4, 6, 8, 12, 16, 24, 32)


class BlockGrid(NamedTuple):
    """Square blocks on a pixel grid.

    Args:
        size: Rows and columns of a block.
        row: Row of the grid at which the first row of the image lies, below *size*.
        column: The same for columns.
        blocks: Number of each block with data: its row and column of blocks, ``(G, 2)``.
    """

    size: int
    row: int
    column: int
    blocks: NDArray[np.int64]


def block_sizes(
    shape: tuple[int, int], window: int, guard: int, splits: int
) -> list[int]:
    """Choose block sizes to try.

    Args:
        shape: Rows and columns of the image.
        window: Rows and columns of a window.
        guard: Pixels that are left out on either side of a border.
        splits: Number of splits.

    Returns:
        Sizes, of which each leaves something inside of a lone block and gives more
        blocks than there are splits; just one if the image is too small for that.
    """
    least = 2 * guard + 1
    sizes = sorted({max(least, m * window, 4) for m in _MULTIPLES})
    height, width = shape
    fitting = [size for size in sizes if (height / size) * (width / size) >= 3 * splits]
    if fitting:
        return fitting
    # as many blocks as may be
    widest = int(np.sqrt(height * width / (3 * splits)))
    return [max(least, widest)]


def grid_pieces(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    classes: NDArray[np.int64],
    num_classes: int,
    guard: int,
    grid: tuple[int, int, int],
    weights: NDArray[np.float64] | None = None,
) -> tuple[Pieces, BlockGrid]:
    """Cut labelled pixels into blocks, and each block into nine parts.

    The inner part of a block sees no other block within *guard* pixels, parts at its
    sides see one, and parts at its corners see three.

    Args:
        rows: Row of each labelled pixel.
        columns: Column of each labelled pixel.
        classes: Class of each labelled pixel, from 0.
        num_classes: Number of classes.
        guard: Pixels; a block has to be larger than twice as much.
        grid: Size of the blocks, and row and column of the grid at the first pixel.
        weights: What each pixel counts; 1 by default.

    Returns:
        The parts, and the blocks that hold labelled pixels.
    """
    size, top, left = grid
    places = [rows + top, columns + left]
    blocks = [place // size for place in places]
    # 0 near the lower edge of the block, 2 near the upper one, 1 in between
    zones = []
    for place in places:
        inner = place % size
        zones.append(np.where(inner < guard, 0, np.where(inner >= size - guard, 2, 1)))
    wide = int(blocks[1].max()) + 1
    key = (blocks[0] * wide + blocks[1]) * 9 + zones[0] * 3 + zones[1]
    found, inverse = np.unique(key, return_inverse=True)
    counts = np.bincount(
        inverse * num_classes + classes, weights, len(found) * num_classes
    ).astype(np.float64)
    numbers, group = np.unique(found // 9, return_inverse=True)
    near = _neighbours(found, numbers, wide)
    where = np.column_stack([numbers // wide, numbers % wide])
    pieces = Pieces(
        group.astype(np.int64),
        near,
        counts.reshape(len(found), num_classes),
        where.astype(np.float64),
    )
    return pieces, BlockGrid(size, top, left, where)


def _neighbours(
    keys: NDArray[np.int64], numbers: NDArray[np.int64], wide: int
) -> NDArray[np.int64]:
    """Find the groups that each part of a block sees: at its side, side and corner."""
    block, zone = keys // 9, keys % 9
    row, column = block // wide, block % wide
    steps = zone // 3 - 1, zone % 3 - 1
    near = np.full((len(keys), 3), -1)
    for i, (down, right) in enumerate(((1, 0), (0, 1), (1, 1))):
        to_row, to_column = row + down * steps[0], column + right * steps[1]
        number = to_row * wide + to_column
        spot = np.searchsorted(numbers, number).clip(max=len(numbers) - 1)
        there = (to_column >= 0) & (to_column < wide) & (to_row >= 0)
        there &= (numbers[spot] == number) & (number != block)
        near[there, i] = spot[there]
    return near


def block_map(
    shape: tuple[int, int], grid: BlockGrid, assigned: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Paint the splits of the blocks.

    Args:
        shape: Rows and columns of the image.
        grid: The blocks.
        assigned: Split of each block.

    Returns:
        Split of each pixel, -1 in blocks without data.
    """
    down = (np.arange(shape[0]) + grid.row) // grid.size
    right = (np.arange(shape[1]) + grid.column) // grid.size
    table = np.full((int(down[-1]) + 1, int(right[-1]) + 1), -1, dtype=np.int8)
    table[grid.blocks[:, 0], grid.blocks[:, 1]] = assigned
    return table[down][:, right]


def any_within(mask: BoolArray, before: int, after: int) -> BoolArray:
    """Tell where a mask is True in a rectangle around a pixel.

    Args:
        mask: Mask of shape ``(H, W)``.
        before: Rows above and columns to the left that belong to the rectangle.
        after: Rows below and columns to the right.

    Returns:
        Mask of the same shape.
    """
    found = mask
    for axis in (0, 1):
        length = mask.shape[axis]
        sums = np.zeros((length + 1, mask.shape[1 - axis]), dtype=np.int32)
        np.cumsum(np.moveaxis(found, axis, 0), axis=0, out=sums[1:])
        place = np.arange(length)
        high = sums[np.minimum(place + after + 1, length)]
        low = sums[np.maximum(place - before, 0)]
        found = np.moveaxis(high > low, 0, axis)
    return found


def own_windows(side: NDArray[np.int8], guard: int, splits: int) -> BoolArray:
    """Tell which pixels see no other split.

    Args:
        side: Split of each pixel, -1 for none.
        guard: Pixels to look in each direction.
        splits: Number of splits.

    Returns:
        True where the pixel has a split, and no pixel within *guard* has another.
    """
    fine: BoolArray = side >= 0
    for split in range(splits):
        others = (side >= 0) & (side != split)
        fine &= ~((side == split) & any_within(others, guard, guard))
    return fine
