# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Flip the edges that change the spectrum of a graph most (SPAN)."""

import math
from typing import Literal

import torch
from torch import Tensor

from ..neighbors import edge_keys
from ..scene_graph import SceneGraph
from ._common import Source, both_directions, check_share, upper_edges
from ._dense import GraphMemory, Part, check_size, parts_of
from .graph_view import GraphView

#: Matrices of all pairs that are held at the same time.
_COPIES = 7

#: Trials for the shift that meets the budget, which takes a few, and how well it does.
_TRIALS, _PRECISE = 60, 1e-4

#: Pairs that would flip less often than once in so many draws are left out.
_RARE = 1e-7


class SpectralPerturbation(GraphView):
    r"""Flip the edges that change the spectrum of a graph most (SPAN).

    Each pair of nodes gets a probability with which its edge is flipped: taken away if
    it is there, added if not. The probabilities are learned once for a graph, by
    projected gradient ascent: they make the norm of the eigenvalues of the normalized
    adjacency matrix :math:`\hat A = D^{-1/2} (A + I) D^{-1/2}` as large (or small) as is
    possible with a given number of expected flips. Each view then draws its flips, both
    directions at once. Two views with different directions are contrasted.

    From https://doi.org/10.48550/arXiv.2210.00643. The sum of the squares of the
    eigenvalues of a symmetric matrix is that of its entries, so the same gradient is
    computed here without any eigenvalue, with :math:`O(N^2)` instead of :math:`O(N^3)`
    operations; *eigenvalues* computes them nevertheless, as the published code does.
    Memory is that of all pairs in either case, so graphs above *max_nodes* are refused.
    Of several graphs (tiles), each has its own probabilities and budget.

    Args:
        direction: ``'max'`` or ``'min'`` of the norm.
        ratio: Expected number of flips, as a share of the number of edges.
        steps: Number of gradient steps.
        rate: How far the probability with the steepest slope moves in the first step;
            later steps are divided by the root of their number. (The published rates, of
            0.1 to 100, belong to slopes that fall with the number of nodes.)
        max_nodes: Largest number of nodes of one graph.
        eigenvalues: Compute the norm from eigenvalues, which takes longer.

    Raises:
        UnitError: If *ratio* is no share.
        ValueError: If *direction*, *steps* or *rate* is not understood.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(5, 8, 8), components=3)
        >>> view = SpectralPerturbation('min', ratio=0.2)
        >>> pairs, probability = view.probabilities(graph)
        >>> bool(probability.sum() <= 0.2 * graph.num_edges / 2 + 1e-3)
        True
    """

    def __init__(
        self,
        direction: Literal['max', 'min'] = 'max',
        ratio: float = 0.3,
        steps: int = 40,
        rate: float = 1.0,
        max_nodes: int = 4000,
        eigenvalues: bool = False,
    ) -> None:
        """Initialize a new SpectralPerturbation instance."""
        super().__init__()
        if direction not in ('max', 'min'):
            raise ValueError(f"Expected direction 'max' or 'min', got {direction!r}.")
        if steps < 1 or not rate > 0:
            raise ValueError(
                f'Expected steps of at least 1 and a positive rate, got {steps} and '
                f'{rate}.'
            )
        self.direction = direction
        self.ratio = check_share(ratio, 'ratio')
        self.steps = steps
        self.rate = rate
        self.max_nodes = max_nodes
        self.eigenvalues = eigenvalues
        self._memory = GraphMemory()

    def forward(self, graph: SceneGraph, generator: Source = None) -> SceneGraph:
        """See :meth:`GraphView.forward`.

        Raises:
            JobError: If a graph has more than *max_nodes* nodes.
        """
        pairs, probability = self.probabilities(graph)
        drawn = torch.rand(len(probability), generator=generator)
        flipped = pairs[:, drawn.to(probability.device) < probability]
        return graph.with_edges(flip_edges(graph, flipped))

    def probabilities(self, graph: SceneGraph) -> tuple[Tensor, Tensor]:
        """Learn how likely each pair is flipped, or remember it for the same graph.

        Args:
            graph: A graph.

        Returns:
            Pairs of shape ``(2, P)``, lower node first, and probabilities of shape
            ``(P,)``; other pairs are never flipped.

        Raises:
            JobError: If a graph has more than *max_nodes* nodes.
        """
        check_size(graph, type(self).__name__, self.max_nodes, _COPIES)
        settings = (self.direction, self.ratio, self.steps, self.rate, self.eigenvalues)
        return self._memory.get(graph, settings, self._learn_all)

    @torch.no_grad()
    def _learn_all(self, graph: SceneGraph) -> tuple[Tensor, Tensor]:
        pairs, values = [], []
        for part in parts_of(graph):
            matrix = self._learn(part)
            pair = (matrix.triu(1) > _RARE).nonzero().T
            pairs.append(part.nodes[pair])
            values.append(matrix[pair[0], pair[1]])
        return torch.cat(pairs, 1), torch.cat(values)

    def _learn(self, part: Part) -> Tensor:
        """Learn the probabilities of one graph, as a symmetric matrix."""
        adjacency = part.adjacency()
        count = len(adjacency)
        budget = self.ratio * part.upper.shape[1]
        # what an edge becomes when it flips: 1 is added, or taken away
        sign = 1 - 2 * adjacency
        sign.fill_diagonal_(0)
        gradient = norm_gradient_eigenvalues if self.eigenvalues else norm_gradient
        found = torch.full_like(adjacency, 0.5 / count).fill_diagonal_(0)
        uphill = 1.0 if self.direction == 'max' else -1.0
        steepest = 1.0
        for step in range(1, self.steps + 1):
            _, slope = gradient(torch.addcmul(adjacency, sign, found))
            slope.mul_(sign)
            if step == 1:
                steepest = float(slope.abs().max()) or 1.0
            size = uphill * self.rate / math.sqrt(step) / steepest
            found = project_budget(found.add_(slope, alpha=size), 2 * budget)
        return found

    def extra_repr(self) -> str:
        """Show what the view was made with."""
        return f'direction={self.direction!r}, ratio={self.ratio:g}, steps={self.steps}'


def flip_edges(graph: SceneGraph, pairs: Tensor) -> Tensor:
    """Take edges away where they are, and add them where not.

    Args:
        graph: A graph.
        pairs: Pairs of shape ``(2, P)``, lower node first, each once.

    Returns:
        Both directions of the edges that there are now.
    """
    both = torch.cat([upper_edges(graph.edge_index), pairs], 1)
    keys, times = torch.unique(edge_keys(both, graph.num_nodes), return_counts=True)
    keys = keys[times == 1]
    upper = torch.stack([keys // graph.num_nodes, keys % graph.num_nodes])
    return both_directions(upper, graph.num_nodes)


def norm_gradient(adjacency: Tensor) -> tuple[float, Tensor]:
    """Differentiate the norm of the spectrum by each edge, without eigenvalues.

    Args:
        adjacency: Symmetric matrix of weights from 0 to 1, of shape ``(n, n)``, with
            zeros on its diagonal.

    Returns:
        Norm of the eigenvalues of the normalized matrix, and its derivatives of shape
        ``(n, n)`` by the weight of each pair, which is that of both directions.
    """
    looped = adjacency.clone().fill_diagonal_(1)
    degree = looped.sum(1)
    square = looped.square()
    by_degree = square @ (1 / degree)
    norm = float((by_degree / degree).sum().sqrt())
    row = -2 * by_degree / degree.square()
    # derivative of the squared norm by both directions of an edge
    slope = looped.mul_(4).div_(degree).div_(degree[:, None])
    slope += row
    slope += row[:, None]
    return norm, slope.div_(2 * norm)


def norm_gradient_eigenvalues(adjacency: Tensor) -> tuple[float, Tensor]:
    """Do the same as :func:`norm_gradient`, through the eigenvalues.

    Args:
        adjacency: See :func:`norm_gradient`.

    Returns:
        See :func:`norm_gradient`.
    """
    with torch.enable_grad():
        leaf = adjacency.detach().clone().requires_grad_()
        looped = leaf + torch.eye(len(leaf), device=leaf.device)
        scale = looped.sum(1).rsqrt()
        eigenvalues = torch.linalg.eigvalsh(scale[:, None] * looped * scale)
        norm = eigenvalues.norm()
        (slope,) = torch.autograd.grad(norm, leaf)
    return float(norm.detach()), slope + slope.T


def project_budget(values: Tensor, budget: float) -> Tensor:
    """Find the nearest probabilities whose sum is within a budget.

    Args:
        values: Any numbers.
        budget: Largest sum.

    Returns:
        Numbers from 0 to 1: *values* themselves, shifted down by the same number if
        their sum is too large, and cut.
    """
    found = values.clamp(0, 1)
    if float(found.sum(dtype=torch.float64)) <= budget:
        return found
    # what is below 0 stays 0 however far all are shifted
    positive = values[values > 0]
    low, high = 0.0, float(positive.max())
    shift = 0.0
    for _ in range(_TRIALS):
        moved = positive - shift
        moving = int(((moved > 0) & (moved < 1)).sum())
        excess = float(moved.clamp_(0, 1).sum(dtype=torch.float64)) - budget
        if abs(excess) <= _PRECISE * budget:
            break
        low, high = (shift, high) if excess > 0 else (low, shift)
        # the sum is made of straight lines: Newton ends on the right one
        shift = shift + excess / max(moving, 1)
        if not low < shift < high:
            shift = (low + high) / 2
    return values.sub(shift).clamp_(0, 1)
