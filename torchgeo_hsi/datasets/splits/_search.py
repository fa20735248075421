# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Search for the assignment of groups to splits that meets the shares best."""

import heapq
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import EmptyDataError

#: What a class costs that is too rare in a split: more than all else together.
_MISSING = 4.0

#: Assignments that are improved, group by group, of all that were drawn.
_CLIMBS = 5

#: Pixels or patches that are sorted into blocks in all; bounds the number of grids.
_SORTED = 10_000_000

#: Grids at least, however many pixels there are.
_GRIDS = 6

#: Groups that may be moved in all; bounds the time for many groups.
_MOVES = 20_000


class Pieces(NamedTuple):
    """Parts of groups that are kept or left out as a whole.

    Args:
        group: Group of each piece, shape ``(Z,)``.
        near: Other groups so close that they must not be in another split if the piece
            is to be kept, filled up with -1, shape ``(Z, M)``.
        counts: Pixels or patches of each class, shape ``(Z, K)``.
        centers: Where each group is, shape ``(G, 2)``.
    """

    group: NDArray[np.int64]
    near: NDArray[np.int64]
    counts: NDArray[np.float64]
    centers: NDArray[np.float64]


class Goal(NamedTuple):
    """What a split should be like.

    Args:
        shares: Share of each split, with a sum of 1, shape ``(S,)``.
        totals: Pixels or patches of each class, shape ``(K,)``.
        least: How many of a class each split needs.
        gives_way: Whether of two that are too close only the one in the earlier split
            is left out, and not both.
    """

    shares: NDArray[np.float64]
    totals: NDArray[np.float64]
    least: int
    gives_way: bool = False


def check_shares(
    shares: Mapping[str, float],
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Check the shares of splits.

    Args:
        shares: Share of each split by its name.

    Returns:
        Names, and shares with a sum of 1.

    Raises:
        ValueError: If there are fewer than two, or one is not positive.
    """
    values = np.array([float(share) for share in shares.values()])
    if len(values) < 2 or not np.isfinite(values).all() or not (values > 0).all():
        raise ValueError(
            'Expected positive shares of at least two splits, such as '
            f"{{'train': 0.7, 'test': 0.3}}, got {dict(shares)}."
        )
    return tuple(shares), values / values.sum()


def random_source(generator: torch.Generator | None) -> np.random.Generator:
    """Make a source of random numbers that follows from torch's.

    Args:
        generator: The source, or None for the same numbers each time: a split has to be
            the same in each process and at each stage.

    Returns:
        A source of NumPy.
    """
    source = torch.Generator().manual_seed(0) if generator is None else generator
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=source)))


def loss_of(kept: NDArray[np.float64], goal: Goal) -> float:
    """Tell how far a split is from what it should be.

    Args:
        kept: Pixels or patches by split and class, shape ``(S, K)``.
        goal: What it should be.

    Returns:
        0 if nothing is left out and all shares are met. First of all counts how many
        classes are too rare in a split, then the share that is left out and the mean
        distance from the shares.
    """
    classes = kept.sum(axis=0)
    distance = np.abs(kept / np.maximum(classes, 1e-12) - goal.shares[:, None]).sum(0)
    whole = kept.sum(axis=1)
    everything = max(float(whole.sum()), 1e-12)
    overall = float(np.abs(whole / everything - goal.shares).sum())
    lost = 1 - everything / max(float(goal.totals.sum()), 1e-12)
    rare = int((kept < goal.least).sum())
    return _MISSING * rare + (float(distance.mean()) + overall) / 2 + lost


def kept_mask(
    pieces: Pieces,
    assigned: NDArray[np.int64],
    which: NDArray[np.int64] | slice,
    gives_way: bool,
) -> NDArray[np.bool_]:
    """Tell which pieces are kept.

    Args:
        pieces: The pieces.
        assigned: Split of each group, followed by a -1 for "no group".
        which: Pieces to look at.
        gives_way: See :class:`Goal`.

    Returns:
        True for the pieces that are kept.
    """
    own = assigned[pieces.group[which]][:, None]
    other = assigned[pieces.near[which]]
    fine = (other < 0) | (other == own)
    if gives_way:
        fine |= other < own
    kept: NDArray[np.bool_] = fine.all(axis=1)
    return kept


def kept_counts(
    pieces: Pieces,
    assigned: NDArray[np.int64],
    goal: Goal,
    which: NDArray[np.int64] | slice = slice(None),
) -> NDArray[np.float64]:
    """Count what is kept.

    Args:
        pieces: The pieces.
        assigned: Split of each group, followed by a -1 for "no group".
        goal: What the split should be like.
        which: Pieces to count.

    Returns:
        Pixels or patches by split and class, shape ``(S, K)``.
    """
    kept = kept_mask(pieces, assigned, which, goal.gives_way)
    total = np.zeros((len(goal.shares), pieces.counts.shape[1]))
    splits = assigned[pieces.group[which]]
    np.add.at(total, splits[kept], pieces.counts[which][kept])
    return total


def _start(
    pieces: Pieces, goal: Goal, rng: np.random.Generator, scattered: bool
) -> NDArray[np.int64]:
    """Cut the groups into splits of about the right size, in some order."""
    groups = len(pieces.centers)
    if scattered:
        order = rng.permutation(groups)
    else:
        # stripes, which have the shortest borders
        angle = rng.uniform(0, 2 * np.pi)
        along = pieces.centers @ np.array([np.cos(angle), np.sin(angle)])
        order = np.argsort(along, kind='stable')
    relative = (pieces.counts / np.maximum(goal.totals, 1)).mean(axis=1)
    weights = np.bincount(pieces.group, relative, groups)[order]
    reached = np.cumsum(weights) - weights / 2
    turn = rng.permutation(len(goal.shares))
    edges = np.cumsum(goal.shares[turn])[:-1] * weights.sum()
    assigned = np.full(groups + 1, -1)
    assigned[order] = turn[np.searchsorted(edges, reached)]
    return assigned


def _pieces_of_groups(pieces: Pieces) -> list[NDArray[np.int64]]:
    """List for each group the pieces that change when it moves."""
    groups = len(pieces.centers)
    around = np.column_stack([pieces.group, pieces.near])
    owner = around.ravel()
    number = np.repeat(np.arange(len(around)), around.shape[1])
    order = np.argsort(owner, kind='stable')
    cuts = np.searchsorted(owner[order], np.arange(groups + 1))
    return [
        np.unique(number[order[cuts[g] : cuts[g + 1]]]).astype(np.int64)
        for g in range(groups)
    ]


def _climb(
    pieces: Pieces, assigned: NDArray[np.int64], goal: Goal, rng: np.random.Generator
) -> tuple[float, NDArray[np.int64]]:
    """Move single groups for as long as that makes the split better."""
    touched = _pieces_of_groups(pieces)
    total = kept_counts(pieces, assigned, goal)
    best = loss_of(total, goal)
    groups = len(touched)
    for _ in range(max(2, min(20, _MOVES // groups))):
        before = best
        for group in rng.permutation(groups).tolist():
            which, old = touched[group], int(assigned[group])
            rest = total - kept_counts(pieces, assigned, goal, which)
            choice = old
            for split in range(len(goal.shares)):
                if split == old:
                    continue
                assigned[group] = split
                found = rest + kept_counts(pieces, assigned, goal, which)
                loss = loss_of(found, goal)
                if loss < best - 1e-12:
                    best, choice, total = loss, split, found
            assigned[group] = choice
        if best >= before:
            break
    return best, assigned


def search[P](
    make: Callable[[np.random.Generator], tuple[Pieces, P]],
    goal: Goal,
    trials: int,
    rng: np.random.Generator,
    effort: int = 1,
) -> tuple[NDArray[np.int64], Pieces, P]:
    """Draw assignments, and improve the best ones.

    Args:
        make: Makes the pieces of a trial, such as those of a grid with a random offset,
            and says what they are.
        goal: What the split should be like.
        trials: Assignments to draw.
        rng: Source of randomness.
        effort: Pixels or so that *make* looks at; with many, several trials share what
            it made.

    Returns:
        Split of each group, the pieces, and what they are.

    Raises:
        EmptyDataError: If there are always fewer groups than splits.
        ValueError: If *trials* is not positive.
    """
    if trials < 1:
        raise ValueError(f'Expected at least one trial, got {trials}.')
    heap: list[tuple[float, int, Any]] = []
    most = 0
    grids = min(trials, max(_GRIDS, _SORTED // effort))
    made: list[tuple[Pieces, P]] = []
    for trial in range(trials):
        if trial < grids:
            made.append(make(rng))
        pieces, what = made[trial % grids]
        most = max(most, len(pieces.centers))
        if len(pieces.centers) < len(goal.shares):
            continue
        assigned = _start(
            pieces, goal, rng, scattered=(trial + trial // grids) % 2 == 0
        )
        loss = loss_of(kept_counts(pieces, assigned, goal), goal)
        entry = (-loss, -trial, (assigned, pieces, what))
        climbs = max(1, min(_CLIMBS, _MOVES // (4 * len(pieces.centers))))
        heapq.heappush(heap, entry)
        while len(heap) > climbs:
            heapq.heappop(heap)
    if not heap:
        raise EmptyDataError(
            f'Expected at least {len(goal.shares)} blocks or regions with data, one for '
            f'each split, got {most}. Use smaller blocks, or fewer splits.'
        )
    results = []
    for number, (_, _, (assigned, pieces, what)) in enumerate(sorted(heap)[::-1]):
        loss, assigned = _climb(pieces, assigned, goal, rng)
        results.append((loss, number, assigned[:-1], pieces, what))
    _, _, assigned, pieces, what = min(results, key=lambda result: result[:2])
    return assigned, pieces, what
