# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Set random features to zero."""

import torch

from ..scene_graph import SceneGraph
from ._common import Source, check_share
from .graph_view import GraphView


class MaskFeatures(GraphView):
    """Set random features to zero, the same ones of all nodes.

    Args:
        p: Probability with which a feature goes.

    Raises:
        UnitError: If *p* is no probability.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(5, 8, 8), components=3)
        >>> MaskFeatures(1.0)(graph).x.count_nonzero().item()
        0
    """

    def __init__(self, p: float = 0.2) -> None:
        """Initialize a new MaskFeatures instance."""
        super().__init__()
        self.p = check_share(p)

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`."""
        drawn = torch.rand(graph.x.shape[1], generator=generator)
        keep = (drawn >= self.p).to(graph.x.device)
        return graph.with_features(graph.x * keep)

    def extra_repr(self) -> str:
        """Show what the view was made with."""
        return f'p={self.p:g}'
