# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From the nodes of graphs to the graphs."""

from torch import Tensor


def mean_pool(x: Tensor, graph: Tensor, count: int | None = None) -> Tensor:
    """Average over the nodes of each graph.

    Args:
        x: Values of nodes, of shape ``(N, F)``.
        graph: Number of the graph of each node, int64 of shape ``(N,)``.
        count: Number of graphs; by default one more than the greatest number.

    Returns:
        Means of shape ``(count, F)``, 0 for graphs without nodes.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0], [3.0], [5.0]])
        >>> mean_pool(x, torch.tensor([0, 0, 1])).flatten().tolist()
        [2.0, 5.0]
    """
    if count is None:
        count = int(graph.max()) + 1
    total = x.new_zeros(count, x.shape[1]).index_add(0, graph, x)
    nodes = x.new_zeros(count).index_add(0, graph, x.new_ones(len(x)))
    return total / nodes.clamp_min(1)[:, None]
