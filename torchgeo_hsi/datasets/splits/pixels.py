# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of the pixels of one scene: by blocks, by regions, and at random."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ...errors import EmptyDataError
from ..labelled_scenes.scene import LabelledScene
from ._grid import block_map, block_sizes, grid_pieces, own_windows
from ._search import Goal, Pieces, check_shares, loss_of, random_source, search
from .pixel_split import PixelSplit, check_labels

#: Shares of the splits, if nothing else is asked for.
SHARES: Mapping[str, float] = MappingProxyType({'train': 0.6, 'val': 0.2, 'test': 0.2})

#: Assignments of regions whose guard is looked at.
_REGION_STARTS = 8


def block_pixel_split(
    labels: ArrayLike | LabelledScene,
    window: int,
    shares: Mapping[str, float] = SHARES,
    block_size: int | None = None,
    guard: int | None = None,
    ignore_index: int | None = 0,
    least: int = 5,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> PixelSplit:
    """Split the labelled pixels of a scene by square blocks, with a guard between them.

    A classifier of pixels looks at a window around each. If pixels are split at random,
    nearly all windows of the test hold pixels that were trained on
    (https://doi.org/10.1109/LGRS.2019.2895697). Here whole blocks go to a split, and a
    pixel is kept only if no other split comes within *guard* pixels of it, so with the
    default guard no window of one split touches one of another.

    Among *trials* grids and assignments, the best ones are improved block by block.
    What counts is first that each class has *least* pixels in each split, then that the
    shares are met, for all pixels and for each class, and that the guard costs little.
    A class that grows in one place only may still be lost:
    :func:`leak_report` tells.

    Args:
        labels: Label map of shape ``(H, W)``, or a scene, of which -1 is no label.
        window: Rows and columns of the windows of the classifier.
        shares: Share of each split, training first; scaled to a sum of 1.
        block_size: Rows and columns of a block; by default a few multiples of *window*
            are tried.
        guard: Pixels to leave out on either side of a border; ``window // 2`` by
            default, which is (window - 1) / 2 of an odd window. With less, windows
            touch.
        ignore_index: Code of pixels without a label, or None if all have one.
        least: How many pixels of each class each split needs.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The splits.

    Raises:
        ValueError: If an argument is out of range, or *labels* are no label map.
        EmptyDataError: If there are fewer blocks than splits, or the guard leaves
            nothing of one.

    Example:
        >>> labels = np.kron(np.arange(36).reshape(6, 6) % 3, np.ones((8, 8), int))
        >>> split = block_pixel_split(labels, 5, {'train': 0.5, 'test': 0.5}, 8)
        >>> split.names, split.guard
        (('train', 'test'), 2)
    """
    whole, labelled = check_labels(labels, ignore_index)
    names, target = check_shares(shares)
    edge = check_guard(window, guard)
    if block_size is None:
        sizes = block_sizes(labelled.shape, window, edge, len(names))
    elif block_size > 2 * edge:
        sizes = [block_size]
    else:
        raise ValueError(
            f'Blocks of {block_size} pixels with a guard of {edge} on either side leave '
            f'nothing over. Expected a block_size of more than {2 * edge}.'
        )
    codes, classes = np.unique(whole[labelled], return_inverse=True)
    rows, columns = np.nonzero(labelled)
    goal = Goal(target, np.bincount(classes).astype(np.float64), least)

    def make(rng: np.random.Generator) -> tuple[Pieces, object]:
        size = int(rng.choice(sizes))
        grid = size, int(rng.integers(size)), int(rng.integers(size))
        return grid_pieces(rows, columns, classes, len(codes), edge, grid)

    rng = random_source(generator)
    assigned, _, grid = search(make, goal, trials, rng, len(rows))
    side = block_map(labelled.shape, grid, assigned)  # type: ignore[arg-type]
    keep = own_windows(side, edge, len(names)) & labelled
    found = np.where(keep, side, -1).astype(np.int8)
    check_filled(found, names)
    return PixelSplit(
        names,
        found,
        whole,
        labelled,
        window,
        'block',
        edge,
        grid.size,  # type: ignore[attr-defined]
        (grid.row, grid.column),  # type: ignore[attr-defined]
    )


def check_guard(window: int, guard: int | None) -> int:
    """Return the guard for a window.

    Args:
        window: Rows and columns of a window.
        guard: Pixels that are left out at a border; by default, so many that windows
            of two splits do not touch.

    Returns:
        The guard.

    Raises:
        ValueError: If a number is out of its range.
    """
    if not 1 <= window < math.inf:
        raise ValueError(f'Expected a window of at least 1 pixel, got {window}.')
    if guard is None:
        return window // 2
    if not 0 <= guard < math.inf:
        raise ValueError(f'Expected a guard of 0 or more pixels, got {guard}.')
    return guard


def check_filled(codes: NDArray[np.int8], names: Sequence[str]) -> None:
    """Refuse splits of which the guard leaves nothing.

    Args:
        codes: Number of the split of each pixel.
        names: Names of the splits.

    Raises:
        EmptyDataError: If one has no pixel.
    """
    empty = [name for k, name in enumerate(names) if not (codes == k).any()]
    if empty:
        raise EmptyDataError(
            f'The guard leaves no pixel for {", ".join(empty)}: areas of the splits are '
            'too small for it. Use a smaller window or guard, larger blocks instead of '
            'regions, or fewer splits.'
        )


def region_pixel_split(
    labels: ArrayLike | LabelledScene,
    window: int,
    shares: Mapping[str, float] = SHARES,
    regions: ArrayLike | None = None,
    guard: int | None = None,
    ignore_index: int | None = 0,
    least: int = 5,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> PixelSplit:
    """Split the labelled pixels of a scene by regions, such as fields.

    No region is in two splits, and with the default *guard* no window of one split
    touches one of another. Where regions lie close together, the guard costs more than
    with blocks.

    Args:
        labels: Label map of shape ``(H, W)``, or a scene, of which -1 is no label.
        window: Rows and columns of the windows of the classifier.
        shares: Share of each split, training first; scaled to a sum of 1.
        regions: Number of the region of each pixel, of the shape of *labels*; by default
            each connected area of a class, corners included, is a region.
        guard: Pixels to leave out on either side of the middle between two splits;
            ``window // 2`` by default.
        ignore_index: Code of pixels without a label, or None if all have one.
        least: How many pixels of each class each split needs.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The splits.

    Raises:
        ValueError: If an argument is out of range, or *labels* are no label map.
        EmptyDataError: If there are fewer regions than splits, or the guard leaves
            nothing of one.
    """
    whole, labelled = check_labels(labels, ignore_index)
    names, target = check_shares(shares)
    edge = check_guard(window, guard)
    codes, classes = np.unique(whole[labelled], return_inverse=True)
    goal = Goal(target, np.bincount(classes).astype(np.float64), least)
    number = number_regions(whole, labelled, regions)
    pieces = region_pieces(number, labelled, classes, len(codes))
    rng = random_source(generator)
    # a pixel between regions belongs to the nearest one
    distance = ndimage.distance_transform_cdt(
        ~labelled, 'chessboard', return_distances=False, return_indices=True
    )
    around = number[tuple(distance)]
    best, chosen = np.inf, None
    starts = min(trials, _REGION_STARTS)
    for _ in range(starts):
        assigned, _, _ = search(
            lambda _: (pieces, None), goal, max(1, trials // starts), rng
        )
        side = assigned.astype(np.int8)[around]
        keep = own_windows(side, edge, len(names)) & labelled
        found = np.where(keep, side, -1).astype(np.int8)
        loss = loss_of(_counts(found[labelled], classes, goal), goal)
        if loss < best:
            best, chosen = loss, found
    assert chosen is not None
    check_filled(chosen, names)
    return PixelSplit(names, chosen, whole, labelled, window, 'region', edge)


def _counts(
    splits: NDArray[np.int8], classes: NDArray[np.int64], goal: Goal
) -> NDArray[np.float64]:
    """Count labelled pixels by split and class."""
    shape = len(goal.shares), len(goal.totals)
    inside = splits >= 0
    key = splits[inside].astype(np.int64) * shape[1] + classes[inside]
    counts = np.bincount(key, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def number_regions(
    labels: NDArray[np.int64], labelled: NDArray[np.bool_], regions: ArrayLike | None
) -> NDArray[np.int64]:
    """Number the regions from 0; -1 where nothing is labelled.

    Args:
        labels: Label map of shape ``(H, W)``.
        labelled: Which pixels have a label.
        regions: Regions of shape ``(H, W)``; connected areas of a class by default.

    Returns:
        Numbers of shape ``(H, W)``.

    Raises:
        ValueError: If *regions* have another shape.
    """
    number = np.full(labels.shape, -1)
    if regions is None:
        number[labelled] = connected_regions(labels, labelled)[labelled]
        return number
    given = np.asarray(regions)
    if given.shape != labels.shape:
        raise ValueError(
            f'Expected regions of the shape of the labels, {labels.shape}, got '
            f'{given.shape}.'
        )
    number[labelled] = np.unique(given[labelled], return_inverse=True)[1]
    return number


def connected_regions(
    labels: NDArray[np.int64], labelled: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Number the connected areas of each class; corners connect.

    Args:
        labels: Label map of shape ``(H, W)``.
        labelled: Which pixels have a label.

    Returns:
        Numbers from 0, and -1 where there is no label.
    """
    number = np.full(labels.shape, -1)
    total = 0
    for code in np.unique(labels[labelled]).tolist():
        here = labelled & (labels == code)
        found, count = ndimage.label(here, structure=np.ones((3, 3)))
        number[here] = found[here] - 1 + total
        total += count
    return number


def region_pieces(
    number: NDArray[np.int64],
    labelled: NDArray[np.bool_],
    classes: NDArray[np.int64],
    num_classes: int,
) -> Pieces:
    """Make each region a piece of its own.

    Args:
        number: Regions of shape ``(H, W)``, from 0.
        labelled: Which pixels have a label.
        classes: Classes of these pixels, from 0.
        num_classes: Number of classes.

    Returns:
        The pieces.
    """
    rows, columns = np.nonzero(labelled)
    group = number[labelled]
    count = int(group.max()) + 1
    counts = np.bincount(group * num_classes + classes, minlength=count * num_classes)
    sizes = np.bincount(group, minlength=count)
    centers = [np.bincount(group, place, count) / sizes for place in (rows, columns)]
    return Pieces(
        np.arange(count),
        np.full((count, 1), -1),
        counts.reshape(count, num_classes).astype(np.float64),
        np.column_stack(centers),
    )


def random_pixel_split(
    labels: ArrayLike | LabelledScene,
    window: int,
    shares: Mapping[str, float] = SHARES,
    ignore_index: int | None = 0,
    generator: torch.Generator | None = None,
) -> PixelSplit:
    """Split labelled pixels at random, class by class, for comparison.

    Most papers do this, and it leaks: the windows of the test overlap those of
    training. :func:`leak_report` says how much. Use :func:`block_pixel_split` for a
    score that means something on another place.

    Args:
        labels: Label map of shape ``(H, W)``, or a scene, of which -1 is no label.
        window: Rows and columns of the windows of the classifier, for the report.
        shares: Share of each split, training first; scaled to a sum of 1.
        ignore_index: Code of pixels without a label, or None if all have one.
        generator: Source of randomness. By default the same split comes out each time.

    Returns:
        The splits; each class has its shares, up to rounding.

    Raises:
        ValueError: If an argument is out of range, or *labels* are no label map.
        EmptyDataError: If there are fewer labelled pixels than splits.
    """
    whole, labelled = check_labels(labels, ignore_index)
    names, target = check_shares(shares)
    check_guard(window, None)
    if labelled.sum() < len(names):
        raise EmptyDataError(
            f'Expected a labelled pixel for each of {len(names)} splits, got '
            f'{int(labelled.sum())}.'
        )
    rng = random_source(generator)
    codes = np.full(whole.size, -1, dtype=np.int8)
    flat = np.where(labelled, whole, np.iinfo(np.int64).min).ravel()
    for code in np.unique(whole[labelled]).tolist():
        spots = rng.permutation(np.flatnonzero(flat == code))
        # the start of the first split is drawn, so that rounding favours none
        ends = np.floor(np.cumsum(target) * len(spots) + rng.random()).astype(int)
        ends[-1] = len(spots)
        for split, (low, high) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            codes[spots[low:high]] = split
    return PixelSplit(
        names, codes.reshape(whole.shape), whole, labelled, window, 'random'
    )
