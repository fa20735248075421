# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Diffusion against the inverse of a matrix."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchgeo_hsi.errors import UnitError
from torchgeo_hsi.graphs import SceneGraph, diffusion_edges, normalized_adjacency
from torchgeo_hsi.graphs.diffusion import WeightedEdges


def normalized(graph: SceneGraph) -> NDArray[np.float64]:
    found = np.eye(graph.num_nodes)
    for a, b in graph.edge_index.T.tolist():
        found[a, b] = 1
    scale = 1 / np.sqrt(found.sum(1))
    return found * scale[:, None] * scale


def dense(edges: WeightedEdges, count: int) -> NDArray[np.float64]:
    found = np.zeros((count, count))
    found[tuple(edges.edge_index.numpy())] = edges.weight.numpy()
    return found


def test_normalized_adjacency(graph: SceneGraph) -> None:
    found = normalized_adjacency(graph)
    np.testing.assert_allclose(
        dense(found, graph.num_nodes), normalized(graph), atol=1e-6
    )
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        matrix = found.matrix(graph.num_nodes)
    np.testing.assert_allclose(matrix.to_dense(), normalized(graph), atol=1e-6)


@pytest.mark.parametrize('alpha', [0.05, 0.2, 0.7])
def test_diffusion_is_the_inverse(graph: SceneGraph, alpha: float) -> None:
    count = graph.num_nodes
    system = np.eye(count) - (1 - alpha) * normalized(graph)
    true = alpha * np.linalg.inv(system)
    found = diffusion_edges(graph, alpha, count, tolerance=1e-6, chunk=100)
    np.testing.assert_allclose(dense(found, count), true, atol=5e-6)


def test_the_largest_entries_of_each_row_stay(graph: SceneGraph) -> None:
    count = graph.num_nodes
    true = 0.2 * np.linalg.inv(np.eye(count) - 0.8 * normalized(graph))
    found = dense(diffusion_edges(graph, neighbors=9, tolerance=1e-5), count)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(found[found > 0], true[found > 0], atol=2e-5)
    best = -np.sort(-true, 1)[:, 8]
    # all larger ones are there, and others only where they are among those of a column
    assert (found[true > np.maximum(best, best[:, None]) + 1e-4] > 0).all()
    assert (true[found > 0] >= np.minimum(best, best[:, None])[found > 0] - 1e-4).all()
    assert (found > 0).sum(1).min() >= 9


def test_tiles_do_not_diffuse_into_each_other(tiles: SceneGraph) -> None:
    edges = diffusion_edges(tiles, neighbors=100).edge_index
    source, target = tiles.graph[edges]
    assert (source == target).all()
    # more than the edges that there are
    assert edges.shape[1] > tiles.num_edges


@pytest.mark.parametrize(
    ('words', 'error'),
    [
        ({'alpha': 0.0}, UnitError),
        ({'alpha': 1.0}, UnitError),
        ({'tolerance': 0.0}, UnitError),
        ({'neighbors': 0}, ValueError),
        ({'chunk': 0}, ValueError),
    ],
)
def test_diffusion_refuses(
    graph: SceneGraph, words: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match='Expected'):
        diffusion_edges(graph, **words)
