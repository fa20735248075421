# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views that draw edges and features, against counts and against loops."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import UnitError
from torchgeo_hsi.graphs import (
    AddEdges,
    ComposeViews,
    DropEdges,
    GraphView,
    MaskFeatures,
    SceneGraph,
)
from torchgeo_hsi.graphs.views.add_edges import NodePairs


def pairs_of(graph: SceneGraph) -> set[tuple[int, int]]:
    """Check that edges are sorted, each once, both ways; return one way of each."""
    found = [(a, b) for a, b in graph.edge_index.T.tolist()]
    there = set(found)
    assert found == sorted(there)
    assert all((b, a) in there and a != b for a, b in there)
    return {(a, b) for a, b in there if a < b}


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(count: int, edges: list[tuple[int, int]]) -> SceneGraph:
    both = sorted(edges + [(b, a) for a, b in edges])
    return SceneGraph(
        x=torch.ones(count, 3),
        edge_index=torch.tensor(both, dtype=torch.int64).reshape(-1, 2).T,
        label=torch.full((count,), -1),
        position=torch.zeros(count, 2),
    )


@pytest.mark.parametrize('p', [0.1, 0.5, 0.9])
def test_edges_are_dropped_as_often_as_said(graph: SceneGraph, p: float) -> None:
    before = pairs_of(graph)
    times = dict.fromkeys(before, 0)
    for seed in range(50):
        after = pairs_of(DropEdges(p)(graph, source(seed)))
        assert after <= before
        for pair in after:
            times[pair] += 1
    share = sum(times.values()) / (50 * len(before))
    # both are within five standard deviations
    assert share == pytest.approx(
        1 - p, abs=5 * (p * (1 - p) / 50 / len(before)) ** 0.5
    )
    kept = torch.tensor(list(times.values())) / 50
    assert (kept - 1 + p).abs().max() < 5 * (p * (1 - p) / 50) ** 0.5


def test_nothing_or_all_is_dropped(graph: SceneGraph) -> None:
    assert torch.equal(DropEdges(0.0)(graph).edge_index, graph.edge_index)
    assert DropEdges(1.0)(graph).num_edges == 0


@pytest.mark.parametrize('p', [0.0, 0.3, 2.0])
def test_new_edges_are_new(graph: SceneGraph, p: float) -> None:
    before = pairs_of(graph)
    after = pairs_of(AddEdges(p)(graph, source(0)))
    assert before <= after
    assert len(after) == len(before) + round(p * len(before))


def test_all_free_pairs_are_equally_likely() -> None:
    graph = small(9, [(0, 1), (1, 2), (4, 8)])
    free = set(combinations(range(9), 2)) - pairs_of(graph)
    times = dict.fromkeys(free, 0)
    rng = source(1)
    for _ in range(900):
        (new,) = pairs_of(AddEdges(1 / 3)(graph, rng)) - pairs_of(graph)
        times[new] += 1
    mean = 900 / len(free)
    chi = sum((number - mean) ** 2 / mean for number in times.values())
    # 32 degrees of freedom: 62.5 is the 99.9 % point
    assert chi < 62.5


def test_dense_graphs_are_filled() -> None:
    every = list(combinations(range(8), 2))
    graph = small(8, every[:-3])
    assert pairs_of(AddEdges(10.0)(graph)) == set(every)
    assert len(pairs_of(AddEdges(0.08)(graph))) == len(every) - 1
    full = small(8, every)
    assert AddEdges(0.5)(full) is full


def test_graphs_without_edges_stay() -> None:
    graph = small(4, [])
    assert AddEdges(0.5)(graph).num_edges == 0
    assert DropEdges(0.5)(graph).num_edges == 0


def test_new_edges_stay_within_tiles(tiles: SceneGraph) -> None:
    shuffled = torch.randperm(tiles.num_nodes, generator=source(2))
    back = shuffled.argsort()
    mixed = replace(
        tiles,
        graph=tiles.graph[shuffled],
        edge_index=torch.tensor(sorted(back[tiles.edge_index].T.tolist())).T,
    )
    for graph in (tiles, mixed):
        for p in (0.5, 5.0):
            found = AddEdges(p)(graph, source(3))
            assert pairs_of(graph) <= pairs_of(found)
            start, end = graph.graph[found.edge_index]
            assert (start == end).all()


def test_pairs_are_all_pairs(tiles: SceneGraph) -> None:
    pairs = NodePairs(tiles)
    found = pairs[torch.arange(pairs.total)]
    expected = {
        (a, b)
        for number in range(9)
        for a, b in combinations(
            (tiles.graph == number).nonzero().flatten().tolist(), 2
        )
    }
    assert {tuple(pair) for pair in found.T.tolist()} == expected
    assert pairs.total == len(expected)


def test_pairs_of_many_nodes_are_not_rounded() -> None:
    count = 3_000_000
    pairs = NodePairs.__new__(NodePairs)
    pairs.order = torch.arange(count)
    pairs.first = torch.tensor([0])
    pairs.total = count * (count - 1) // 2
    pairs.end = torch.tensor([pairs.total])
    row = torch.tensor([1, 2, 94906267, 2_999_999]).clamp_max(count - 1)
    for offset in (0, 1):
        high = row - offset
        high = high[high > 0]
        first = high * (high - 1) // 2
        assert torch.equal(pairs[first], torch.stack([0 * high, high]))
        assert torch.equal(pairs[first + high - 1], torch.stack([high - 1, high]))


def test_columns_are_masked(graph: SceneGraph) -> None:
    number, rng = 0, source(4)
    for _ in range(400):
        x = MaskFeatures(0.3)(graph, rng).x
        gone = (x == 0).all(0)
        assert torch.equal(x[:, ~gone], graph.x[:, ~gone])
        number += int(gone.sum())
    total = 400 * graph.x.shape[1]
    assert number / total == pytest.approx(0.3, abs=5 * (0.21 / total) ** 0.5)
    assert torch.equal(MaskFeatures(0.0)(graph).x, graph.x)


@pytest.mark.parametrize(
    'view', [DropEdges(0.4), AddEdges(0.4), MaskFeatures(0.5)], ids=repr
)
def test_generators_decide_and_nothing_else(graph: SceneGraph, view: GraphView) -> None:
    state = torch.get_rng_state()
    one, two, other = (view(graph, source(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)

    def both(found: SceneGraph) -> tuple[Tensor, Tensor]:
        return found.edge_index, found.x

    assert all(torch.equal(a, b) for a, b in zip(both(one), both(two), strict=True))
    assert not all(
        a.shape == b.shape and torch.equal(a, b)
        for a, b in zip(both(one), both(other), strict=True)
    )
    for found in (one, other):
        assert found.membership is graph.membership
        assert found.label is graph.label


def test_views_follow_each_other(graph: SceneGraph) -> None:
    view = ComposeViews(DropEdges(0.5), MaskFeatures(0.5))
    found = view(graph, source(7))
    rng = source(7)
    expected = MaskFeatures(0.5)(DropEdges(0.5)(graph, rng), rng)
    assert torch.equal(found.edge_index, expected.edge_index)
    assert torch.equal(found.x, expected.x)
    assert ComposeViews()(graph) is graph


@pytest.mark.parametrize('view', [DropEdges, MaskFeatures, AddEdges])
@pytest.mark.parametrize('p', [-0.1, 10.5, float('nan')])
def test_shares_are_checked(view: type[DropEdges], p: float) -> None:
    with pytest.raises(UnitError, match='Expected p'):
        view(p)
