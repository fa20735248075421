# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all objectives of graph contrastive learning share."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import EmptyDataError, MetadataError
from ..graphs import SceneGraph
from ..models.graphs import mean_pool, propagation_matrix

Objective = Literal['grace', 'bgrl', 'mvgrl', 'barlow_twins']
Level = Literal['node', 'graph']


def graph_numbers(graph: SceneGraph) -> Tensor:
    """Return the number of the tile of each node.

    Args:
        graph: A graph.

    Returns:
        Numbers of shape ``(N,)``.

    Raises:
        MetadataError: If the graph is not made of tiles.
    """
    if graph.graph is None:
        raise MetadataError(
            "level='graph' compares tiles, and this is one graph of a whole scene. Use "
            "level='graph' of the data module, too."
        )
    return graph.graph


def matrix_of(graph: SceneGraph) -> Tensor:
    """Return the normalized adjacency of a graph.

    Args:
        graph: A graph.

    Returns:
        Sparse matrix of shape ``(N, N)``.
    """
    return propagation_matrix(graph.edge_index, graph.num_nodes)


class GraphObjective(nn.Module):
    """Base class: an encoder, and a loss of two views of a graph.

    Args:
        level: Whether to compare ``'node'`` with node or, by the means of their nodes,
            tiles (``'graph'``).
    """

    encoder: nn.Module

    def __init__(self, level: Level) -> None:
        """Initialize a new GraphObjective instance."""
        super().__init__()
        self.level = level

    def embed(self, graph: SceneGraph) -> Tensor:
        """Embed the nodes of a graph as it is, without views.

        Args:
            graph: The graph.

        Returns:
            Embeddings of shape ``(N, out)``.
        """
        return self._encode(self.encoder, graph)

    @abstractmethod
    def forward(
        self,
        graph: SceneGraph,
        views: tuple[SceneGraph, SceneGraph],
        generator: torch.Generator,
    ) -> Tensor:
        """Compute the loss of two views of a graph.

        Args:
            graph: The graph itself.
            views: Two views of it.
            generator: Source of randomness, on the CPU.

        Returns:
            The loss.
        """

    def follow(self, momentum: float) -> None:
        """Let what follows as a moving average follow.

        Args:
            momentum: How much of the average stays.
        """

    def _encode(self, encoder: nn.Module, graph: SceneGraph) -> Tensor:
        """Embed nodes."""
        found: Tensor = encoder(graph.x, matrix_of(graph))
        return found

    def _items(self, encoder: nn.Module, graph: SceneGraph) -> Tensor:
        """Embed what is compared: nodes or tiles."""
        nodes = self._encode(encoder, graph)
        if self.level == 'node':
            return nodes
        return mean_pool(nodes, graph_numbers(graph))


def check_count(count: int) -> None:
    """Refuse to compare a node or tile with nothing.

    Args:
        count: Number of nodes or tiles.

    Raises:
        EmptyDataError: If there is only one.
    """
    if count < 2:
        raise EmptyDataError(
            f'{count} node or tile has nothing to be compared with. Use a larger scene '
            'or a smaller tile_size.'
        )
