# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of graph convolutions against dense matrices and torch_geometric."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models.graphs import (
    BilinearDiscriminator,
    GraphEncoder,
    TwoViewEncoder,
    mean_pool,
    propagation_matrix,
)

geometric = pytest.importorskip('torch_geometric.nn')


def random_edges(nodes: int = 40, edges: int = 90, seed: int = 0) -> Tensor:
    """Draw an undirected graph with a node that has no edge."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(0, nodes - 1, (2, edges), generator=generator)
    dense = torch.zeros(nodes, nodes, dtype=torch.bool)
    dense[pairs[0], pairs[1]] = dense[pairs[1], pairs[0]] = True
    dense.fill_diagonal_(False)
    return dense.nonzero().T


def dense_normalized(edges: Tensor, nodes: int, weight: Any = 1.0) -> np.ndarray:
    """Normalize with numpy, as the paper writes it."""
    matrix = np.eye(nodes)
    matrix[edges[0], edges[1]] = weight
    scale = np.diag(matrix.sum(1) ** -0.5)
    return scale @ matrix @ scale


class TestAdjacency:
    def test_numpy(self) -> None:
        edges = random_edges()
        found = propagation_matrix(edges, 40)
        assert found.layout == torch.sparse_csr
        np.testing.assert_allclose(
            found.to_dense(), dense_normalized(edges, 40), atol=1e-6
        )

    def test_weights(self) -> None:
        edges = random_edges()
        upper = torch.rand(40, 40, dtype=torch.float64)
        weight = (upper + upper.T)[edges[0], edges[1]]
        found = propagation_matrix(edges, 40, weight)
        expected = dense_normalized(edges, 40, weight.numpy())
        np.testing.assert_allclose(found.to_dense(), expected, atol=1e-12)

    def test_order_of_edges_does_not_matter(self) -> None:
        edges = random_edges()
        shuffled = edges[:, torch.randperm(edges.shape[1])]
        first, second = (propagation_matrix(e, 40) for e in (edges, shuffled))
        assert torch.equal(first.to_dense(), second.to_dense())

    def test_no_edges(self) -> None:
        empty = torch.zeros(2, 0, dtype=torch.long)
        assert torch.equal(propagation_matrix(empty, 3).to_dense(), torch.eye(3))

    def test_silent(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            propagation_matrix(random_edges(), 40)


class TestEncoder:
    @pytest.mark.parametrize('layers', [1, 2, 3])
    def test_list_of_edges_gives_the_same(self, layers: int) -> None:
        """The sparse product is torch_geometric's convolution along edges."""
        edges, x = random_edges(), torch.randn(40, 6)
        encoder = GraphEncoder(6, 12, 5, layers)
        expected = x
        for layer in encoder.convolutions:
            inputs, outputs = layer.lin.weight.shape[::-1]  # type: ignore[union-attr]
            along = geometric.GCNConv(inputs, outputs)
            along.load_state_dict(layer.state_dict())
            expected = along(expected, edges).relu()
        found = encoder(x, propagation_matrix(edges, 40))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(encoder(x, edges), found)

    def test_gradients(self) -> None:
        edges = random_edges()
        matrix = torch.from_numpy(dense_normalized(edges, 40)).float()
        encoder = GraphEncoder(6, 12, 5)
        x = torch.randn(40, 6, requires_grad=True)
        (found,) = torch.autograd.grad(encoder(x, edges).square().sum(), x)
        expected = x
        for layer in encoder.convolutions:
            weight = layer.lin.weight  # type: ignore[union-attr]
            bias: Any = layer.bias
            expected = (matrix @ (expected @ weight.T) + bias).relu()
        (truth,) = torch.autograd.grad(expected.square().sum(), x)
        torch.testing.assert_close(found, truth, atol=1e-5, rtol=1e-4)

    def test_sees_as_many_edges_as_layers(self) -> None:
        chain = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
        edges = torch.cat([chain, chain.flip(0)], dim=1)
        encoder = GraphEncoder(3, 8, 4, layers=2, activation='prelu')
        x = torch.randn(5, 3, requires_grad=True)
        (seen,) = torch.autograd.grad(encoder(x, edges)[0].sum(), x)
        assert (seen.abs().sum(1) > 0).tolist() == [True, True, True, False, False]

    @pytest.mark.parametrize('activation', ['relu', 'prelu', 'elu'])
    def test_widths(self, activation: Any) -> None:
        encoder = GraphEncoder(6, 12, 5, 2, activation, batch_norm=True)
        sizes = [tuple(p.shape) for p in encoder.parameters() if p.ndim == 2]
        assert sizes == [(12, 6), (5, 12)]
        norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm1d)]
        assert [m.num_features for m in norms] == [12, 5]
        assert encoder.out_channels == 5

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match='1 or more layers'):
            GraphEncoder(3, layers=0)
        with pytest.raises(ValueError, match='relu, prelu, elu'):
            GraphEncoder(3, activation='swish')  # type: ignore[arg-type]
        with pytest.raises(BandMismatchError, match='6 features'):
            GraphEncoder(6)(torch.randn(40, 7), random_edges())

    def test_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__('sys').modules, 'torch_geometric.nn', None)
        with pytest.raises(ImportError, match=r'torchgeo-hsi\[graph\]'):
            GraphEncoder(6)


class TestPooling:
    def test_loop(self) -> None:
        x, graph = torch.randn(20, 3), torch.randint(0, 4, (20,))
        found = mean_pool(x, graph, 6)
        for number in range(6):
            mine = x[graph == number]
            expected = mine.mean(0) if len(mine) else torch.zeros(3)
            torch.testing.assert_close(found[number], expected)
        assert len(mean_pool(x, graph)) == int(graph.max()) + 1


class TestTwoViews:
    def test_sum(self) -> None:
        first, second = random_edges(seed=1), random_edges(seed=2)
        encoder, x = TwoViewEncoder(6, out=5), torch.randn(40, 6)
        expected = encoder.first(x, first) + encoder.second(x, second)
        assert torch.equal(encoder(x, first, second), expected)
        assert encoder.out_channels == 5

    def test_discriminator(self) -> None:
        """The same as torch's bilinear layer."""
        mine, truth = BilinearDiscriminator(4), nn.Bilinear(4, 4, 1)
        nn.init.uniform_(mine.bias)
        truth.weight.data[0], truth.bias.data[0] = mine.weight.data, mine.bias.data
        nodes, summary = torch.randn(9, 4), torch.randn(1, 4)
        expected = truth(nodes, summary.expand(9, -1))[:, 0]
        torch.testing.assert_close(mine(nodes, summary), expected)
