# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of patches and tiles: by blocks and by regions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
import torch
from geopandas import GeoDataFrame
from numpy.typing import ArrayLike, NDArray
from torchgeo.datasets import GeoDataset

from ...errors import EmptyDataError
from ._search import Goal, Pieces, check_shares, random_source, search
from .patch_split import PatchSplit
from .pixels import SHARES

#: Share of a patch by which two may overlap through rounding.
_SLACK = 1e-6

#: Blocks for each split that a default size leaves.
_BLOCKS = 10

#: Largest block that is tried, in patches.
_LARGEST = 64


def block_patch_split(
    boxes: ArrayLike | GeoDataFrame | GeoDataset,
    shares: Mapping[str, float] = SHARES,
    counts: ArrayLike | None = None,
    block_size: float | None = None,
    gap: float = 0.0,
    least: int = 1,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> PatchSplit:
    """Split patches by square blocks of ground, so that none overlaps one of another.

    Patches whose middle lies in a block go to the same split, those of other dates of
    the same place included. Of two patches of different splits that overlap, or are
    nearer than *gap*, the one of the earlier split (training) is left out.

    Among *trials* grids and assignments, the best ones are improved block by block, as
    in :func:`block_pixel_split`.

    Args:
        boxes: Left, bottom, right and top of each patch, shape ``(N, 4)``, in one CRS;
            or a table of geometries, or a dataset whose files are the patches.
        shares: Share of each split, training first; scaled to a sum of 1.
        counts: How often each class is in each patch, shape ``(N, K)``. A label of a
            patch is a row with a single 1.
        block_size: Side of a block in units of the boxes; by default the largest of 1,
            2, 4 ... patches that gives ten blocks for each split.
        gap: Least distance between patches of different splits, in units of the boxes.
            With 0, they may share an edge.
        least: How often each class has to be in each split.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The splits.

    Raises:
        ValueError: If an argument is out of range, or shapes do not fit together.
        EmptyDataError: If there are fewer blocks than splits.

    Example:
        >>> x, y = np.meshgrid(np.arange(12.0), np.arange(12.0))
        >>> boxes = np.stack([x, y, x + 1, y + 1], axis=-1).reshape(-1, 4)
        >>> split = block_patch_split(boxes, {'train': 0.75, 'test': 0.25})
        >>> len(split.indices('train')), len(split.indices('test'))
        (108, 36)
    """
    places, table = check_boxes(boxes), _check_counts(boxes, counts)
    _check_gap(gap)
    if block_size is not None and not 0 < block_size < math.inf:
        raise ValueError(
            f'Expected a positive block_size in units of the boxes, got {block_size}. '
            'Leave it out to have one chosen.'
        )
    names, target = check_shares(shares)
    goal = Goal(target, table.sum(axis=0), least, gives_way=True)
    middle = (places[:, :2] + places[:, 2:]) / 2
    size = block_size or _default_size(places, middle, len(names))
    pairs = close_pairs(places, gap)

    def make(rng: np.random.Generator) -> tuple[Pieces, NDArray[np.int64]]:
        cells = np.floor((middle - middle.min(axis=0)) / size + rng.random(2))
        group = _number_rows(cells)
        return _patch_pieces(group, table, middle, pairs), group

    rng, effort = random_source(generator), 20 * (len(places) + len(pairs))
    assigned, _, group = search(make, goal, trials, rng, effort)
    codes = _leave_out(assigned, group, pairs)
    given = None if counts is None else np.asarray(counts)
    return PatchSplit(names, codes, places, given, 'block', float(gap), float(size))


def region_patch_split(
    boxes: ArrayLike | GeoDataFrame | GeoDataset,
    regions: Sequence[Any] | NDArray[Any] | GeoDataFrame,
    shares: Mapping[str, float] = SHARES,
    counts: ArrayLike | None = None,
    column: str | None = None,
    gap: float = 0.0,
    least: int = 1,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> PatchSplit:
    """Split patches so that no region, such as a county or a flight line, is in two.

    Args:
        boxes: Left, bottom, right and top of each patch, shape ``(N, 4)``, in one CRS;
            or a table of geometries, or a dataset whose files are the patches.
        regions: The region of each patch (names or numbers), or polygons in the CRS of
            the boxes: a patch belongs to the one in which its middle lies, and to no
            split if there is none.
        shares: Share of each split, training first; scaled to a sum of 1.
        counts: How often each class is in each patch, shape ``(N, K)``.
        column: Column of the polygons that names the region; each polygon is a region
            by default.
        gap: Least distance between patches of different splits, in units of the boxes.
        least: How often each class has to be in each split.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The splits.

    Raises:
        ValueError: If an argument is out of range, or shapes do not fit together.
        EmptyDataError: If there are fewer regions than splits.
    """
    places, table = check_boxes(boxes), _check_counts(boxes, counts)
    _check_gap(gap)
    names, target = check_shares(shares)
    middle = (places[:, :2] + places[:, 2:]) / 2
    region = _regions_of(middle, regions, column)
    inside = region >= 0
    if not inside.any():
        raise EmptyDataError(
            'No patch lies in any of the regions. Check that both are in the same CRS.'
        )
    goal = Goal(target, table[inside].sum(axis=0), least, gives_way=True)
    group = np.unique(region[inside], return_inverse=True)[1]
    spot = np.cumsum(inside) - 1
    pairs = close_pairs(places, gap)
    pairs = spot[pairs[inside[pairs].all(axis=1)]]
    pieces = _patch_pieces(group, table[inside], middle[inside], pairs)
    assigned, _, _ = search(
        lambda _: (pieces, None), goal, trials, random_source(generator)
    )
    codes = np.full(len(places), -1, dtype=np.int8)
    codes[inside] = _leave_out(assigned, group, pairs)
    given = None if counts is None else np.asarray(counts)
    return PatchSplit(names, codes, places, given, 'region', float(gap))


def check_boxes(boxes: ArrayLike | GeoDataFrame | GeoDataset) -> NDArray[np.float64]:
    """Check boxes.

    Args:
        boxes: The boxes, or what has some.

    Returns:
        Left, bottom, right and top, shape ``(N, 4)``.

    Raises:
        ValueError: If they are no boxes.
    """
    if isinstance(boxes, GeoDataset):
        boxes = boxes.index
    if isinstance(boxes, GeoDataFrame):
        boxes = boxes.geometry.bounds.to_numpy()
    array = np.asarray(boxes, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        raise ValueError(
            'Expected boxes of shape (N, 4): left, bottom, right and top of each patch, '
            f'got {array.shape}.'
        )
    if not np.isfinite(array).all() or not (array[:, 2:] > array[:, :2]).all():
        raise ValueError(
            'Expected boxes as left, bottom, right, top, with left below right and '
            'bottom below top; at least one is not.'
        )
    return array


def _check_gap(gap: float) -> None:
    """Refuse distances that are none: patches are nearer than NaN to no other patch."""
    if not 0 <= gap < math.inf:
        raise ValueError(
            f'Expected a finite gap of 0 or more, in units of the boxes, got {gap}. With '
            '0, patches of different splits may share an edge.'
        )


def _check_counts(boxes: Any, counts: ArrayLike | None) -> NDArray[np.float64]:
    """Return class counts, or a single class that each patch has."""
    number = len(boxes)
    if counts is None:
        return np.ones((number, 1))
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or len(table) != number or not (table >= 0).all():
        raise ValueError(
            f'Expected counts of shape ({number}, classes), one row for each patch, got '
            f'{table.shape}.'
        )
    # classes that occur nowhere cannot be lost
    table = table[:, table.sum(axis=0) > 0]
    if not table.shape[1]:
        raise ValueError('Expected counts with at least one class, all are 0.')
    return table


def _default_size(
    boxes: NDArray[np.float64], middle: NDArray[np.float64], splits: int
) -> float:
    """Choose the size of the blocks."""
    patch = float(np.median(boxes[:, 2:] - boxes[:, :2]))
    size, blocks = patch, 1
    while blocks < _LARGEST:
        cells = np.floor((middle - middle.min(axis=0)) / (2 * size))
        if len(np.unique(cells, axis=0)) < _BLOCKS * splits:
            break
        size, blocks = 2 * size, 2 * blocks
    return size


def close_pairs(boxes: NDArray[np.float64], gap: float) -> NDArray[np.int64]:
    """Find boxes that overlap or are too close.

    Args:
        boxes: Left, bottom, right and top, shape ``(N, 4)``.
        gap: Least distance along at least one axis.

    Returns:
        Pairs, the lower position first, shape ``(P, 2)``.
    """
    half = gap / 2
    slack = _SLACK * float(np.median(boxes[:, 2:] - boxes[:, :2]))
    low, high = boxes[:, :2] - half + slack, boxes[:, 2:] + half - slack
    shapes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    first, second = shapely.STRtree(shapes).query(shapes, predicate='intersects')
    once = first < second
    return np.column_stack([first[once], second[once]]).astype(np.int64)


def _number_rows(table: NDArray[Any]) -> NDArray[np.int64]:
    """Number the different rows of a table; columns are folded in one by one."""
    number = np.zeros(len(table), dtype=np.int64)
    for column in table.T:
        values, spot = np.unique(column, return_inverse=True)
        number = np.unique(number * len(values) + spot, return_inverse=True)[1]
    return number


def _patch_pieces(
    group: NDArray[np.int64],
    table: NDArray[np.float64],
    middle: NDArray[np.float64],
    pairs: NDArray[np.int64],
) -> Pieces:
    """Put the patches of a group together that are close to the same other groups."""
    across = pairs[group[pairs[:, 0]] != group[pairs[:, 1]]]
    seen = np.concatenate([across, across[:, ::-1]])
    seen = np.unique(np.column_stack([seen[:, 0], group[seen[:, 1]]]), axis=0)
    # the groups that each patch is close to, one after the other
    position = np.arange(len(seen)) - np.searchsorted(seen[:, 0], seen[:, 0])
    width = int(position.max()) + 1 if len(seen) else 1
    near = np.full((len(group), width), -1)
    near[seen[:, 0], position] = seen[:, 1]
    whole = np.column_stack([group, near])
    inverse = _number_rows(whole)
    keys = np.empty((int(inverse.max()) + 1, whole.shape[1]), dtype=np.int64)
    keys[inverse] = whole
    counts = np.zeros((len(keys), table.shape[1]))
    np.add.at(counts, inverse, table)
    number = int(group.max()) + 1
    sizes = np.bincount(group, minlength=number)
    centers = [np.bincount(group, middle[:, i], number) / sizes for i in (0, 1)]
    return Pieces(keys[:, 0], keys[:, 1:], counts, np.column_stack(centers))


def _leave_out(
    assigned: NDArray[np.int64], group: NDArray[np.int64], pairs: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Give patches the splits of their groups, except for those that give way."""
    codes = assigned[group].astype(np.int8)
    ahead = codes[pairs[:, 0]] < codes[pairs[:, 1]]
    behind = codes[pairs[:, 0]] > codes[pairs[:, 1]]
    out = np.concatenate([pairs[ahead, 0], pairs[behind, 1]])
    codes[out] = -1
    return codes


def _regions_of(
    middle: NDArray[np.float64],
    regions: Sequence[Any] | NDArray[Any] | GeoDataFrame,
    column: str | None,
) -> NDArray[np.int64]:
    """Number the region of each patch; -1 where it has none."""
    if not isinstance(regions, GeoDataFrame):
        names = np.asarray(regions)
        if names.shape != (len(middle),):
            raise ValueError(
                f'Expected a region for each of {len(middle)} patches, got an array of '
                f'shape {names.shape}.'
            )
        return np.unique(names, return_inverse=True)[1]
    numbers = region_numbers(regions, column)
    points = shapely.points(middle)
    patch, polygon = shapely.STRtree(regions.geometry.to_numpy()).query(
        points, predicate='intersects'
    )
    found = np.full(len(middle), -1)
    # backwards, so that the first of several polygons counts
    found[patch[::-1]] = numbers[polygon[::-1]]
    return found


def region_numbers(regions: GeoDataFrame, column: str | None) -> NDArray[np.int64]:
    """Number the region of each polygon.

    Args:
        regions: The polygons.
        column: Column that names the region, or None if each is one.

    Returns:
        Numbers from 0.

    Raises:
        ValueError: If there is no such column.
    """
    if column is None:
        return np.arange(len(regions))
    if column not in regions.columns:
        known = ', '.join(str(name) for name in regions.columns)
        raise ValueError(f'Expected column= to be one of {known}, got {column!r}.')
    return np.unique(regions[column].to_numpy(), return_inverse=True)[1]
