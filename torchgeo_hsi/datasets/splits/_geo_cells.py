# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blocks of a GeoDataset: what lies in them, and how they give way to others."""

import math
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from torchgeo.datasets import GeoDataset

from ...errors import EmptyDataError, MetadataError
from ._grid import grid_pieces
from ._search import Pieces


class Cells(NamedTuple):
    """Square blocks on the pixel grid of a dataset, counted from its lower left corner.

    Args:
        origin: Coordinates of the lower left corner.
        res: Width and height of a pixel.
        shape: Rows and columns of the dataset.
        size: Rows and columns of a block.
    """

    origin: tuple[float, float]
    res: tuple[float, float]
    shape: tuple[int, int]
    size: int

    @classmethod
    def of(cls, dataset: GeoDataset, size: int) -> Self:
        """Lay blocks over a dataset.

        Args:
            dataset: The dataset.
            size: Rows and columns of a block.
        """
        xs, ys, _ = dataset.bounds
        res = dataset.res
        shape = (
            max(1, round((ys.stop - ys.start) / res[1])),
            max(1, round((xs.stop - xs.start) / res[0])),
        )
        return cls((float(xs.start), float(ys.start)), res, shape, size)

    @property
    def number(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return (
            math.ceil(self.shape[0] / self.size),
            math.ceil(self.shape[1] / self.size),
        )

    def box(self, row: float, column: float, bottom: float, right: float) -> Any:
        """Return a rectangle of pixels as a polygon.

        Args:
            row: First row, upwards.
            column: First column.
            bottom: Row behind the last one.
            right: Column behind the last one.
        """
        (x, y), (width, height) = self.origin, self.res
        return shapely.box(
            x + column * width, y + row * height, x + right * width, y + bottom * height
        )


def cell_pieces(
    dataset: GeoDataset, cells: Cells, guard: int
) -> tuple[Pieces, NDArray[np.int64]]:
    """Measure how much of a dataset lies in each block, and in each part of it.

    Args:
        dataset: The dataset.
        cells: The blocks.
        guard: Pixels that are left out at borders.

    Returns:
        Parts of blocks, counted in pixels, and row and column of each block with data.
    """
    area = dataset.index.geometry.union_all()
    shapely.prepare(area)
    size, inner = cells.size, max(cells.size - 2 * guard, 0)
    # the nine parts of a block, each represented by its middle pixel
    starts = np.array([0, guard, size - guard])
    widths = np.array([guard, inner, guard])
    boxes, spots = [], []
    for row in range(cells.number[0]):
        for column in range(cells.number[1]):
            for i in range(3):
                for j in range(3):
                    if not (widths[i] and widths[j]):
                        continue
                    low, left = row * size + starts[i], column * size + starts[j]
                    high, right = low + widths[i], left + widths[j]
                    boxes.append(cells.box(low, left, high, right))
                    spots.append((low, left))
    sizes = shapely.area(shapely.intersection(np.array(boxes), area))
    sizes /= cells.res[0] * cells.res[1]
    there = sizes > 0
    rows, columns = np.array(spots)[there].T
    pieces, grid = grid_pieces(
        rows,
        columns,
        np.zeros(len(rows), dtype=np.int64),
        1,
        guard,
        (size, 0, 0),
        sizes[there],
    )
    return pieces, grid.blocks


def label_pieces(
    labels: GeoDataset, cells: Cells, guard: int, ignored: Collection[int]
) -> tuple[Pieces, NDArray[np.int64]]:
    """Count the labelled pixels of each class in each block, and in each part of it.

    Args:
        labels: Dataset with ``mask``.
        cells: The blocks.
        guard: Pixels that are left out at borders.
        ignored: Labels that say nothing.

    Returns:
        Parts of blocks, and row and column of each block with labels.

    Raises:
        EmptyDataError: If there is no label.
        MetadataError: If there is no ``mask``.
    """
    found: dict[tuple[int, int, int], int] = {}
    for row, column, mask in _read_cells(labels, cells):
        use = ~np.isin(mask, list(ignored))
        if not use.any():
            continue
        # upwards, as the blocks are counted
        inner = np.nonzero(use[::-1])
        zone = [
            np.where(i < guard, 0, np.where(i >= cells.size - guard, 2, 1))
            for i in inner
        ]
        codes = mask[::-1][inner]
        keys, numbers = np.unique(
            np.column_stack([zone[0], zone[1], codes]), axis=0, return_counts=True
        )
        starts = (0, cells.size // 2, cells.size - 1)
        for (i, j, code), number in zip(keys.tolist(), numbers.tolist(), strict=True):
            place = row * cells.size + starts[i], column * cells.size + starts[j]
            found[(*place, code)] = number
    if not found:
        words = ' or '.join(map(str, sorted(ignored))) or None
        raise EmptyDataError(
            f'No pixel of labels= has a label other than ignore_index={words} on the '
            'dataset. Check that both show the same place.'
        )
    rows, columns, values = np.array(list(found)).T
    codes, classes = np.unique(values, return_inverse=True)
    weights = np.array(list(found.values()), dtype=np.float64)
    pieces, grid = grid_pieces(
        rows, columns, classes, len(codes), guard, (cells.size, 0, 0), weights
    )
    return pieces, grid.blocks


def _read_cells(
    labels: GeoDataset, cells: Cells
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield row, column and labels of each block that has some."""
    (x, y), (width, height), size = cells.origin, cells.res, cells.size
    times = labels.bounds[2]
    for row in range(cells.number[0]):
        for column in range(cells.number[1]):
            xs = slice(
                x + column * size * width, x + (column + 1) * size * width, width
            )
            ys = slice(y + row * size * height, y + (row + 1) * size * height, height)
            try:
                sample = labels[(xs, ys, times)]
            except IndexError:
                continue
            if 'mask' not in sample:
                raise MetadataError(
                    'Expected labels= to be a dataset with "mask", such as LabelRaster, '
                    f'got {", ".join(sorted(sample))}.'
                )
            mask = np.asarray(sample['mask'], dtype=np.int64)
            yield row, column, mask.reshape(mask.shape[-2:])[:size, :size]


def shrunken_cells(
    cells: Cells,
    where: NDArray[np.int64],
    assigned: NDArray[np.int64],
    guard: int,
    window: int,
) -> list[tuple[shapely.Polygon, ...]]:
    """Make rectangles of the blocks of each split, away from other splits.

    Args:
        cells: The blocks.
        where: Row and column of each block.
        assigned: Split of each block.
        guard: Pixels to leave out at sides where another split lies.
        window: Smallest side of a rectangle in pixels.

    Returns:
        For each split, rectangles that do not overlap; blocks side by side are one.
    """
    table = np.full((cells.number[0] + 2, cells.number[1] + 2), -1)
    table[where[:, 0] + 1, where[:, 1] + 1] = assigned
    give = _sides(table)
    parts = []
    for split in range(int(assigned.max()) + 1):
        boxes = []
        for row, column in where[assigned == split].tolist():
            down, up, left, right = (
                guard * bool(side[row + 1, column + 1]) for side in give
            )
            low = row * cells.size + down
            high = min((row + 1) * cells.size, cells.shape[0]) - up
            first = column * cells.size + left
            last = min((column + 1) * cells.size, cells.shape[1]) - right
            if high > low and last > first:
                boxes.append((low, first, high, last))
        merged = _merge(_merge(boxes, 1), 0)
        parts.append(
            tuple(
                cells.box(*box)
                for box in merged
                if min(box[2] - box[0], box[3] - box[1]) >= window
            )
        )
    return parts


def _sides(table: NDArray[np.int64]) -> tuple[NDArray[np.bool_], ...]:
    """Tell for each block at which sides it gives way: lower, upper, left, right."""

    def other(down: int, right: int) -> NDArray[np.bool_]:
        moved = np.roll(table, (-down, -right), axis=(0, 1))
        foreign: NDArray[np.bool_] = (table >= 0) & (moved >= 0) & (moved != table)
        return foreign

    # at a corner, both give way along the same axis, so that the gap is a whole one
    lower = other(-1, 0) | other(-1, -1) | other(-1, 1)
    upper = other(1, 0) | other(1, -1) | other(1, 1)
    return lower, upper, other(0, -1), other(0, 1)


def _merge(
    boxes: list[tuple[int, int, int, int]], axis: int
) -> list[tuple[int, int, int, int]]:
    """Join rectangles that share a whole side along an axis."""
    other = 1 - axis
    found: list[list[int]] = []
    for box in sorted(boxes, key=lambda b: (b[other], b[other + 2], b[axis])):
        last = found[-1] if found else None
        if (
            last is not None
            and (last[other], last[other + 2]) == (box[other], box[other + 2])
            and last[axis + 2] == box[axis]
        ):
            last[axis + 2] = box[axis + 2]
        else:
            found.append(list(box))
    return [(a, b, c, d) for a, b, c, d in found]
