# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graphs of pixels, and their features."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.graphs import (
    PrincipalComponents,
    SceneGraph,
    pixel_graph,
    superpixel_graph,
    tile_graphs,
)


def is_undirected(graph: SceneGraph) -> bool:
    """Whether edges are sorted, each once, both ways, and never of one node."""
    pairs = [tuple(pair) for pair in graph.edge_index.T.tolist()]
    there = set(pairs)
    return (
        pairs == sorted(there)
        and all((b, a) in there for a, b in there)
        and all(a != b for a, b in there)
    )


def test_nodes_are_the_valid_pixels(scene: Any, graph: SceneGraph) -> None:
    image, valid, labels = scene
    assert graph.num_nodes == int(valid.sum())
    rows, columns = graph.position.long().T
    number = torch.arange(graph.num_nodes)
    torch.testing.assert_close(graph.membership[rows, columns], number)
    assert (graph.membership[~valid] == -1).all()
    torch.testing.assert_close(graph.label, labels[rows, columns])
    assert graph.graph is None
    # a map goes to nodes and back
    mean = image.mean(0)
    back = graph.to_map(mean[rows, columns], -9)
    torch.testing.assert_close(back[valid], mean[valid])
    assert is_undirected(graph)


def test_edges_are_those_of_a_loop(scene: Any) -> None:
    image, valid, _ = scene
    graph = pixel_graph(image, valid, spectral_neighbors=3, drop_dissimilar=0.3)
    spots = [tuple(spot) for spot in valid.nonzero().tolist()]
    spectra = np.stack([image[:, r, c].double().numpy() for r, c in spots])
    unit = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    grid = [
        (a, b)
        for a, (r, c) in enumerate(spots)
        for b, (s, d) in enumerate(spots)
        if a < b and max(abs(r - s), abs(c - d)) == 1
    ]
    similar = [float(unit[a] @ unit[b]) for a, b in grid]
    order = np.argsort(similar)[int(0.3 * len(grid)) :]
    expected = {grid[index] for index in order}
    points = PCA(15).fit_transform(spectra)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cosine = points @ points.T
    np.fill_diagonal(cosine, -2)
    for a in range(len(spots)):
        near = np.argsort(-cosine[a])[:3]
        expected |= {(min(a, int(b)), max(a, int(b))) for b in near}
    found = {(a, b) for a, b in graph.edge_index.T.tolist() if a < b}
    # rounding may swap an edge at the threshold
    assert len(found ^ expected) <= 2
    assert is_undirected(graph)


def test_most_edges_join_equal_classes(graph: SceneGraph, scene: Any) -> None:
    assert graph.homophily > 0.99
    plain = pixel_graph(*scene, spectral_neighbors=0, drop_dissimilar=0.0)
    assert plain.homophily < graph.homophily


def test_numpy_and_integers_are_the_same(scene: Any) -> None:
    image, valid, labels = scene
    counts = (image * 1000).clamp_min(0).round()
    graph = pixel_graph(counts, valid, labels, components=4)
    array = counts.numpy().astype(np.uint16)
    other = pixel_graph(array, valid.numpy(), labels.numpy(), components=4)
    assert torch.equal(graph.edge_index, other.edge_index)
    torch.testing.assert_close(graph.x, other.x)


def test_basis_is_used(scene: Any) -> None:
    image, valid, _ = scene
    basis = PrincipalComponents.fit(image[:, :10].flatten(1).T, 5)
    graph = pixel_graph(image, valid, basis=basis)
    torch.testing.assert_close(graph.x, basis(image[:, valid].T))


@pytest.mark.parametrize('share', [-0.1, 1.1])
def test_share_of_edges_is_checked(scene: Any, share: float) -> None:
    with pytest.raises(UnitError, match='drop_dissimilar'):
        pixel_graph(*scene, drop_dissimilar=share)


def test_shapes_are_checked(scene: Any) -> None:
    image, valid, labels = scene
    with pytest.raises(BandMismatchError, match='cube of shape'):
        pixel_graph(image[0])
    with pytest.raises(BandMismatchError, match='valid of shape'):
        pixel_graph(image, valid[:-1])
    with pytest.raises(BandMismatchError, match='labels of shape'):
        pixel_graph(image, valid, labels[:, :-1])
    with pytest.raises(EmptyDataError, match='valid'):
        pixel_graph(image, torch.zeros_like(valid))


def test_principal_components_are_those_of_sklearn(scene: Any) -> None:
    spectra = scene[0].flatten(1).T
    basis = PrincipalComponents.fit(spectra, 5)
    peer = PCA(5, svd_solver='full').fit(spectra.double().numpy())
    found = basis(spectra).double().numpy()
    true = peer.transform(spectra.double().numpy())
    true /= np.std(true[:, 0])
    sign = np.sign((found * true).sum(0))
    np.testing.assert_allclose(found, true * sign, atol=1e-4)
    assert found[:, 0].std() == pytest.approx(1, abs=1e-5)
    assert basis.components == 5


def test_principal_components_refuse() -> None:
    with pytest.raises(EmptyDataError, match='equal'):
        PrincipalComponents.fit(torch.ones(10, 3), 2)
    with pytest.raises(EmptyDataError, match='1 spectra'):
        PrincipalComponents.fit(torch.ones(1, 3), 2)
    with pytest.raises(BandMismatchError, match='at least one component'):
        PrincipalComponents.fit(torch.rand(10, 3), 0)
    basis = PrincipalComponents.fit(torch.rand(10, 3), 7)
    assert basis.components == 3
    with pytest.raises(BandMismatchError, match='3 bands'):
        basis(torch.rand(10, 4))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('make', [pixel_graph, superpixel_graph, tile_graphs])
def test_numbers_are_finite(scene: Any, make: Any, value: float) -> None:
    image = scene.image.clone()
    image[3, 10, 10] = value
    basis = PrincipalComponents.fit(scene.image.flatten(1).T, 4)
    with pytest.raises(EmptyDataError, match='1 valid pixels hold NaN'):
        make(image, scene.valid, basis=basis)
    with pytest.raises(EmptyDataError, match='NaN or infinity'):
        PrincipalComponents.fit(image.flatten(1).T, 4)
    # where there are no data, anything may stand
    valid = scene.valid.clone()
    valid[10, 10] = False
    options = {'segments': 20} if make is superpixel_graph else {}
    assert make(image, valid, basis=basis, **options).x.isfinite().all()


@pytest.mark.parametrize(
    ('edges', 'said'),
    [
        ([[1, 0], [0, 1]], 'sorted'),
        ([[0, 0, 1], [1, 1, 0]], 'each once'),
        ([[0, 1], [0, 0]], 'itself'),
        ([[-1, 0], [0, 1]], 'between 3 nodes'),
        ([[0, 3], [3, 0]], 'between 3 nodes'),
        ([[0.0, 1.0], [1.0, 0.0]], 'int64'),
    ],
)
def test_edges_are_checked(edges: list[list[int]], said: str) -> None:
    """Views take edges in order: of others, they would lose one direction."""
    nodes = torch.rand(3, 2), torch.full((3,), -1), torch.zeros(3, 2)
    with pytest.raises(BandMismatchError, match=said):
        SceneGraph(nodes[0], torch.tensor(edges), *nodes[1:])


def test_subgraph_keeps_edges_inside(graph: SceneGraph) -> None:
    nodes = (
        torch.rand(graph.num_nodes, generator=torch.Generator().manual_seed(1)) < 0.5
    )
    part = graph.subgraph(nodes)
    number = {int(old): new for new, old in enumerate(nodes.nonzero())}
    expected = [
        (number[a], number[b])
        for a, b in graph.edge_index.T.tolist()
        if a in number and b in number
    ]
    assert [tuple(pair) for pair in part.edge_index.T.tolist()] == expected
    rows, columns = part.position.long().T
    assert (part.membership[rows, columns] == torch.arange(part.num_nodes)).all()
    assert int((part.membership >= 0).sum()) == part.num_nodes
