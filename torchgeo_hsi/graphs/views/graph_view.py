# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all views of graphs are."""

from abc import ABC, abstractmethod

from torch import nn

from ..scene_graph import SceneGraph
from ._common import Source


class GraphView(nn.Module, ABC):
    """A random change of a graph: ``view(graph, generator)`` is another graph.

    What is drawn is drawn on the CPU, so every device draws the same. Edges stay
    undirected: both directions of an edge share their fate.
    """

    def __init__(self) -> None:
        """Initialize a new GraphView instance."""
        super().__init__()

    @abstractmethod
    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """Change a graph.

        Args:
            graph: A graph.
            generator: Source of randomness, on the CPU; torch's own by default.

        Returns:
            A new graph of the same nodes.
        """
