# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graph convolutions, as products with one sparse matrix."""

import warnings
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...errors import BandMismatchError

Activation = Literal['relu', 'prelu', 'elu']

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    'relu': nn.ReLU,
    'prelu': nn.PReLU,
    'elu': nn.ELU,
}


def make_activation(name: Activation) -> nn.Module:
    """Build an activation.

    Args:
        name: ``'relu'``, ``'prelu'`` or ``'elu'``.

    Returns:
        The activation.

    Raises:
        ValueError: If there is no such activation.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(
            f'Expected the activation {", ".join(_ACTIVATIONS)}, got {name!r}.'
        )
    return _ACTIVATIONS[name]()


def sparse_matrix(row: Tensor, column: Tensor, values: Tensor, size: int) -> Tensor:
    """Build a square matrix in compressed sparse rows.

    Args:
        row: Rows of shape ``(E,)``, in any order, each pair with *column* once.
        column: Columns of shape ``(E,)``.
        values: Values of shape ``(E,)``.
        size: Number of rows and columns.

    Returns:
        Sparse matrix of shape ``(size, size)``.
    """
    order = (row * size + column).argsort()
    start = torch.zeros(size + 1, dtype=torch.long, device=row.device)
    start[1:] = torch.bincount(row, minlength=size).cumsum(0)
    with warnings.catch_warnings():
        # torch says once in each process that this layout is young
        warnings.filterwarnings('ignore', 'Sparse CSR tensor support is in beta')
        return torch.sparse_csr_tensor(
            start, column[order], values[order], (size, size), check_invariants=False
        )


def propagation_matrix(
    edge_index: Tensor, num_nodes: int, weight: Tensor | None = None
) -> Tensor:
    r"""Normalize the edges of a graph for graph convolutions.

    With the adjacency :math:`A`, the identity :math:`I` and the degrees :math:`D` of
    :math:`A + I`, this is :math:`D^{-1/2} (A + I) D^{-1/2}`.

    * https://arxiv.org/abs/1609.02907

    Args:
        edge_index: Both directions of each edge, each once, no node with itself, of
            shape ``(2, E)``.
        num_nodes: Number of nodes.
        weight: Weight of each edge, of shape ``(E,)``; 1 by default.

    Returns:
        Sparse matrix of shape ``(num_nodes, num_nodes)``, in compressed rows: with it
        a convolution is one product, several times faster than along a list of edges.

    Example:
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> propagation_matrix(edges, 3).to_dense()
        tensor([[0.5000, 0.5000, 0.0000],
                [0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    loops = torch.arange(num_nodes, device=edge_index.device)
    row, column = torch.cat([edge_index, loops.expand(2, -1)], dim=1)
    if weight is None:
        weight = torch.ones(edge_index.shape[1], device=edge_index.device)
    values = torch.cat([weight, weight.new_ones(num_nodes)])
    degree = values.new_zeros(num_nodes).index_add(0, row, values)
    scale = degree.rsqrt()
    return sparse_matrix(row, column, scale[row] * values * scale[column], num_nodes)


def _convolution(in_channels: int, out_channels: int) -> nn.Module:
    """Build a graph convolution that takes normalized matrices."""
    try:
        with warnings.catch_warnings():
            # its import compiles functions in a way that torch wants to give up
            warnings.simplefilter('ignore')
            from torch_geometric.nn import GCNConv
    except ImportError as error:
        raise ImportError(
            'torch_geometric is needed for graph convolutions. Install it with '
            "pip install 'torchgeo-hsi[graph]'."
        ) from error
    layer: nn.Module = GCNConv(in_channels, out_channels, normalize=False)
    return layer


class GraphEncoder(nn.Module):
    """A few graph convolutions: features of each node from those around it.

    Each of the *layers* looks one edge further. Contrastive learning on graphs is best
    with one or two (https://arxiv.org/abs/2405.19600).

    * https://arxiv.org/abs/1609.02907

    Args:
        in_channels: Number of features of a node.
        hidden: Width of all layers but the last; twice *out* in GRACE.
        out: Number of features of the embedding.
        layers: Number of convolutions.
        activation: What follows each of them: ``'relu'``, ``'prelu'`` or ``'elu'``.
        batch_norm: Whether a batch normalization stands in front of it, as in BGRL.

    Raises:
        ImportError: If torch_geometric is not installed.
        ValueError: If there are no layers, or there is no such activation.

    Example:
        >>> encoder = GraphEncoder(8, hidden=16, out=4)
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> encoder(torch.randn(3, 8), edges).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int = 256,
        out: int = 128,
        layers: int = 2,
        activation: Activation = 'relu',
        batch_norm: bool = False,
    ) -> None:
        """Initialize a new GraphEncoder instance; see the class for arguments."""
        super().__init__()
        if layers < 1:
            raise ValueError(f'Expected 1 or more layers, got {layers}.')
        widths = [in_channels, *[hidden] * (layers - 1), out]
        self.in_channels = in_channels
        self.out_channels = out
        self.convolutions = nn.ModuleList()
        self.activations = nn.ModuleList()
        for inputs, outputs in pairwise(widths):
            self.convolutions.append(_convolution(inputs, outputs))
            parts: list[nn.Module] = [make_activation(activation)]
            if batch_norm:
                parts.insert(0, nn.BatchNorm1d(outputs))
            self.activations.append(nn.Sequential(*parts))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Embed the nodes of a graph.

        Args:
            x: Features of shape ``(N, in_channels)``.
            adjacency: Normalized sparse matrix of shape ``(N, N)``, from
                :func:`propagation_matrix` or a diffusion; or edges of shape
                ``(2, E)``, which are normalized here.

        Returns:
            Embeddings of shape ``(N, out)``.

        Raises:
            BandMismatchError: If there is another number of features.
        """
        if x.ndim != 2 or x.shape[1] != self.in_channels:
            raise BandMismatchError(
                f'Expected nodes with {self.in_channels} features, got '
                f'{tuple(x.shape)}. Set in_channels to the components of the graph.'
            )
        if adjacency.layout == torch.strided and not adjacency.is_floating_point():
            adjacency = propagation_matrix(adjacency, len(x))
        for convolution, activation in zip(
            self.convolutions, self.activations, strict=True
        ):
            found: Any = convolution(x, adjacency)
            x = activation(found)
        return x
