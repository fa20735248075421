# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What views need that work with whole matrices of a graph."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import JobError
from ..scene_graph import SceneGraph
from ._common import upper_edges

#: Number of graphs of which a view remembers what it computed.
_REMEMBERED = 4


@dataclass(frozen=True)
class Part:
    """One graph (tile) of several, with numbers of its own.

    Args:
        nodes: Which nodes of all they are, ascending, int64 of shape ``(n,)``.
        upper: One direction of each edge, in numbers of the part, of shape ``(2, e)``.
    """

    nodes: Tensor
    upper: Tensor

    def adjacency(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the symmetric matrix of shape ``(n, n)``: 1 for each edge."""
        count = len(self.nodes)
        found = torch.zeros(count, count, dtype=dtype, device=self.nodes.device)
        found[self.upper[0], self.upper[1]] = 1
        return found + found.T


def parts_of(graph: SceneGraph) -> Iterator[Part]:
    """Yield each graph (tile) on its own.

    Args:
        graph: Graph, or graphs that are told apart by ``graph.graph``.
    """
    upper = upper_edges(graph.edge_index)
    device = graph.x.device
    if graph.graph is None:
        yield Part(torch.arange(graph.num_nodes, device=device), upper)
        return
    number = torch.empty(graph.num_nodes, dtype=torch.int64, device=device)
    tile = graph.graph[upper[0]]
    for index in torch.unique(graph.graph).tolist():
        nodes = (graph.graph == index).nonzero().flatten()
        number[nodes] = torch.arange(len(nodes), device=device)
        yield Part(nodes, number[upper[:, tile == index]])


def check_size(graph: SceneGraph, name: str, limit: int, copies: int) -> None:
    """Refuse a graph whose matrices would fill the memory, and take hours.

    Args:
        graph: Graph, or graphs that are told apart by ``graph.graph``.
        name: Name of who asks, for the message.
        limit: Largest number of nodes of one graph.
        copies: Number of float32 matrices of all pairs that are needed.

    Raises:
        JobError: If a graph has more nodes.
    """
    most = graph.num_nodes
    if graph.graph is not None:
        most = int(torch.bincount(graph.graph).max())
    if most > limit:
        memory = 4 * copies * most**2 / 2**30
        raise JobError(
            f'{name} works with {copies} matrices of all pairs of nodes: for '
            f'{most:,} nodes they take {memory:.1f} GiB, and time grows with them or '
            f'faster. It takes graphs of up to {limit:,} nodes (max_nodes). Use '
            'superpixels or tiles, or DropEdges and AddEdges, which take any graph.'
        )


class GraphMemory:
    """What was computed for the last graphs.

    A graph is known again by its edges, so what was found for another graph, or with
    other settings, is never taken for it.
    """

    def __init__(self) -> None:
        """Initialize a new GraphMemory instance."""
        self._kept: deque[tuple[Tensor, Tensor | None, int, Any, Any]]
        self._kept = deque(maxlen=_REMEMBERED)

    def get[T](
        self, graph: SceneGraph, settings: object, compute: Callable[[SceneGraph], T]
    ) -> T:
        """Return what was computed for a graph, or compute it.

        Args:
            graph: A graph.
            settings: Whatever else the result depends on.
            compute: What computes it.
        """
        for edges, tiles, count, known, found in self._kept:
            if (
                known == settings
                and count == graph.num_nodes
                and _same(edges, graph.edge_index)
                and _same(tiles, graph.graph)
            ):
                result: T = found
                return result
        result = compute(graph)
        tiles = None if graph.graph is None else graph.graph.clone()
        entry = (graph.edge_index.clone(), tiles, graph.num_nodes, settings, result)
        self._kept.append(entry)
        return result


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.device == other.device and torch.equal(one, other)
