# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of the area of a GeoDataset: by blocks and by polygons."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
import torch
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from torchgeo.datasets import GeoDataset

from ...errors import EmptyDataError, MetadataError
from ._geo_cells import Cells, cell_pieces, label_pieces, shrunken_cells
from ._search import Goal, Pieces, check_shares, random_source, search
from .geo_split import GeoSplit
from .patches import region_numbers
from .pixels import SHARES, check_guard

#: Windows along the side of a block, by default; the largest that gives enough blocks.
_MULTIPLES = (8, 6, 4, 3, 2)

#: Blocks for each split that a default size gives.
_BLOCKS = 8


def block_geo_split(
    dataset: GeoDataset,
    window: int,
    shares: Mapping[str, float] = SHARES,
    labels: GeoDataset | None = None,
    block_size: int | None = None,
    guard: int | None = None,
    ignore_index: int | None = None,
    least: int = 1,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> GeoSplit:
    """Split the area of a dataset by square blocks, with a guard between them.

    As torchgeo's ``random_grid_cell_assignment``, but on one grid for all scenes, so a
    place is in the same split at each date, with a guard, and with shares of the
    classes. Each block gives way by *guard* pixels at a side where another split lies.
    With the default, a grid of windows over one split, which reaches over its edges,
    does not touch any window that lies inside of another.

    Args:
        dataset: Dataset to split, with images or labels or both.
        window: Rows and columns of the windows that will be sampled, in pixels.
        shares: Share of each split, training first; scaled to a sum of 1.
        labels: Dataset with ``mask`` of the same place, to meet the shares for each
            class as well. It is read once.
        block_size: Side of a block in pixels; by default the largest multiple of
            *window* that gives eight blocks for each split.
        guard: Pixels to leave out on either side of a border; ``window // 2`` by
            default.
        ignore_index: Label that says nothing, besides that of *labels* (its
            ``ignore_index``), if it has one.
        least: How many pixels of each class each split needs.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The regions of the splits.

    Raises:
        ValueError: If an argument is out of range, or blocks do not hold a window.
        EmptyDataError: If there are fewer blocks than splits, or no label.
        MetadataError: If *labels* are in another CRS, or have no ``mask``.
    """
    names, target = check_shares(shares)
    edge = check_guard(window, guard)
    cells = Cells.of(dataset, 1)
    size = block_size or _default_size(cells, window, edge, len(names))
    if not size >= window + 2 * edge:
        raise ValueError(
            f'Blocks of {size} pixels with a guard of {edge} on either side hold no '
            f'window of {window}. Expected a block_size of {window + 2 * edge} or more.'
        )
    cells = cells._replace(size=size)
    if labels is None:
        pieces, where = cell_pieces(dataset, cells, edge)
    else:
        if labels.crs != dataset.crs:
            raise MetadataError(
                f'labels= are in another CRS ({labels.crs}) than the dataset '
                f'({dataset.crs}). Set labels.crs = dataset.crs first.'
            )
        # what a dataset puts where it has no label is never a class
        codes = (getattr(labels, 'ignore_index', None), ignore_index)
        ignored = {code for code in codes if code is not None}
        pieces, where = label_pieces(labels, cells, edge, ignored)
    goal = Goal(target, pieces.counts.sum(axis=0), least if labels is not None else 0)

    def make(rng: np.random.Generator) -> tuple[Pieces, None]:
        return pieces, None

    assigned, _, _ = search(make, goal, trials, random_source(generator))
    parts = shrunken_cells(cells, where, assigned, edge, window)
    for name, polygons in zip(names, parts, strict=True):
        if not polygons:
            raise EmptyDataError(
                f'The region of {name!r} holds no window of {window} pixels. Use smaller '
                'blocks or windows, or fewer splits.'
            )
    gap = 2 * edge * cells.res[0], 2 * edge * cells.res[1]
    return GeoSplit(names, tuple(parts), dataset.crs, 'block', window, gap, size)


def _default_size(cells: Cells, window: int, guard: int, splits: int) -> int:
    least = window + 2 * guard
    for multiple in _MULTIPLES:
        size = max(least, multiple * window)
        rows, columns = (math.ceil(extent / size) for extent in cells.shape)
        if rows * columns >= _BLOCKS * splits:
            return size
    return max(least, 2 * window)


def region_geo_split(
    dataset: GeoDataset,
    regions: GeoDataFrame,
    window: int,
    shares: Mapping[str, float] = SHARES,
    column: str | None = None,
    split_column: str | None = None,
    guard: int | None = None,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> GeoSplit:
    """Split the area of a dataset by polygons, such as counties or farms.

    Polygons of a region go to the same split. Where two splits come closer than twice
    *guard*, the earlier one (training) gives way; with the default, no window inside of
    one touches a window inside of another.

    Args:
        dataset: Dataset to split.
        regions: The polygons, in any CRS.
        window: Rows and columns of the windows that will be sampled, in pixels.
        shares: Share of the area of each split, training first; scaled to a sum of 1.
            With *split_column*, only its names count.
        column: Column that names the region; each polygon is one by default.
        split_column: Column with the name of the split of each polygon; then nothing
            is drawn, and polygons with other names are in no split.
        guard: Half of the least distance between splits in pixels; ``window // 2`` by
            default.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The regions of the splits.

    Raises:
        ValueError: If an argument is out of range, or there is no such column.
        EmptyDataError: If there are fewer regions than splits, or nothing is left of
            one.
    """
    names, target = check_shares(shares)
    edge = check_guard(window, guard)
    area = dataset.index.geometry.union_all()
    table = regions.to_crs(dataset.crs)
    shapes = shapely.intersection(table.geometry.to_numpy(), area)
    inside = shapely.area(shapes) > 0
    if not inside.any():
        raise EmptyDataError(
            'No polygon lies on the dataset. Check that they show the same place.'
        )
    table, shapes = table[inside], shapes[inside]
    if split_column is not None:
        chosen = _named_splits(table, split_column, names)
    else:
        chosen = _drawn_splits(
            shapes, region_numbers(table, column), target, trials, generator
        )
    gap = 2 * edge * dataset.res[0], 2 * edge * dataset.res[1]
    parts = _apart([shapes[chosen == k] for k in range(len(names))], max(gap), names)
    return GeoSplit(names, tuple(parts), dataset.crs, 'region', window, gap)


def _named_splits(
    table: GeoDataFrame, column: str, names: Sequence[str]
) -> NDArray[np.int64]:
    """Read the splits of polygons."""
    region_numbers(table, column)
    words = [str(word) for word in table[column]]
    missing = [name for name in names if name not in words]
    if missing:
        known = ', '.join(sorted(set(words)))
        raise EmptyDataError(
            f'Column {column!r} has no polygon on the dataset for {", ".join(missing)}; '
            f'it has {known}. Name your splits by shares=.'
        )
    return np.array([names.index(w) if w in names else -1 for w in words])


def _drawn_splits(
    shapes: NDArray[Any],
    group: NDArray[np.int64],
    target: NDArray[np.float64],
    trials: int,
    generator: torch.Generator | None,
) -> NDArray[np.int64]:
    """Give each region a split by its area."""
    group = np.unique(group, return_inverse=True)[1]
    sizes = np.bincount(group, shapely.area(shapes))
    middle = shapely.get_coordinates(shapely.centroid(shapes))
    number = np.bincount(group)
    centers = [np.bincount(group, middle[:, i]) / number for i in (0, 1)]
    pieces = Pieces(
        np.arange(len(sizes)),
        np.full((len(sizes), 1), -1),
        sizes[:, None],
        np.column_stack(centers),
    )
    goal = Goal(target, sizes.sum(keepdims=True), 0)
    assigned, _, _ = search(
        lambda _: (pieces, None), goal, trials, random_source(generator)
    )
    return assigned[group]


def _apart(
    shapes: Sequence[NDArray[Any]], gap: float, names: Sequence[str]
) -> list[tuple[shapely.Polygon, ...]]:
    """Cut from each split what is too close to a later one."""
    whole = [shapely.union_all(part) for part in shapes]
    # two points that are this far apart are a gap apart along one axis
    distance = math.sqrt(2) * gap
    found = []
    for k, area in enumerate(whole):
        for other in whole[k + 1 :]:
            area = area - (other.buffer(distance) if distance else other)
        parts = tuple(
            part
            for part in shapely.get_parts(area)
            if isinstance(part, shapely.Polygon) and part.area > 0
        )
        if not parts:
            raise EmptyDataError(
                f'Nothing is left of {names[k]!r} between the guards. Lower guard=, or '
                'use larger regions.'
            )
        found.append(parts)
    return found
