# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Who reads which region in an epoch, and in which order crops are drawn."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import EmptyDataError
from ._region_grid import Region, Scene, cut_scene


class Share(NamedTuple):
    """What one worker does in an epoch.

    Args:
        regions: Regions in the order in which they are opened.
        order: For each crop, the region it is drawn from, as a number in *regions*.
    """

    regions: list[Region]
    order: NDArray[np.int64]


class Reader(NamedTuple):
    """Which of the processes that read this is.

    Args:
        rank: Number of the training process.
        ranks: Training processes.
        worker: Number of the worker of the data loader.
        workers: Workers of each training process.
    """

    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1


def cut_scenes(
    scenes: Sequence[Scene],
    size: int,
    target: int,
    parts: int,
    rng: np.random.Generator,
) -> list[Region]:
    """Cut all scenes into regions; smaller ones if there would be too few.

    Args:
        scenes: The scenes.
        size: Rows and columns of a crop.
        target: Rows and columns that a region should have.
        parts: Regions that are needed.
        rng: Source of randomness.

    Returns:
        The regions.
    """
    while True:
        regions = [r for scene in scenes for r in cut_scene(scene, size, target, rng)]
        if len(regions) >= parts or target <= size:
            return regions
        target = max(size, target // 2)


def share_crops(
    regions: Sequence[Region],
    crops: int,
    batch_size: int,
    opened: int,
    reader: Reader,
    rng: np.random.Generator,
) -> Share:
    """Deal regions to processes and workers, and crops to regions.

    No region is read twice. Each process draws *crops* of them, whatever the areas of
    its regions are.

    Args:
        regions: All regions.
        crops: Crops of each process, a multiple of *batch_size*.
        batch_size: The crops of each worker are a multiple of this.
        opened: Regions that crops are drawn from at a time.
        reader: Who asks.
        rng: Source of randomness, in the same state for all readers.

    Returns:
        The share of the reader.

    Raises:
        EmptyDataError: If there are fewer regions than processes.
    """
    busy = min(reader.workers, len(regions) // reader.ranks)
    if busy == 0:
        raise EmptyDataError(
            f'There are only {len(regions)} regions for {reader.ranks} processes. Use '
            'fewer processes, a smaller region_size, or RandomWindowSampler.'
        )
    mine = _deal(regions, reader.ranks, rng)[reader.rank]
    if reader.worker >= busy:
        return Share([], np.empty(0, np.int64))
    mine = _deal(mine, busy, rng)[reader.worker]
    batches, more = divmod(crops // batch_size, busy)
    number = (batches + (reader.worker < more)) * batch_size
    own = np.random.default_rng(
        [*rng.integers(2**32, size=4), reader.rank, reader.worker]
    )
    mine = [mine[i] for i in own.permutation(len(mine))]
    counts = _spread(np.array([region.inside() for region in mine]), number, own)
    used = [region for region, count in zip(mine, counts, strict=True) if count]
    slots = np.repeat(np.arange(len(used)), counts[counts > 0])
    # the crops of region i lie between i and i + opened, so that at each point just as
    # many regions are open, and one is closed when the next is opened
    keys = slots + opened * own.random(len(slots))
    return Share(used, slots[np.argsort(keys)])


def _deal(
    regions: Sequence[Region], parts: int, rng: np.random.Generator
) -> list[list[Region]]:
    """Deal regions so that all parts have about the same area."""
    shuffled = [regions[i] for i in rng.permutation(len(regions))]
    heap = [(0, 0, part) for part in range(parts)]
    dealt: list[list[Region]] = [[] for _ in range(parts)]
    for region in sorted(shuffled, key=lambda region: -region.area):
        area, number, part = heapq.heappop(heap)
        dealt[part].append(region)
        heapq.heappush(heap, (area + region.area, number + 1, part))
    return dealt


def _spread(
    areas: NDArray[np.int64], number: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Spread a number over areas, with the rest where chance says."""
    exact = number * areas / areas.sum()
    counts = np.floor(exact).astype(np.int64)
    rest = number - int(counts.sum())
    if rest:
        share = exact - counts + 1e-12
        chosen = rng.choice(len(areas), rest, replace=False, p=share / share.sum())
        counts[chosen] += 1
    return counts
