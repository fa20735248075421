# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A graph of pixels, superpixels or the pixels of tiles."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError

__all__ = ('SceneGraph',)


@dataclass(frozen=True)
class SceneGraph:
    """An undirected graph whose nodes are pixels or superpixels.

    Args:
        x: Features of the nodes, float32 of shape ``(N, F)``.
        edge_index: Both directions of each edge, int64 of shape ``(2, E)``, sorted,
            each once, no node with itself.
        label: Class of each node, int64 of shape ``(N,)``, -1 where it is not known.
        position: Row and column of each node (the mean of those of its pixels), float32
            of shape ``(N, 2)``.
        membership: Node of each pixel, int64 of shape ``(H, W)``, -1 for pixels of no
            node; None if the graph is no map.
        graph: Number of the graph (tile) of each node, int64 of shape ``(N,)``.

    Raises:
        BandMismatchError: If shapes do not fit together, or edges are not sorted.
        EmptyDataError: If there are no nodes.
    """

    x: Tensor
    edge_index: Tensor
    label: Tensor
    position: Tensor
    membership: Tensor | None = None
    graph: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        count = len(self.x)
        if not count:
            raise EmptyDataError('A graph needs at least one node. Check nodata.')
        lengths = {'label': self.label, 'position': self.position}
        if self.graph is not None:
            lengths['graph'] = self.graph
        for name, values in lengths.items():
            if len(values) != count:
                raise BandMismatchError(
                    f'Expected {name} of {count} nodes, got {len(values)}.'
                )
        edges = self.edge_index
        whole = edges.dtype == torch.int64 and edges.ndim == 2 and len(edges) == 2
        if not whole or (edges.numel() and (edges.min() < 0 or edges.max() >= count)):
            raise BandMismatchError(
                f'Expected int64 edges of shape (2, E) between {count} nodes, got '
                f'{edges.dtype} of shape {tuple(edges.shape)}.'
            )
        keys = edges[0] * count + edges[1]
        if not (keys[1:] > keys[:-1]).all() or (edges[0] == edges[1]).any():
            raise BandMismatchError(
                'Expected edges that are sorted, each once, and no node with itself. '
                'Make them so by undirected_edges.'
            )

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(self.x)

    @property
    def num_edges(self) -> int:
        """Number of directed edges, twice that of the undirected ones."""
        return self.edge_index.shape[1]

    @property
    def homophily(self) -> float:
        """Share of the edges between known classes that join equal ones; NaN if none."""
        source, target = self.label[self.edge_index]
        known = (source >= 0) & (target >= 0)
        return float((source == target)[known].float().mean())

    def with_edges(self, edge_index: Tensor) -> Self:
        """Return the same nodes with other edges.

        Args:
            edge_index: Edges of shape ``(2, E)``, both directions of each.
        """
        return replace(self, edge_index=edge_index)

    def with_features(self, x: Tensor) -> Self:
        """Return the same graph with other features.

        Args:
            x: Features of shape ``(N, F)``.
        """
        return replace(self, x=x)

    def subgraph(self, nodes: Tensor) -> Self:
        """Keep some nodes, and the edges between them.

        Args:
            nodes: Which nodes, bool of shape ``(N,)``.

        Returns:
            The graph of these nodes, numbered anew in the same order.
        """
        number = torch.cumsum(nodes, 0) - 1
        kept = nodes[self.edge_index].all(0)
        membership = self.membership
        if membership is not None:
            inside = (membership >= 0) & nodes[membership.clamp_min(0)]
            membership = torch.where(inside, number[membership.clamp_min(0)], -1)
        return replace(
            self,
            x=self.x[nodes],
            edge_index=number[self.edge_index[:, kept]],
            label=self.label[nodes],
            position=self.position[nodes],
            membership=membership,
            graph=None if self.graph is None else self.graph[nodes],
        )

    def to_map(self, values: Tensor, fill: float = 0) -> Tensor:
        """Spread values of nodes over their pixels.

        Args:
            values: Values of shape ``(N,)`` or ``(N, K)``.
            fill: Value of the pixels of no node.

        Returns:
            Map of shape ``(H, W)`` or ``(K, H, W)``.

        Raises:
            BandMismatchError: If the graph is no map.
        """
        if self.membership is None:
            raise BandMismatchError('The nodes of this graph have no pixels on a map.')
        found = values[self.membership.clamp_min(0)]
        outside = self.membership < 0
        found[outside] = fill
        return found if values.ndim == 1 else found.movedim(-1, 0)
