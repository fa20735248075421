# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What does not make a graph is refused."""

from dataclasses import replace

import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.graphs.scene_graph import SceneGraph


def chain() -> SceneGraph:
    """Three nodes in a row, on a map with one pixel of none."""
    return SceneGraph(
        x=torch.arange(6.0).reshape(3, 2),
        edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]),
        label=torch.tensor([0, 0, 1]),
        position=torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]),
        membership=torch.tensor([[0, 1], [-1, 2]]),
    )


def test_no_nodes() -> None:
    with pytest.raises(EmptyDataError, match=r'at least one node. Check nodata'):
        replace(chain(), x=torch.zeros(0, 2))


@pytest.mark.parametrize('name', ['label', 'position', 'graph'])
def test_other_number_of_nodes(name: str) -> None:
    with pytest.raises(BandMismatchError, match=f'{name} of 3 nodes, got 2'):
        replace(chain(), **{name: torch.zeros(2, 2)})


def test_map() -> None:
    graph = chain()
    values = torch.tensor([5.0, 6.0, 7.0])
    expected = torch.tensor([[5.0, 6.0], [-1.0, 7.0]])
    assert torch.equal(graph.to_map(values, -1), expected)
    with pytest.raises(BandMismatchError, match='no pixels on a map'):
        replace(graph, membership=None).to_map(values)
