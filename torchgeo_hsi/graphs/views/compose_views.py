# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several views, one after the other."""

from torch import nn

from ..scene_graph import SceneGraph
from ._common import Source
from .graph_view import GraphView


class ComposeViews(GraphView):
    """Several views, one after the other.

    Args:
        views: What is applied, in order; nothing changes without any.

    Example:
        >>> from torchgeo_hsi.graphs import DropEdges, MaskFeatures
        >>> ComposeViews(DropEdges(0.5), MaskFeatures(0.2))
        ComposeViews(
          (views): ModuleList(
            (0): DropEdges(p=0.5)
            (1): MaskFeatures(p=0.2)
          )
        )
    """

    def __init__(self, *views: GraphView) -> None:
        """Initialize a new ComposeViews instance."""
        super().__init__()
        self.views = nn.ModuleList(views)

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`."""
        for view in self.views:
            graph = view(graph, generator)
        return graph
