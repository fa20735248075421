# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Two encoders for two views of a graph, and what compares them."""

import torch
from torch import Tensor, nn

from .encoder import Activation, GraphEncoder


class TwoViewEncoder(nn.Module):
    """One encoder for the edges of a graph, another for its diffusion (MVGRL).

    * https://arxiv.org/abs/2006.05582

    Args:
        in_channels: Number of features of a node.
        hidden: Width of all layers but the last.
        out: Number of features of the embedding; 512 in the paper.
        layers: Graph convolutions of each encoder; 1 in the paper for nodes.
        activation: What follows each of them; ``'prelu'`` in the paper.
        batch_norm: Whether a batch normalization stands in front of it.

    Raises:
        ImportError: If torch_geometric is not installed.
        ValueError: If there are no layers, or there is no such activation.

    Example:
        >>> encoder = TwoViewEncoder(8, out=4)
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> encoder(torch.randn(3, 8), edges, edges).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int = 256,
        out: int = 128,
        layers: int = 1,
        activation: Activation = 'prelu',
        batch_norm: bool = False,
    ) -> None:
        """Initialize a new TwoViewEncoder instance; see the class for arguments."""
        super().__init__()
        self.first, self.second = (
            GraphEncoder(in_channels, hidden, out, layers, activation, batch_norm)
            for _ in range(2)
        )

    @property
    def out_channels(self) -> int:
        """Number of features of the embedding."""
        return self.first.out_channels

    def forward(self, x: Tensor, adjacency: Tensor, diffusion: Tensor) -> Tensor:
        """Embed the nodes of a graph: the sum over both views.

        Args:
            x: Features of shape ``(N, in_channels)``.
            adjacency: Normalized sparse matrix of shape ``(N, N)``, or edges.
            diffusion: The same of the other view.

        Returns:
            Embeddings of shape ``(N, out)``.
        """
        first: Tensor = self.first(x, adjacency)
        second: Tensor = self.second(x, diffusion)
        return first + second


class BilinearDiscriminator(nn.Module):
    """Tells nodes of a graph from others by its summary: ``h W s + b``.

    * https://arxiv.org/abs/1809.10341

    Args:
        channels: Number of features.

    Example:
        >>> discriminator = BilinearDiscriminator(4)
        >>> discriminator(torch.randn(5, 4), torch.randn(1, 4)).shape
        torch.Size([5])
    """

    def __init__(self, channels: int) -> None:
        """Initialize a new BilinearDiscriminator instance."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, nodes: Tensor, summaries: Tensor) -> Tensor:
        """Score nodes.

        Args:
            nodes: Embeddings of shape ``(N, channels)``.
            summaries: Summary for each of them, ``(N, channels)``, or for all,
                ``(1, channels)``.

        Returns:
            Logits of shape ``(N,)``.
        """
        scores: Tensor = (nodes * (summaries @ self.weight.T)).sum(1) + self.bias
        return scores
