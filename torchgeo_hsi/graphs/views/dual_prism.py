# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Change the high frequencies of a graph (Dual-Prism)."""

import math
from typing import Literal

import torch
from torch import Tensor

from ..._precision import full_precision
from ...errors import UnitError
from ..scene_graph import SceneGraph
from ._common import Source, both_directions, check_share
from ._dense import GraphMemory, Part, check_size, parts_of
from .graph_view import GraphView

#: Matrices of all pairs that are held at the same time.
_COPIES = 6

#: Weight from which on a pair of nodes has an edge.
_EDGE = 0.5

type _Spectrum = list[tuple[Part, Tensor, Tensor]]


class DualPrism(GraphView):
    r"""Change the high frequencies of a graph, and keep its low ones (Dual-Prism).

    Of the eigenvalues of the Laplacian :math:`L = D - A`, the largest ones get noise
    (``'noise'``) or become zero (``'mask'``), each with some probability. The graph is
    put together again from them, and a pair of nodes has an edge where its weight is
    above 1/2. From https://doi.org/10.48550/arXiv.2401.09953, for tasks on whole graphs.

    All eigenvectors are needed, :math:`O(N^3)` operations once for a graph, and a
    product of such matrices for each view: graphs above *max_nodes* are refused. Of
    several graphs (tiles), each is changed on its own.

    Args:
        form: ``'noise'`` or ``'mask'``.
        std: Standard deviation of the noise of eigenvalues, which are from 0 to twice
            the largest number of neighbours.
        frequencies: Share of the eigenvalues, from the largest down, that may change.
        p: Probability with which one of these is changed.
        max_nodes: Largest number of nodes of one graph.

    Raises:
        UnitError: If *frequencies* or *p* is no share, or *std* is negative.
        ValueError: If *form* is not known.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(5, 8, 8), components=3)
        >>> torch.equal(DualPrism(std=0.0)(graph).edge_index, graph.edge_index)
        True
    """

    def __init__(
        self,
        form: Literal['noise', 'mask'] = 'noise',
        std: float = 1.0,
        frequencies: float = 0.5,
        p: float = 0.5,
        max_nodes: int = 4000,
    ) -> None:
        """Initialize a new DualPrism instance."""
        super().__init__()
        if form not in ('noise', 'mask'):
            raise ValueError(f"Expected form 'noise' or 'mask', got {form!r}.")
        if not 0 <= std < math.inf:
            raise UnitError(f'Expected std of at least 0, got {std}.')
        self.form = form
        self.std = float(std)
        self.frequencies = check_share(frequencies, 'frequencies')
        self.p = check_share(p)
        self.max_nodes = max_nodes
        self._memory = GraphMemory()

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`.

        Raises:
            JobError: If a graph has more than *max_nodes* nodes.
        """
        check_size(graph, type(self).__name__, self.max_nodes, _COPIES)
        upper = [
            part.nodes[self._change(part, values, vectors, generator)]
            for part, values, vectors in self._memory.get(graph, None, decompose)
        ]
        return graph.with_edges(both_directions(torch.cat(upper, 1), graph.num_nodes))

    def _change(
        self, part: Part, values: Tensor, vectors: Tensor, generator: Source
    ) -> Tensor:
        """Change one graph; return one direction of its edges."""
        count = len(values)
        number = math.ceil(self.frequencies * count)
        drawn = torch.rand(number, generator=generator) < self.p
        noise = self.std * torch.randn(number, generator=generator)
        chosen = count - number + drawn.nonzero().flatten().to(values.device)
        old = values[chosen]
        new = torch.zeros_like(old)
        if self.form == 'noise':
            new = (old + noise[drawn].to(old)).clamp_min(0)
        # only what changes is put together: L + U (new - old) U^T
        some = vectors[:, chosen]
        with full_precision(values.device):
            weight = part.adjacency() - (some * (new - old)) @ some.T
        return (weight.triu(1) > _EDGE).nonzero().T

    def extra_repr(self) -> str:
        """Show what the view was made with."""
        noise = f'std={self.std:g}, ' if self.form == 'noise' else ''
        return (
            f'form={self.form!r}, {noise}frequencies={self.frequencies:g}, p={self.p:g}'
        )


@torch.no_grad()
def decompose(graph: SceneGraph) -> _Spectrum:
    """Decompose the Laplacian of each graph.

    Args:
        graph: Graph, or graphs that are told apart by ``graph.graph``.

    Returns:
        Each part with its eigenvalues, ascending, of shape ``(n,)``, and eigenvectors
        of shape ``(n, n)``.
    """
    found = []
    for part in parts_of(graph):
        adjacency = part.adjacency()
        values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(1)) - adjacency)
        found.append((part, values.clamp_min(0), vectors))
    return found
