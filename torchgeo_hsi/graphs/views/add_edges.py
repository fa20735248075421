# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Add random edges."""

import torch
from torch import Tensor

from ..neighbors import edge_keys
from ..scene_graph import SceneGraph
from ._common import Source, both_directions, check_share, upper_edges
from .graph_view import GraphView

#: With fewer pairs of nodes than this for each edge, all of them are listed.
_SPARSE = 4


class AddEdges(GraphView):
    """Add random edges, each between two nodes that had none.

    The augmentation that is enough for tasks on whole graphs, says
    https://doi.org/10.48550/arXiv.2405.19600. All pairs of nodes are equally likely, and
    of several graphs (tiles) those within the same one.

    Args:
        p: Number of new edges for each that is there; where there is not room for so
            many, all pairs get one.

    Raises:
        UnitError: If *p* is not from 0 to 10.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(5, 8, 8), components=3)
        >>> AddEdges(1.0)(graph).num_edges == 2 * graph.num_edges
        True
    """

    def __init__(self, p: float = 0.3) -> None:
        """Initialize a new AddEdges instance."""
        super().__init__()
        self.p = check_share(p, high=10.0)

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`."""
        pairs = NodePairs(graph)
        upper = upper_edges(graph.edge_index)
        present = upper.shape[1]
        wanted = min(round(self.p * present), pairs.total - present)
        if not wanted:
            return graph
        keys = edge_keys(upper, graph.num_nodes)
        if pairs.total < _SPARSE * (present + wanted):
            new = _from_all(pairs, keys, wanted, generator)
        else:
            new = _by_trial(pairs, keys, wanted, generator)
        edges = torch.cat([upper, new], 1)
        return graph.with_edges(both_directions(edges, graph.num_nodes))

    def extra_repr(self) -> str:
        """Show what the view was made with."""
        return f'p={self.p:g}'


class NodePairs:
    """All pairs of different nodes of the same graph, by number.

    Args:
        graph: Graph, or graphs that are told apart by ``graph.graph``.
    """

    def __init__(self, graph: SceneGraph) -> None:
        """Initialize a new NodePairs instance."""
        tile = graph.graph
        if tile is None:
            tile = torch.zeros_like(graph.label)
        self.order = tile.argsort(stable=True)
        size = torch.bincount(tile)
        self.first = size.cumsum(0) - size
        self.end = (size * (size - 1) // 2).cumsum(0)
        self.total = int(self.end[-1])
        self.count = graph.num_nodes

    def __getitem__(self, number: Tensor) -> Tensor:
        """Return pairs, lower node first.

        Args:
            number: Numbers of pairs, int64 of shape ``(P,)``.

        Returns:
            Nodes of shape ``(2, P)``.
        """
        tile = torch.searchsorted(self.end, number, right=True)
        before = torch.where(tile > 0, self.end[(tile - 1).clamp_min(0)], 0)
        rank = number - before
        high = ((1 + (1 + 8 * rank.double()).sqrt()) / 2).floor().long()
        # the root is rounded: it may be one too large or too small
        high = torch.where(high * (high - 1) // 2 > rank, high - 1, high)
        high = torch.where(high * (high + 1) // 2 <= rank, high + 1, high)
        low = rank - high * (high - 1) // 2
        return self.order[torch.stack([low, high]) + self.first[tile]]


def _from_all(pairs: NodePairs, keys: Tensor, wanted: int, generator: Source) -> Tensor:
    """List all pairs without an edge, and draw some of them."""
    every = pairs[torch.arange(pairs.total, device=keys.device)]
    free = every[:, ~torch.isin(edge_keys(every, pairs.count), keys)]
    drawn = torch.randperm(free.shape[1], generator=generator)[:wanted]
    return free[:, drawn.to(keys.device)]


def _by_trial(pairs: NodePairs, keys: Tensor, wanted: int, generator: Source) -> Tensor:
    """Draw pairs until enough of them are new: at least three of four are."""
    found = keys.new_zeros(0)
    while len(found) < wanted:
        size = 2 * (wanted - len(found)) + 8
        number = torch.randint(pairs.total, (size,), generator=generator)
        number = torch.cat([found, number.to(keys.device)])
        # the first of equal ones stays where it is: nothing is more likely than others
        number = number[_first_ones(number)]
        fresh = ~torch.isin(edge_keys(pairs[number], pairs.count), keys)
        found = number[fresh]
    return pairs[found[:wanted]]


def _first_ones(values: Tensor) -> Tensor:
    """Return where each value stands for the first time, in order."""
    ordered, place = values.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return place[new].sort().values
