# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weighted edges between nodes that a random walk connects."""

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UnitError
from .neighbors import edge_keys
from .scene_graph import SceneGraph

__all__ = ('WeightedEdges', 'diffusion_edges', 'normalized_adjacency')


class WeightedEdges(NamedTuple):
    """Edges with weights.

    Args:
        edge_index: Both directions of each edge, and nodes with themselves, int64 of
            shape ``(2, E)``, sorted.
        weight: Weights of shape ``(E,)``.
    """

    edge_index: Tensor
    weight: Tensor

    def matrix(self, count: int) -> Tensor:
        """Return the same as a sparse matrix, for products with features.

        Args:
            count: Number of nodes.

        Returns:
            CSR matrix of shape ``(count, count)``.
        """
        with warnings.catch_warnings():
            # that such matrices are new is no news for users of ours
            warnings.filterwarnings('ignore', 'Sparse CSR tensor support', UserWarning)
            return torch.sparse_coo_tensor(
                self.edge_index,
                self.weight,
                (count, count),
                check_invariants=False,
                is_coalesced=True,
            ).to_sparse_csr()


def normalized_adjacency(graph: SceneGraph) -> WeightedEdges:
    r"""Compute :math:`D^{-1/2} (A + I) D^{-1/2}`, with which GCN layers propagate.

    Args:
        graph: A graph.

    Returns:
        Its entries that are not zero.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> image = torch.rand(5, 1, 2)
        >>> graph = pixel_graph(image, spectral_neighbors=0, drop_dissimilar=0)
        >>> normalized_adjacency(graph).weight
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    count = graph.num_nodes
    loops = torch.arange(count, device=graph.edge_index.device).expand(2, count)
    edges = torch.cat([graph.edge_index, loops], 1)
    keys = edge_keys(edges, count).sort().values
    edges = torch.stack([keys // count, keys % count])
    scale = torch.bincount(edges[0], minlength=count).float().rsqrt()
    return WeightedEdges(edges, scale[edges[0]] * scale[edges[1]])


@torch.no_grad()
def diffusion_edges(
    graph: SceneGraph,
    alpha: float = 0.2,
    neighbors: int = 32,
    tolerance: float = 1e-4,
    chunk: int = 1024,
) -> WeightedEdges:
    r"""Connect each node with those that a random walk from it visits most.

    The second view of MVGRL, https://doi.org/10.48550/arXiv.2006.05582: the
    personalized PageRank :math:`S = \alpha (I - (1 - \alpha) \hat A)^{-1}` of the
    normalized adjacency matrix with loops. It is a full matrix; the largest entries of
    each row are kept, *chunk* rows at a time, so memory is that of ``3 * chunk * N``
    numbers. The inverse is a sum of Chebyshev polynomials, of which a few are enough.

    Args:
        graph: A graph.
        alpha: Probability with which a walk starts again, above 0 and below 1.
        neighbors: Number of entries of each row that are kept, the node itself among
            them; all if there are not more. Both directions of an edge stay if one does.
        tolerance: Largest error of an entry.
        chunk: Number of rows at a time.

    Returns:
        Edges and weights.

    Raises:
        UnitError: If *alpha* or *tolerance* is not between 0 and 1.
        ValueError: If *neighbors* or *chunk* is below 1.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> image = torch.rand(5, 1, 2)
        >>> graph = pixel_graph(image, spectral_neighbors=0, drop_dissimilar=0)
        >>> diffusion_edges(graph, tolerance=1e-6).weight
        tensor([0.6000, 0.4000, 0.4000, 0.6000])
    """
    if not (0 < alpha < 1 and 0 < tolerance < 1):
        raise UnitError(
            'Expected alpha and tolerance between 0 and 1, got '
            f'{alpha} and {tolerance}.'
        )
    if neighbors < 1 or chunk < 1:
        raise ValueError(
            f'Expected neighbors and chunk of at least 1, got {neighbors} and {chunk}.'
        )
    count = graph.num_nodes
    matrix = normalized_adjacency(graph).matrix(count)
    terms = _series(alpha, tolerance)
    keys, values = [], []
    for start in range(0, count, chunk):
        rows = torch.arange(start, min(start + chunk, count), device=matrix.device)
        found = _rows(matrix, rows, terms)
        top, column = found.topk(min(neighbors, count), dim=1)
        inside = top > tolerance
        keys.append((rows[:, None] * count + column)[inside])
        values.append(top[inside])
    return _symmetric(torch.cat(keys), torch.cat(values), count)


def _series(alpha: float, tolerance: float) -> list[float]:
    """Return the Chebyshev series of ``alpha / (1 - (1 - alpha) t)``."""
    pull = 1 - alpha
    root = math.sqrt(1 - pull**2)
    ratio = (1 - root) / pull
    scale = 2 * alpha / root
    number = 1
    # the rest of the series is a geometric one
    while scale * ratio**number / (1 - ratio) > tolerance:
        number += 1
    return [scale / 2, *(scale * ratio**power for power in range(1, number))]


def _rows(matrix: Tensor, rows: Tensor, terms: list[float]) -> Tensor:
    """Compute rows of the sum of Chebyshev polynomials of a symmetric matrix."""
    before = torch.zeros(len(matrix), len(rows), device=rows.device)
    before[rows, torch.arange(len(rows), device=rows.device)] = 1
    total = terms[0] * before
    if len(terms) > 1:
        now = matrix @ before
        total.add_(now, alpha=terms[1])
        for term in terms[2:]:
            before, now = now, (matrix @ now).mul_(2).sub_(before)
            total.add_(now, alpha=term)
    return total.T.contiguous()


def _symmetric(keys: Tensor, values: Tensor, count: int) -> WeightedEdges:
    """Give each edge its opposite one, with the mean of their weights."""
    opposite = keys % count * count + keys // count
    every, place, times = torch.unique(
        torch.cat([keys, opposite]), return_inverse=True, return_counts=True
    )
    total = torch.zeros(len(every), device=values.device)
    total.index_add_(0, place, torch.cat([values, values]))
    edges = torch.stack([every // count, every % count])
    return WeightedEdges(edges, total / times)
