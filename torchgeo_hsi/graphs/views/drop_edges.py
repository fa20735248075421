# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Leave out random edges."""

import torch

from ..scene_graph import SceneGraph
from ._common import Source, check_share, keep_edges
from .graph_view import GraphView


class DropEdges(GraphView):
    """Leave out random edges, both directions at once.

    The augmentation that is enough for tasks on nodes, says
    https://doi.org/10.48550/arXiv.2405.19600.

    Args:
        p: Probability with which an edge goes.

    Raises:
        UnitError: If *p* is no probability.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(5, 8, 8), components=3)
        >>> DropEdges(1.0)(graph).num_edges
        0
    """

    def __init__(self, p: float = 0.3) -> None:
        """Initialize a new DropEdges instance."""
        super().__init__()
        self.p = check_share(p)

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`."""
        drawn = torch.rand(graph.num_edges // 2, generator=generator)
        keep = (drawn >= self.p).to(graph.edge_index.device)
        return graph.with_edges(keep_edges(graph.edge_index, keep))

    def extra_repr(self) -> str:
        """Show what the view was made with."""
        return f'p={self.p:g}'
