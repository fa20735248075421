# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Nodes of a graph, and summaries of its other view."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..graphs import SceneGraph, diffusion_edges
from ..losses import MutualInformationLoss
from ..models.graphs import BilinearDiscriminator, TwoViewEncoder, mean_pool
from ..models.graphs.encoder import sparse_matrix
from ._graph_objective import GraphObjective, Level, graph_numbers, matrix_of


class MVGRL(GraphObjective):
    """Nodes of a view against the summary of the other, which shows the diffusion.

    Nodes are told from those of a graph whose features are shuffled; tiles are told
    from each other.

    * https://arxiv.org/abs/2006.05582

    Args:
        encoder: Both encoders.
        level: See :class:`GraphObjective`.
        width: Width of the heads of ``level='graph'``.
        diffusion: Whether the second view shows the diffusion of the graph as it is,
            or else its own edges.
        options: Options of :func:`~torchgeo_hsi.graphs.diffusion_edges`.
    """

    encoder: TwoViewEncoder

    def __init__(
        self,
        encoder: TwoViewEncoder,
        level: Level,
        width: int,
        diffusion: bool,
        options: Mapping[str, Any],
    ) -> None:
        """Initialize a new MVGRL instance; see the class for arguments."""
        super().__init__(level)
        self.encoder = encoder
        self.diffusion, self.options = diffusion, dict(options)
        out = encoder.out_channels
        if level == 'node':
            self.discriminator = BilinearDiscriminator(out)
        else:
            self.local_head, self.global_head = (
                nn.Sequential(nn.Linear(out, width), nn.PReLU(), nn.Linear(width, out))
                for _ in range(2)
            )
        self.criterion = MutualInformationLoss('bce' if level == 'node' else 'jsd')
        # of the graph of training and of that of evaluation
        self._known: deque[tuple[SceneGraph, Tensor]] = deque(maxlen=2)

    def embed(self, graph: SceneGraph) -> Tensor:
        """See :meth:`GraphObjective.embed`."""
        found: Tensor = self.encoder(
            graph.x, matrix_of(graph), self._second(graph, graph)
        )
        return found

    def _second(self, graph: SceneGraph, view: SceneGraph) -> Tensor:
        """Return what the second encoder convolves with."""
        if not self.diffusion:
            return matrix_of(view)
        # it does not change from step to step, and takes much longer than one
        for known, matrix in self._known:
            if known is graph:
                return matrix
        edges, weight = diffusion_edges(graph, **self.options)
        matrix = sparse_matrix(edges[0], edges[1], weight, graph.num_nodes)
        self._known.append((graph, matrix))
        return matrix

    def forward(
        self,
        graph: SceneGraph,
        views: tuple[SceneGraph, SceneGraph],
        generator: torch.Generator,
    ) -> Tensor:
        """See :meth:`GraphObjective.forward`."""
        matrices = matrix_of(views[0]), self._second(graph, views[1])
        features = views[0].x, views[1].x
        nodes = self._both(features, matrices)
        if self.level == 'graph':
            return self._tiles(nodes, graph_numbers(graph))
        order = torch.randperm(graph.num_nodes, generator=generator).to(graph.x.device)
        false = self._both((features[0][order], features[1][order]), matrices)
        summary = [h.mean(0, keepdim=True).sigmoid() for h in nodes]
        scores = torch.cat(
            [
                self.discriminator(h, s)
                for pair in (nodes, false)
                # each view against the summary of the other
                for h, s in zip(pair, reversed(summary), strict=True)
            ]
        )
        positive = torch.arange(len(scores), device=scores.device) < len(scores) // 2
        loss: Tensor = self.criterion(scores, positive)
        return loss

    def _both(
        self, features: tuple[Tensor, Tensor], matrices: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        encoders = self.encoder.first, self.encoder.second
        return [
            encoder(x, matrix)
            for encoder, x, matrix in zip(encoders, features, matrices, strict=True)
        ]

    def _tiles(self, nodes: list[Tensor], number: Tensor) -> Tensor:
        """Compare the nodes of a view with the tiles of the other."""
        tiles = [self.global_head(mean_pool(h, number)) for h in nodes]
        own = number[:, None] == torch.arange(len(tiles[0]), device=number.device)
        losses: list[Tensor] = [
            self.criterion(self.local_head(h) @ t.T, own)
            for h, t in zip(nodes, reversed(tiles), strict=True)
        ]
        return losses[0] + losses[1]
