# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses of graph contrastive learning, against loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tasks.graph_contrast.small import NONE, generator, make, views_of
from torch import Tensor

from torchgeo_hsi.graphs import SceneGraph, diffusion_edges


def pooled(values: Tensor, number: Tensor | None) -> Tensor:
    assert number is not None
    return torch.stack([values[number == k].mean(0) for k in number.unique()])


def grace(u: Tensor, v: Tensor, tau: float) -> float:
    """The loss of the paper, pair by pair."""

    def one(a: Tensor, b: Tensor, i: int) -> float:
        def s(x: Tensor, y: Tensor) -> float:
            return math.exp(float(F.cosine_similarity(x, y, dim=0)) / tau)

        count = len(a)
        between = sum(s(a[i], b[j]) for j in range(count))
        within = sum(s(a[i], a[j]) for j in range(count) if j != i)
        return -math.log(s(a[i], b[i]) / (between + within))

    count = len(u)
    return sum(one(u, v, i) + one(v, u, i) for i in range(count)) / (2 * count)


class TestLosses:
    @pytest.mark.parametrize('level', ['node', 'graph'])
    def test_grace(self, tiles: SceneGraph, level: Any) -> None:
        task = make('grace', level=level, temperature=0.7, sample_nodes=0)
        found = task.compare(tiles, generator())
        objective: Any = task.objective
        sides = [objective.embed(view) for view in views_of(task, tiles)]
        if level == 'graph':
            sides = [pooled(side, tiles.graph) for side in sides]
        u, v = (objective.projector(side).detach().double() for side in sides)
        assert found.item() == pytest.approx(grace(u, v, 0.7), rel=1e-5)

    def test_grace_of_some_nodes(self, graph: SceneGraph) -> None:
        task = make('grace', sample_nodes=10, views=NONE)
        found = task.compare(graph, generator())
        drawn = torch.randperm(graph.num_nodes, generator=generator())[:10]
        objective: Any = task.objective
        u = objective.projector(objective.embed(graph)[drawn]).detach().double()
        assert found.item() == pytest.approx(grace(u, u, 0.4), rel=1e-5)

    def test_bgrl(self, graph: SceneGraph) -> None:
        task = make('bgrl')
        objective: Any = task.objective
        for parameter in objective.teacher.parameters():
            parameter.data.add_(0.1)
        found = task.compare(graph, generator())
        first, second = views_of(task, graph)
        total = 0.0
        for mine, other in ((first, second), (second, first)):
            guess = objective.predictor(objective.encoder(mine.x, mine.edge_index))
            truth = objective.teacher(other.x, other.edge_index)
            dots = (guess * truth).sum(1) / guess.norm(dim=1) / truth.norm(dim=1)
            total += float(1 - dots.mean())
        assert found.item() == pytest.approx(total, rel=1e-5)
        found.backward()
        assert all(p.grad is None for p in objective.teacher.parameters())
        assert all(p.grad is not None for p in objective.encoder.parameters())

    def test_barlow_twins(self, graph: SceneGraph) -> None:
        task = make('barlow_twins', activation='prelu')
        found = task.compare(graph, generator())
        a, b = (
            task.objective.embed(view).detach().double().numpy()
            for view in views_of(task, graph)
        )
        a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (a, b))
        c = a.T @ b / len(a)
        off = c[~np.eye(len(c), dtype=bool)]
        expected = ((1 - np.diag(c)) ** 2).sum() + (off**2).sum() / len(c)
        assert float(found.detach()) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize('diffusion', [True, False])
    def test_mvgrl(self, graph: SceneGraph, diffusion: bool) -> None:
        task = make('mvgrl', layers=1, diffusion=diffusion, activation='prelu')
        found = task.compare(graph, generator())
        objective: Any = task.objective
        count = graph.num_nodes
        eye = torch.eye(count)
        adjacency = eye.index_put(tuple(graph.edge_index), torch.ones(graph.num_edges))
        scale = adjacency.sum(1).rsqrt()
        adjacency = scale[:, None] * adjacency * scale
        other = adjacency
        if diffusion:
            edges, weight = diffusion_edges(graph)
            other = torch.zeros(count, count).index_put(tuple(edges), weight)
            exact = 0.2 * torch.linalg.inv(eye - 0.8 * adjacency)
            kept = other > 0
            torch.testing.assert_close(other[kept], exact[kept], atol=2e-3, rtol=0)

        def layer(encoder: Any, x: Tensor, matrix: Tensor) -> Tensor:
            convolution = encoder.convolutions[0]
            h = matrix @ (x @ convolution.lin.weight.T) + convolution.bias
            return F.prelu(h, encoder.activations[0][0].weight)

        shuffled = graph.x[torch.randperm(count, generator=generator())]
        h1, h3 = (
            layer(objective.encoder.first, x, adjacency) for x in (graph.x, shuffled)
        )
        h2, h4 = (
            layer(objective.encoder.second, x, other) for x in (graph.x, shuffled)
        )
        c1, c2 = (h.mean(0).sigmoid() for h in (h1, h2))
        w, b = objective.discriminator.weight, objective.discriminator.bias
        pairs = ((h2, c1, 1.0), (h1, c2, 1.0), (h4, c1, 0.0), (h3, c2, 0.0))
        losses = [
            F.binary_cross_entropy_with_logits(
                h @ w @ c + b, torch.full((count,), truth)
            )
            for h, c, truth in pairs
        ]
        torch.testing.assert_close(found, torch.stack(losses).mean())
        torch.testing.assert_close(task.embed(graph), (h1 + h2).detach())

    def test_diffusion_is_computed_once(
        self, graph: SceneGraph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also if the graphs of training and evaluation are different ones."""
        from torchgeo_hsi.tasks import _graph_mvgrl

        counted = []

        def counting(found: SceneGraph, **options: Any) -> Any:
            counted.append(found)
            return diffusion_edges(found, **options)

        monkeypatch.setattr(_graph_mvgrl, 'diffusion_edges', counting)
        task = make('mvgrl')
        other = graph.subgraph(graph.position[:, 0] < 6)
        for _ in range(2):
            task.compare(other, generator())
            task.embed(graph)
        assert [found is other for found in counted] == [True, False]

    def test_mvgrl_of_tiles(self, tiles: SceneGraph) -> None:
        task = make('mvgrl', level='graph', diffusion=False, views=NONE)
        found = task.compare(tiles, generator())
        objective: Any = task.objective
        number = tiles.graph
        assert number is not None
        h = [
            e(tiles.x, tiles.edge_index)
            for e in (objective.encoder.first, objective.encoder.second)
        ]
        t = [objective.global_head(pooled(x, number)) for x in h]
        total = 0.0
        for nodes, summary in ((h[0], t[1]), (h[1], t[0])):
            scores = objective.local_head(nodes) @ summary.T
            own = F.one_hot(number).bool()
            true = math.log(2) - F.softplus(-scores[own])
            false = F.softplus(-scores[~own]) + scores[~own] - math.log(2)
            total += float(false.mean() - true.mean())
        assert found.item() == pytest.approx(total, abs=1e-6)
