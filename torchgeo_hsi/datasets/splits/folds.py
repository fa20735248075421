# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Folds of a cross-validation that does not leak."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..._typing import BoolArray
from ..labelled_scenes.scene import LabelledScene
from ._grid import block_map, block_sizes, grid_pieces, own_windows
from ._search import Goal, random_source, search
from .pixel_split import PixelSplit, check_labels
from .pixels import (
    check_filled,
    check_guard,
    number_regions,
    random_pixel_split,
    region_pieces,
)


def pixel_folds(
    labels: ArrayLike | LabelledScene,
    folds: int,
    window: int,
    by: Literal['block', 'region', 'random'] = 'block',
    block_size: int | None = None,
    guard: int | None = None,
    ignore_index: int | None = 0,
    least: int = 5,
    trials: int = 200,
    generator: torch.Generator | None = None,
) -> list[PixelSplit]:
    """Split the labelled pixels of a scene several times, so that each is tested once.

    The scene is cut into as many parts as there are folds. Each fold tests one part and
    trains on the others, with a guard along its border only: what lies between two
    parts of training is trained on. Only pixels in the guard of the part that is tested
    are never tested.

    Args:
        labels: Label map of shape ``(H, W)``, or a scene, of which -1 is no label.
        folds: Number of folds, at least 2.
        window: Rows and columns of the windows of the classifier.
        by: What goes to a part as a whole: square blocks, regions (connected areas of a
            class), or, for comparison, single pixels at random, which leaks.
        block_size: Rows and columns of a block; by default a few multiples of *window*
            are tried.
        guard: Pixels to leave out on either side of a border, ``window // 2`` by
            default; none with ``by='random'``.
        ignore_index: Code of pixels without a label, or None if all have one.
        least: How many pixels of each class each part should have.
        trials: Assignments to draw.
        generator: Source of randomness. By default the same folds come out each time.

    Returns:
        A split into ``'train'`` and ``'test'`` for each fold.

    Raises:
        ValueError: If an argument is out of range, or *labels* are no label map.
        EmptyDataError: If there are fewer blocks, regions or pixels than folds, or the
            guard leaves nothing.

    Example:
        >>> labels = np.kron(np.arange(64).reshape(8, 8) % 3, np.ones((8, 8), int))
        >>> splits = pixel_folds(labels, 4, window=5, block_size=8)
        >>> tested = sum(split.mask('test').astype(int) for split in splits)
        >>> len(splits), int(tested.max())
        (4, 1)
    """
    whole, labelled = check_labels(labels, ignore_index)
    if folds < 2:
        raise ValueError(f'Expected at least 2 folds, got {folds}.')
    if by not in ('block', 'region', 'random'):
        raise ValueError(f"Expected by='block', 'region' or 'random', got {by!r}.")
    if block_size is not None and by != 'block':
        raise ValueError(f"block_size belongs to by='block', got {by!r}.")
    edge = check_guard(window, guard) if by != 'random' else 0
    size, offset = None, None
    if by == 'random':
        shares = {str(fold): 1.0 for fold in range(folds)}
        parts = random_pixel_split(
            labels, window, shares, ignore_index, generator
        ).codes
    elif by == 'region':
        parts = _region_parts(whole, labelled, folds, least, trials, generator)
    else:
        sizes = _sizes(labelled.shape, window, edge, folds, block_size)
        parts, size, offset = _block_parts(
            (whole, labelled), (sizes, edge), folds, least, trials, generator
        )
    found, names = [], ('train', 'test')
    for fold in range(folds):
        # training is 0 and the test 1; -1 where there is nothing
        side = np.where(parts < 0, -1, parts == fold).astype(np.int8)
        keep = labelled & (side >= 0 if not edge else own_windows(side, edge, 2))
        codes = np.where(keep, side, -1).astype(np.int8)
        check_filled(codes, names)
        made = (window, by, edge, size, offset)
        found.append(PixelSplit(names, codes, whole, labelled, *made))
    return found


def _sizes(
    shape: tuple[int, int], window: int, edge: int, folds: int, block_size: int | None
) -> list[int]:
    """Return the block sizes to try."""
    if block_size is None:
        return block_sizes(shape, window, edge, folds)
    if block_size <= 2 * edge:
        raise ValueError(
            f'Blocks of {block_size} pixels with a guard of {edge} on either side leave '
            f'nothing over. Expected a block_size of more than {2 * edge}.'
        )
    return [block_size]


def _goal(
    labels: NDArray[np.int64], labelled: BoolArray, folds: int, least: int
) -> tuple[Goal, NDArray[np.int64]]:
    """Ask for parts that are alike; also return the number of each pixel's class."""
    _, classes = np.unique(labels[labelled], return_inverse=True)
    totals = np.bincount(classes).astype(np.float64)
    return Goal(np.full(folds, 1 / folds), totals, least), classes


def _block_parts(
    maps: tuple[NDArray[np.int64], BoolArray],
    blocks: tuple[list[int], int],
    folds: int,
    least: int,
    trials: int,
    generator: torch.Generator | None,
) -> tuple[NDArray[np.int8], int, tuple[int, int]]:
    """Assign blocks to parts; return parts, size and offset of the blocks."""
    (labels, labelled), (sizes, edge) = maps, blocks
    goal, classes = _goal(labels, labelled, folds, least)
    rows, columns = np.nonzero(labelled)

    def make(rng: np.random.Generator) -> tuple[object, object]:
        size = int(rng.choice(sizes))
        grid = size, int(rng.integers(size)), int(rng.integers(size))
        return grid_pieces(rows, columns, classes, len(goal.totals), edge, grid)

    assigned, _, grid = search(
        make,  # type: ignore[arg-type]
        goal,
        trials,
        random_source(generator),
        len(rows),
    )
    side = block_map(labelled.shape, grid, assigned)  # type: ignore[arg-type]
    return side, grid.size, (grid.row, grid.column)  # type: ignore[attr-defined]


def _region_parts(
    labels: NDArray[np.int64],
    labelled: BoolArray,
    folds: int,
    least: int,
    trials: int,
    generator: torch.Generator | None,
) -> NDArray[np.int8]:
    """Assign regions to parts; a pixel between regions belongs to the nearest one."""
    goal, classes = _goal(labels, labelled, folds, least)
    number = number_regions(labels, labelled, None)
    pieces = region_pieces(number, labelled, classes, len(goal.totals))
    assigned, _, _ = search(
        lambda _: (pieces, None), goal, trials, random_source(generator)
    )
    place = ndimage.distance_transform_cdt(
        ~labelled, 'chessboard', return_distances=False, return_indices=True
    )
    parts: NDArray[np.int8] = assigned.astype(np.int8)[number[tuple(place)]]
    return parts
