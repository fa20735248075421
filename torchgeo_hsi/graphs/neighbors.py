# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Neighbours of nodes: in the features, and on the map."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .._precision import full_precision
from ..errors import BandMismatchError, EmptyDataError

__all__ = (
    'Neighbors',
    'edge_keys',
    'edge_similarity',
    'grid_neighbors',
    'nearest_neighbors',
    'undirected_edges',
)

#: How far two spectra are from each other: one minus the cosine of their angle, or the
#: length of their difference.
type Metric = Literal['cosine', 'euclidean']

#: Candidates beyond those asked for, so that rounding does not lose one of them.
_SPARE = 4

#: Half of the eight neighbours of a pixel, in rows and columns; the rest are opposite.
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbours of nodes.

    Args:
        index: Numbers of the neighbours, the nearest first, int64 of shape ``(N, k)``.
        distance: How far they are, of shape ``(N, k)``.
    """

    index: Tensor
    distance: Tensor


def nearest_neighbors(
    x: Tensor, k: int, chunk: int = 1024, metric: Metric = 'cosine'
) -> Neighbors:
    """Find the nearest neighbours of each node among all others.

    All pairs are compared, *chunk* nodes with all others at a time, so nothing is
    missed and memory is that of ``chunk * N`` numbers. Products choose some candidates
    more than are asked for; their distances are then computed from differences, so that
    rounding does not decide between close ones. Of equal ones any may be taken.

    Args:
        x: Features of shape ``(N, F)``. With ``'cosine'``, a node without any length
            has distance 1 to all.
        k: Number of neighbours.
        chunk: Number of nodes that are compared with all others at a time.
        metric: ``'cosine'`` or ``'euclidean'``.

    Returns:
        Neighbours of each node, without itself.

    Raises:
        BandMismatchError: If *x* has no shape ``(N, F)``.
        EmptyDataError: If there are not *k* other nodes.
        ValueError: If *metric*, *k* or *chunk* is not understood.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0], [3.0]])
        >>> nearest_neighbors(x, 1, metric='euclidean').index.flatten().tolist()
        [1, 0, 1]
    """
    if metric not in ('cosine', 'euclidean'):
        raise ValueError(f"Expected metric 'cosine' or 'euclidean', got {metric!r}.")
    if k < 1 or chunk < 1:
        raise ValueError(f'Expected k and chunk of at least 1, got {k} and {chunk}.')
    if x.ndim != 2:
        raise BandMismatchError(
            f'Expected features of shape (nodes, features), got {tuple(x.shape)}.'
        )
    count = len(x)
    if count <= k:
        raise EmptyDataError(
            f'Expected more than {k} nodes for {k} neighbours of each, got {count}. '
            'Ask for fewer neighbours.'
        )
    points = x.detach()
    if metric == 'cosine':
        points = F.normalize(points, dim=1)
    else:
        # differences stay the same, and products are rounded less
        points = points - points.mean(0)
    square = points.square().sum(1)
    parts = [
        _nearest_of(points, square, start, min(start + chunk, count), k)
        for start in range(0, count, chunk)
    ]
    index = torch.cat([part[0] for part in parts])
    distance = torch.cat([part[1] for part in parts])
    if metric == 'cosine':
        # 1 - cos = |a - b|^2 / 2 for unit vectors; 1 where there is no direction
        distance = distance.square() / 2
        flat = square < 0.5
        none = flat[:, None] | flat[index]
        distance = torch.where(none, torch.ones_like(distance), distance)
    return Neighbors(index, distance)


def _nearest_of(
    points: Tensor, square: Tensor, start: int, stop: int, k: int
) -> tuple[Tensor, Tensor]:
    """Find the nearest ones of some nodes, by the length of differences."""
    mine = points[start:stop]
    with full_precision(points.device):
        distance = torch.addmm(square, mine, points.T, alpha=-2)
    rows = torch.arange(stop - start, device=points.device)
    distance[rows, rows + start] = torch.inf
    number = min(k + _SPARE, len(points) - 1)
    found = distance.topk(number, largest=False, sorted=False).indices
    exact = (points[found] - mine[:, None]).norm(dim=2)
    exact, order = exact.sort(dim=1, stable=True)
    return found.gather(1, order)[:, :k], exact[:, :k]


def edge_keys(edge_index: Tensor, count: int) -> Tensor:
    """Number edges, so that they can be sorted and compared.

    Args:
        edge_index: Edges of shape ``(2, E)``.
        count: Number of nodes.

    Returns:
        ``source * count + target`` of shape ``(E,)``.
    """
    return edge_index[0] * count + edge_index[1]


def undirected_edges(edge_index: Tensor, count: int) -> Tensor:
    """Give each edge its opposite one, and leave out those that are there twice.

    Args:
        edge_index: Edges of shape ``(2, E)``, in any order.
        count: Number of nodes.

    Returns:
        Both directions of each edge, sorted, each once, no node with itself.

    Example:
        >>> import torch
        >>> undirected_edges(torch.tensor([[2, 0, 1], [1, 0, 2]]), 3).tolist()
        [[1, 2], [2, 1]]
    """
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    both = torch.cat([edge_index, edge_index.flip(0)], 1)
    keys = torch.unique(edge_keys(both, count))
    return torch.stack([keys // count, keys % count])


def grid_neighbors(membership: Tensor) -> Tensor:
    """Join nodes whose pixels touch, also at a corner.

    Args:
        membership: Node of each pixel, int64 of shape ``(H, W)``, -1 for none: numbers
            of pixels, or of superpixels.

    Returns:
        Edges of shape ``(2, E)``, both directions, sorted, each once.

    Raises:
        BandMismatchError: If *membership* is no map.

    Example:
        >>> import torch
        >>> grid_neighbors(torch.tensor([[0, 0, 1], [0, 0, -1]])).tolist()
        [[0, 1], [1, 0]]
    """
    if membership.ndim != 2:
        raise BandMismatchError(
            f'Expected a map of shape (rows, columns), got {tuple(membership.shape)}.'
        )
    rows, columns = membership.shape
    count = int(membership.max()) + 1 if membership.numel() else 0
    pairs = []
    for down, right in _STEPS:
        if down >= rows or abs(right) >= columns:
            continue
        here = membership[: rows - down, max(-right, 0) : columns - max(right, 0)]
        there = membership[down:, max(right, 0) : columns + min(right, 0)]
        pair = torch.stack([here.flatten(), there.flatten()])
        pairs.append(pair[:, (pair >= 0).all(0)])
    if not pairs or not count:
        return membership.new_zeros(2, 0)
    return undirected_edges(torch.cat(pairs, 1), count)


def edge_similarity(x: Tensor, edge_index: Tensor, chunk: int = 65536) -> Tensor:
    """Compute the cosine between the spectra at both ends of each edge.

    Args:
        x: Features of shape ``(N, F)``.
        edge_index: Edges of shape ``(2, E)``.
        chunk: Number of edges at a time.

    Returns:
        Cosines of shape ``(E,)``, from -1 to 1; 0 where a node has no length.
    """
    unit = F.normalize(x, dim=1)
    found = x.new_empty(edge_index.shape[1])
    for start in range(0, len(found), chunk):
        source, target = edge_index[:, start : start + chunk]
        found[start : start + chunk] = (unit[source] * unit[target]).sum(1)
    return found
