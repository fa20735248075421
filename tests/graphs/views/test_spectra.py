# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectral views against numpy's eigenvalues."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from torchgeo_hsi.errors import JobError, UnitError
from torchgeo_hsi.graphs import DropEdges, DualPrism, SceneGraph, SpectralPerturbation
from torchgeo_hsi.graphs.views.spectral_perturbation import (
    norm_gradient,
    norm_gradient_eigenvalues,
    project_budget,
)


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adjacency(graph: SceneGraph) -> NDArray[np.float64]:
    found = np.zeros((graph.num_nodes, graph.num_nodes))
    found[tuple(graph.edge_index.numpy())] = 1
    assert (found == found.T).all()
    assert not found.diagonal().any()
    assert found.sum() == graph.num_edges
    return found


def norm(matrix: NDArray[np.float64]) -> float:
    """Norm of the eigenvalues of the normalized adjacency matrix, by definition."""
    looped = matrix + np.eye(len(matrix))
    scale = looped.sum(1) ** -0.5
    return float(np.linalg.norm(np.linalg.eigvalsh(looped * scale[:, None] * scale)))


@pytest.fixture
def small(graph: SceneGraph) -> SceneGraph:
    nodes = torch.zeros(graph.num_nodes, dtype=torch.bool)
    nodes[:60] = True
    return graph.subgraph(nodes)


def test_gradient_is_that_of_eigenvalues(small: SceneGraph) -> None:
    matrix = torch.from_numpy(adjacency(small))
    weights = torch.rand(matrix.shape, generator=source(0), dtype=torch.float64)
    weights = (weights + weights.T) / 2
    matrix = (0.7 * matrix + 0.3 * weights).fill_diagonal_(0)
    value, slope = norm_gradient(matrix)
    peer, other = norm_gradient_eigenvalues(matrix)
    assert value == pytest.approx(norm(matrix.numpy()), rel=1e-12)
    assert peer == pytest.approx(value, rel=1e-12)
    off = ~torch.eye(len(matrix), dtype=torch.bool)
    torch.testing.assert_close(slope[off], other[off], rtol=1e-8, atol=1e-10)
    for a, b in ((0, 1), (3, 40), (10, 12)):
        moved = matrix.numpy().copy()
        moved[a, b] += 1e-5
        moved[b, a] += 1e-5
        change = (norm(moved) - norm(matrix.numpy())) / 1e-5
        assert float(slope[a, b]) == pytest.approx(change, rel=1e-3)


@pytest.mark.parametrize('budget', [0.5, 7.0, 30.0, 1e6])
def test_projection_is_the_nearest_point(budget: float) -> None:
    values = torch.randn(200, generator=source(1)).double() * 0.6 + 0.2
    found = project_budget(values, budget)
    assert found.min() >= 0
    assert found.max() <= 1
    assert float(found.sum()) <= budget * (1 + 2e-4)
    assert (
        float(found.sum())
        > (1 - 2e-4) * min(budget, float(values.clamp(0, 1).sum())) - 1e-9
    )
    # no feasible point is nearer: the angle to all of them is blunt (a convex set)
    for seed in range(200):
        other = torch.rand(200, generator=source(seed)).double()
        other *= min(1.0, budget / float(other.sum()))
        assert float((values - found) @ (other - found)) <= 2e-4 * budget


@pytest.mark.parametrize('eigenvalues', [False, True])
def test_the_norm_goes_where_it_should(small: SceneGraph, eigenvalues: bool) -> None:
    start = norm(adjacency(small))
    drawn = {}
    for direction in ('max', 'min'):
        view = SpectralPerturbation(direction, 0.3, eigenvalues=eigenvalues)
        drawn[direction] = [
            norm(adjacency(view(small, source(seed)))) for seed in range(10)
        ]
    random = [norm(adjacency(DropEdges(0.3)(small, source(s)))) for s in range(10)]
    assert min(drawn['max']) > start > max(drawn['min'])
    # what is learned changes the norm more than as many random edges do
    assert np.mean(drawn['max']) > np.mean(random)


def test_both_ways_to_the_gradient_learn_the_same(small: SceneGraph) -> None:
    found = [
        SpectralPerturbation('max', eigenvalues=way).probabilities(small)
        for way in (False, True)
    ]
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-2, rtol=0)


@pytest.mark.parametrize('direction', ['max', 'min'])
def test_flips_are_drawn_by_their_probabilities(
    small: SceneGraph, direction: Any
) -> None:
    view = SpectralPerturbation(direction, ratio=0.2)
    pairs, probability = view.probabilities(small)
    assert float(probability.sum()) <= 0.2 * small.num_edges / 2 + 1e-2
    before = adjacency(small)
    times = np.zeros_like(before)
    rng = source(2)
    for _ in range(300):
        times += adjacency(view(small, rng)) != before
    expected = np.zeros_like(before)
    expected[tuple(pairs.numpy())] = probability
    expected += expected.T
    spread = np.sqrt(expected * (1 - expected) / 300)
    assert (np.abs(times / 300 - expected) <= 5 * spread + 1e-2).all()


def test_tiles_are_perturbed_on_their_own(tiles: SceneGraph) -> None:
    for view in (SpectralPerturbation('min'), DualPrism(std=5.0), DualPrism('mask')):
        found = view(tiles, source(3))
        start, end = tiles.graph[found.edge_index]
        assert (start == end).all()
        assert not torch.equal(found.edge_index, tiles.edge_index)
    # each tile has the budget of its own edges, and is learned as if alone
    view = SpectralPerturbation('max', 0.2)
    pairs, probability = view.probabilities(tiles)
    part = tiles.subgraph(tiles.graph == 4)
    alone, values = view.probabilities(part)
    mine = tiles.graph[pairs[0]] == 4
    first = int((tiles.graph < 4).sum())
    assert torch.equal(pairs[:, mine] - first, alone)
    torch.testing.assert_close(probability[mine], values)


def test_nothing_is_taken_for_another_graph(small: SceneGraph) -> None:
    view = SpectralPerturbation('max')
    first = view.probabilities(small)
    assert view.probabilities(small) is first
    # the same edges in other tensors are the same graph
    assert view.probabilities(small.with_edges(small.edge_index.clone())) is first
    other = DropEdges(0.5)(small, source(4))
    assert view.probabilities(other) is not first
    for name, value in {
        'direction': 'min',
        'ratio': 0.1,
        'steps': 5,
        'rate': 0.1,
    }.items():
        changed = copy.deepcopy(view)
        setattr(changed, name, value)
        assert not torch.equal(changed.probabilities(small)[1], first[1])


def test_dual_prism_changes_high_frequencies_only(small: SceneGraph) -> None:
    before = adjacency(small)
    laplacian = np.diag(before.sum(1)) - before
    values, vectors = np.linalg.eigh(laplacian)
    view = DualPrism('mask', frequencies=0.4, p=1.0)
    kept = int(np.ceil(0.4 * len(values)))
    values[-kept:] = 0
    weight = -(vectors * values) @ vectors.T
    np.fill_diagonal(weight, 0)
    assert (adjacency(view(small)) == (weight > 0.5)).all()


def test_noise_of_dual_prism_has_its_size(small: SceneGraph) -> None:
    before = adjacency(small)
    flips = [
        (adjacency(DualPrism(std=std)(small, source(seed))) != before).sum()
        for std in (0.0, 0.5, 3.0, 10.0)
        for seed in range(3)
    ]
    mean = np.reshape(flips, (4, 3)).mean(1)
    assert mean[0] == 0
    assert (np.diff(mean) >= 0).all()
    assert mean[-1] > 0
    # nothing is chosen, nothing changes
    assert torch.equal(DualPrism(p=0.0)(small).edge_index, small.edge_index)
    assert torch.equal(DualPrism(frequencies=0.0)(small).edge_index, small.edge_index)


@pytest.mark.parametrize(
    'view', [SpectralPerturbation('min'), DualPrism(std=5.0)], ids=repr
)
def test_generators_decide(small: SceneGraph, view: Any) -> None:
    state = torch.get_rng_state()
    one, two, other = (view(small, source(seed)).edge_index for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, two)
    assert one.shape != other.shape or not torch.equal(one, other)


@pytest.mark.parametrize('view', [SpectralPerturbation, DualPrism])
def test_large_graphs_are_refused(view: Any, graph: SceneGraph) -> None:
    with pytest.raises(JobError, match=r'468 nodes they take 0\.0 GiB.*max_nodes'):
        view(max_nodes=400)(graph)


def test_the_limit_is_that_of_a_tile(tiles: SceneGraph) -> None:
    assert tiles.num_nodes > 64
    DualPrism(max_nodes=64)(tiles)
    with pytest.raises(JobError, match='64 nodes'):
        DualPrism(max_nodes=63)(tiles)


@pytest.mark.parametrize(
    ('make', 'error'),
    [
        (lambda: SpectralPerturbation('up'), ValueError),  # type: ignore[arg-type]
        (lambda: SpectralPerturbation(ratio=1.5), UnitError),
        (lambda: SpectralPerturbation(steps=0), ValueError),
        (lambda: SpectralPerturbation(rate=0.0), ValueError),
        (lambda: DualPrism('low'), ValueError),  # type: ignore[arg-type]
        (lambda: DualPrism(std=-1.0), UnitError),
        (lambda: DualPrism(frequencies=2.0), UnitError),
        (lambda: DualPrism(p=-1.0), UnitError),
    ],
)
def test_settings_are_checked(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match='Expected'):
        make()
