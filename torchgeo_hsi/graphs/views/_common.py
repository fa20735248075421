# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What views of graphs have in common."""

import torch
from torch import Tensor

from ...errors import UnitError
from ..neighbors import edge_keys

#: Source of randomness, on the CPU; torch's own if None.
type Source = torch.Generator | None


def check_share(value: float, name: str = 'p', high: float = 1.0) -> float:
    """Refuse what is no share.

    Raises:
        UnitError: If *value* is not between 0 and *high*.
    """
    if not 0 <= value <= high:
        raise UnitError(f'Expected {name} from 0 to {high:g}, got {value}.')
    return float(value)


def upper_edges(edge_index: Tensor) -> Tensor:
    """Return one direction of each edge, from the lower number to the higher one.

    Args:
        edge_index: Both directions of each edge, of shape ``(2, E)``.
    """
    return edge_index[:, edge_index[0] < edge_index[1]]


def both_directions(upper: Tensor, count: int) -> Tensor:
    """Give each edge its opposite one, and sort them.

    Args:
        upper: One direction of each edge, each once, of shape ``(2, E)``.
        count: Number of nodes.
    """
    both = torch.cat([upper, upper.flip(0)], 1)
    keys = edge_keys(both, count).sort().values
    return torch.stack([keys // count, keys % count])


def keep_edges(edge_index: Tensor, keep: Tensor) -> Tensor:
    """Keep some edges, in both directions.

    Args:
        edge_index: Both directions of each edge, sorted, of shape ``(2, E)``.
        keep: Which of the :func:`upper_edges` stay, bool of shape ``(E / 2,)``.

    Returns:
        Edges, sorted. There is no sorting of all edges here: sorted by their target,
        the opposite edges stand in the order of the first ones.
    """
    forward = edge_index[0] < edge_index[1]
    backward = (~forward).nonzero().flatten()
    order = edge_index[1][backward].argsort(stable=True)
    mask = torch.empty_like(forward)
    mask[forward] = keep
    mask[backward[order]] = keep
    return edge_index[:, mask]
