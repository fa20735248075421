# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Measure leaks of any split, however it was made."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from geopandas import GeoDataFrame
from numpy.typing import ArrayLike, NDArray
from torchgeo.datasets import GeoDataset

from ..._typing import BoolArray
from ...errors import EmptyDataError
from ..labelled_scenes.scene import LabelledScene
from ._grid import any_within
from .patch_split import PatchSplit
from .patches import check_boxes, close_pairs
from .pixel_split import PixelSplit, check_labels
from .pixels import connected_regions
from .report import LeakReport


def leak_report(
    splits: PixelSplit | PatchSplit | Mapping[str, Any],
    window: int | None = None,
    labels: ArrayLike | LabelledScene | None = None,
    counts: Mapping[str, ArrayLike] | None = None,
    ignore_index: int | None = 0,
    least: int = 5,
) -> LeakReport:
    """Measure what a split lets through, and which classes it loses.

    * A test window *touches* training if it has a pixel in common with the window of a
      training pixel.
    * A test pixel lies *inside* of training if a window of training contains it.

    For patches, the same is asked of their boxes. Times do not matter: another date of
    the same place is the same place.

    Args:
        splits: What the functions of this package return; or by name, training first,
            masks of shape ``(H, W)`` that say which pixels are in a split; or by name
            boxes of shape ``(N, 4)`` (left, bottom, right, top), tables of geometries,
            datasets, windows, or samplers, whose windows are drawn once.
        window: Rows and columns of the window around a pixel; that of the split by
            default. Masks need it.
        labels: Label map of the masks, of shape ``(H, W)``, or a scene, of which -1
            is no label.
        counts: For boxes, how often each class is in each of them, shape ``(N, K)``, by
            the name of the split.
        ignore_index: Code of pixels without a label, or None if all have one.
        least: How many pixels of a class a split needs; fewer are called lost. Of
            patches, the counts of which are summed up, the same number.

    Returns:
        The report.

    Raises:
        ValueError: If an argument is missing, or shapes do not fit together.
        EmptyDataError: If training or another split is empty.

    Example:
        >>> import numpy as np
        >>> train, test = np.zeros((2, 8, 8), dtype=bool)
        >>> train[2, 2] = test[2, 4] = test[7, 7] = True
        >>> report = leak_report({'train': train, 'test': test}, window=5)
        >>> report.touching['test'], report.inside['test']
        (0.5, 0.5)
    """
    if isinstance(splits, PixelSplit):
        return _report_pixels(
            splits.masks(),
            splits.window if window is None else window,
            (splits.labels, splits.labelled),
            least,
        )
    if isinstance(splits, PatchSplit):
        return _report_patch_split(splits, least)
    if not isinstance(splits, Mapping) or len(splits) < 2:
        raise ValueError(
            'Expected at least two splits by name, training first, got '
            f'{type(splits).__name__}.'
        )
    if _are_masks(splits):
        if window is None:
            raise ValueError(
                'Masks say which pixels are in a split, and not how far around them a '
                'classifier looks. Pass window=.'
            )
        masks = {name: np.asarray(mask, dtype=bool) for name, mask in splits.items()}
        known = None if labels is None else check_labels(labels, ignore_index)
        return _report_pixels(masks, window, known, least)
    boxes = {name: _boxes_of(name, value) for name, value in splits.items()}
    return _report_boxes(boxes, counts, least)


def _are_masks(splits: Mapping[str, Any]) -> bool:
    return all(
        getattr(value, 'dtype', None) is not None for value in splits.values()
    ) and all(str(value.dtype).endswith('bool') for value in splits.values())


def _report_pixels(
    masks: Mapping[str, BoolArray],
    window: int,
    known: tuple[NDArray[np.int64], BoolArray] | None,
    least: int,
) -> LeakReport:
    """Report on splits of pixels."""
    names = tuple(masks)
    _check_masks(masks, window, known)
    train = masks[names[0]]
    # a window has window // 2 pixels before its middle
    before, after = window // 2, (window - 1) // 2
    inside = any_within(train, after, before)
    touching = any_within(train, window - 1, window - 1)
    picture = np.full(train.shape, -1, dtype=np.int8)
    for number, mask in reversed(list(enumerate(masks.values()))):
        picture[mask] = number
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    left, tables, totals, regions = 0, {}, {}, {}
    if known is not None:
        whole, labelled = known
        unused = labelled & (picture < 0)
        # told apart from pixels without a label, for the map
        picture[unused] = -2
        left = int(unused.sum())
        tables = {name: _table(whole[mask & labelled]) for name, mask in masks.items()}
        totals = _table(whole[labelled])
        regions = _count_regions(whole, labelled)
    return LeakReport(
        names,
        'pixels',
        window,
        sizes,
        left,
        {name: float(touching[masks[name]].mean()) for name in names[1:]},
        {name: float(inside[masks[name]].mean()) for name in names[1:]},
        tables,
        totals,
        least,
        regions,
        picture,
    )


def _check_masks(
    masks: Mapping[str, BoolArray],
    window: int,
    known: tuple[NDArray[np.int64], BoolArray] | None,
) -> None:
    """Refuse masks of which nothing can be said."""
    shapes = {mask.shape for mask in masks.values()}
    shapes |= set() if known is None else {known[0].shape}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(
            'Expected masks, and labels if given, of the same shape (H, W), got '
            f'{", ".join(map(str, sorted(shapes)))}.'
        )
    if window < 1:
        raise ValueError(f'Expected a window of at least 1 pixel, got {window}.')
    for name, mask in masks.items():
        if not mask.any():
            raise EmptyDataError(f'There is no pixel in {name!r}.')


def _table(codes: NDArray[np.int64]) -> dict[int, int]:
    found, numbers = np.unique(codes, return_counts=True)
    return dict(zip(found.tolist(), numbers.tolist(), strict=True))


def _count_regions(labels: NDArray[np.int64], labelled: BoolArray) -> dict[int, int]:
    """Count the connected areas of each class."""
    regions = connected_regions(labels, labelled)[labelled]
    _, first = np.unique(regions, return_index=True)
    return _table(labels[labelled][first])


def _boxes_of(name: str, value: Any) -> NDArray[np.float64]:
    """Return the boxes of a split."""
    if not isinstance(value, GeoDataset | GeoDataFrame | np.ndarray) and hasattr(
        value, '__iter__'
    ):
        items = list(value)
        # a batch sampler yields several windows at a time
        windows = [
            window for item in items for window in (item if _is_batch(item) else [item])
        ]
        is_sampled = all(isinstance(part, slice) for w in windows for part in w)
        value = (
            [(x.start, y.start, x.stop, y.stop) for x, y, *_ in windows]
            if is_sampled
            else items
        )
    if isinstance(value, list | tuple | np.ndarray) and not len(value):
        raise EmptyDataError(f'There is no patch in {name!r}.')
    return check_boxes(value)


def _is_batch(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], tuple)


def _report_patch_split(split: PatchSplit, least: int) -> LeakReport:
    """Report on what the functions for patches return."""
    boxes = {name: split.boxes[split.indices(name)] for name in split.names}
    for name, found in boxes.items():
        if not len(found):
            raise EmptyDataError(f'There is no patch in {name!r}.')
    counts = None
    if split.counts is not None:
        table = split.counts
        counts = {name: table[split.indices(name)] for name in split.names}
    left = split.left_out
    rest = None if split.counts is None else split.counts[left]
    return _report_boxes(boxes, counts, least, split.boxes[left], rest)


def _report_boxes(
    boxes: Mapping[str, NDArray[np.float64]],
    counts: Mapping[str, ArrayLike] | None,
    least: int,
    left: NDArray[np.float64] | None = None,
    left_counts: NDArray[Any] | None = None,
) -> LeakReport:
    """Report on splits of patches."""
    names = tuple(boxes)
    train = boxes[names[0]]
    found = {name: _overlaps(train, boxes[name]) for name in names[1:]}
    left = np.empty((0, 4)) if left is None else left
    tables: dict[str, dict[int, int]] = {}
    totals: dict[int, int] = {}
    if counts is not None:
        tables, totals = _patch_tables(boxes, counts, left_counts)
    codes = [np.full(len(part), k) for k, part in enumerate(boxes.values())]
    return LeakReport(
        names,
        'patches',
        None,
        {name: len(part) for name, part in boxes.items()},
        len(left),
        {name: float((area > 0).mean()) for name, area in found.items()},
        {name: float(_weighted(boxes[name], area)) for name, area in found.items()},
        tables,
        totals,
        least,
        {},
        np.concatenate([*codes, np.full(len(left), -2)]).astype(np.int8),
        np.concatenate([*boxes.values(), left]),
    )


def _patch_tables(
    boxes: Mapping[str, NDArray[np.float64]],
    counts: Mapping[str, ArrayLike],
    left_counts: NDArray[Any] | None,
) -> tuple[dict[str, dict[int, int]], dict[int, int]]:
    """Sum up the classes of patches, by split and in all."""
    sums = {}
    for name, part in boxes.items():
        table = np.asarray(counts.get(name, ()))
        if table.ndim != 2 or len(table) != len(part):
            raise ValueError(
                f'Expected counts of shape ({len(part)}, classes) for {name!r}, got '
                f'{table.shape}.'
            )
        sums[name] = table.sum(axis=0)
    every = list(sums.values())
    every += [] if left_counts is None else [left_counts.sum(axis=0)]
    if len({len(part) for part in every}) != 1:
        raise ValueError('Expected counts with as many classes in each split.')
    whole = np.sum(every, axis=0)
    # classes that occur nowhere are none
    present = np.flatnonzero(whole).tolist()
    tables = {n: {k: int(part[k]) for k in present} for n, part in sums.items()}
    return tables, {k: int(whole[k]) for k in present}


def _overlaps(
    train: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure which share of each box the boxes of training cover together."""
    both = np.concatenate([train, others])
    pairs = close_pairs(both, 0)
    across = pairs[(pairs[:, 0] < len(train)) & (pairs[:, 1] >= len(train))]
    covered = np.zeros(len(others))
    if not len(across):
        return covered
    across = across[np.argsort(across[:, 1], kind='stable')]
    numbers, starts = np.unique(across[:, 1], return_index=True)
    for number, mine in zip(numbers, np.split(across[:, 0], starts[1:]), strict=True):
        box = shapely.box(*both[number])
        shapes = shapely.box(*np.unique(train[mine], axis=0).T)
        seen = shapely.intersection(shapely.union_all(shapes), box)
        covered[number - len(train)] = shapely.area(seen) / box.area
    return covered


def _weighted(boxes: NDArray[np.float64], covered: NDArray[np.float64]) -> float:
    """Average a share over boxes, each by its area."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return float((areas * covered).sum() / areas.sum())
