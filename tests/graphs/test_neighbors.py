# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Neighbours against scikit-learn and loops."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.graphs import grid_neighbors, nearest_neighbors, undirected_edges
from torchgeo_hsi.graphs.neighbors import edge_similarity


@pytest.mark.parametrize('metric', ['cosine', 'euclidean'])
@pytest.mark.parametrize('chunk', [7, 100, 1000])
def test_nearest_neighbors_are_those_of_sklearn(metric: Any, chunk: int) -> None:
    x = torch.randn(203, 9, generator=torch.Generator().manual_seed(1))
    found = nearest_neighbors(x, 6, chunk, metric)
    peer = NearestNeighbors(n_neighbors=6, metric=metric, algorithm='brute')
    distance, index = peer.fit(x.double().numpy()).kneighbors()
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4, atol=1e-6)


def test_nearest_neighbors_survive_rounding() -> None:
    # far from the origin, a square of a length has no digits left for differences
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(2)) * 1e-2 + 100
    found = nearest_neighbors(x, 5, metric='euclidean')
    true = pairwise_distances(x.double().numpy())
    np.fill_diagonal(true, np.inf)
    best = np.sort(true, 1)[:, :5]
    np.testing.assert_allclose(
        np.take_along_axis(true, found.index.numpy(), 1), best, rtol=1e-6
    )


def test_copies_are_neighbours_but_not_of_themselves() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [-5.0, 1.0]])
    found = nearest_neighbors(x, 2, metric='euclidean')
    assert (found.index != torch.arange(4)[:, None]).all()
    assert found.distance[:3].max() == 0


def test_nodes_without_length_have_cosine_distance_one() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.9, 0.1]])
    found = nearest_neighbors(x, 2)
    assert found.distance[0].tolist() == [1.0, 1.0]
    assert found.index[1].tolist() == [2, 0]


@pytest.mark.parametrize(
    ('words', 'error', 'match'),
    [
        ({'k': 5}, EmptyDataError, 'more than 5 nodes'),
        ({'k': 0}, ValueError, 'at least 1'),
        ({'k': 2, 'metric': 'angle'}, ValueError, "'cosine' or 'euclidean'"),
        ({'k': 2, 'x': torch.ones(5)}, BandMismatchError, r'\(5,\)'),
    ],
)
def test_nearest_neighbors_refuse(
    words: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        nearest_neighbors(**({'x': torch.rand(5, 3)} | words))


def test_grid_neighbors_are_those_of_a_loop() -> None:
    rng = torch.Generator().manual_seed(3)
    membership = torch.randint(-1, 6, (9, 11), generator=rng)
    expected = set()
    for row in range(9):
        for column in range(11):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    r, c = row + down, column + right
                    if not (0 <= r < 9 and 0 <= c < 11):
                        continue
                    pair = int(membership[row, column]), int(membership[r, c])
                    if min(pair) >= 0 and pair[0] != pair[1]:
                        expected.add(pair)
    found = grid_neighbors(membership).T.tolist()
    assert [tuple(pair) for pair in found] == sorted(expected)


@pytest.mark.parametrize('shape', [(1, 5), (5, 1), (1, 1), (2, 2)])
def test_grid_neighbors_of_small_maps(shape: tuple[int, int]) -> None:
    number = torch.arange(shape[0] * shape[1]).view(shape)
    found = grid_neighbors(number)
    rows, columns = shape
    straight = 2 * (rows * (columns - 1) + columns * (rows - 1))
    assert found.shape == (2, straight + 4 * (rows - 1) * (columns - 1))


def test_grid_neighbors_of_nothing() -> None:
    assert grid_neighbors(torch.full((3, 3), -1)).shape == (2, 0)
    with pytest.raises(BandMismatchError, match='map of shape'):
        grid_neighbors(torch.arange(4))


def test_undirected_edges() -> None:
    rng = torch.Generator().manual_seed(4)
    edges = torch.randint(0, 20, (2, 150), generator=rng)
    pairs = {(int(a), int(b)) for a, b in edges.T if a != b}
    expected = sorted(pairs | {(b, a) for a, b in pairs})
    assert [tuple(e) for e in undirected_edges(edges, 20).T.tolist()] == expected


def test_edge_similarity_is_the_cosine() -> None:
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(5))
    edges = torch.randint(0, 30, (2, 40), generator=torch.Generator().manual_seed(6))
    found = edge_similarity(x, edges, chunk=7)
    true = 1 - pairwise_distances(x.double().numpy(), metric='cosine')
    np.testing.assert_allclose(found, true[edges[0], edges[1]], atol=1e-6)
    assert edge_similarity(x, edges[:, :0]).shape == (0,)
