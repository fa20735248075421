# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graphs of superpixels and of tiles."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.io import loadmat
from skimage.segmentation import slic

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.graphs import (
    PrincipalComponents,
    SceneGraph,
    graph_labels,
    pixel_graph,
    slic_superpixels,
    superpixel_graph,
    tile_graphs,
)

WORDS: dict[str, Any] = {'segments': 24, 'spectral_neighbors': 3, 'components': 6}


def test_superpixels_lie_within_fields(scene: Any) -> None:
    image, valid, _labels = scene
    field = torch.arange(24)[:, None] // 12 * 2 + torch.arange(20) // 10
    graph = superpixel_graph(image, valid, field, **WORDS)
    assert ((graph.membership >= 0) == valid).all()
    spread = graph.to_map(graph.label, -1)
    assert (spread == field)[valid].float().mean() > 0.97
    for number in range(graph.num_nodes):
        mask = (graph.membership == number).numpy()
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
    assert (graph.edge_index[0] != graph.edge_index[1]).all()


def test_nodes_are_means_of_their_pixels(scene: Any) -> None:
    image, valid, labels = scene
    basis = PrincipalComponents.fit(image[:, valid].T, 6)
    graph = superpixel_graph(image, valid, labels, basis=basis, **WORDS)
    for number in range(graph.num_nodes):
        mask = graph.membership == number
        mean = image[:, mask].mean(1)
        torch.testing.assert_close(graph.x[number], basis(mean[None])[0])
        centre = np.argwhere(mask.numpy()).mean(0)
        np.testing.assert_allclose(graph.position[number], centre, rtol=1e-5)
        mine = labels[mask & (labels >= 0)]
        expected = int(torch.bincount(mine).argmax()) if len(mine) else -1
        assert graph.label[number] == expected


def test_superpixels_are_those_of_skimage(scene: Any) -> None:
    image = scene[0]
    inside = torch.ones(24, 20, dtype=torch.bool)
    features = PrincipalComponents.fit(image.flatten(1).T, 3)(image.flatten(1).T)
    found = slic_superpixels(features, inside, 30, 0.2)
    # values from 0 to 4 are from 0 to 1 for skimage if it finds just these
    wide = features.double().numpy()
    true = slic(
        wide.reshape(24, 20, 3),
        n_segments=30,
        compactness=0.2 * 4 / (wide.max() - wide.min()),
        convert2lab=False,
    )
    assert len(np.unique(true)) == int(found.max()) + 1
    pairs = np.unique(np.stack([true.ravel(), found.numpy().ravel()]), axis=1)
    assert pairs.shape[1] == int(found.max()) + 1


def test_islands_become_superpixels_of_their_own(scene: Any) -> None:
    image, _, _ = scene
    valid = torch.zeros(24, 20, dtype=torch.bool)
    valid[12:, :10] = True
    valid[0, 0] = valid[3, 17] = True
    graph = superpixel_graph(image, valid, spectral_neighbors=0, segments=8)
    assert ((graph.membership >= 0) == valid).all()
    assert len({int(graph.membership[0, 0]), int(graph.membership[3, 17])}) == 2
    assert torch.bincount(graph.membership[valid]).min() >= 1


def test_a_bright_pixel_changes_only_its_surroundings(scene: Any) -> None:
    image, _, _ = scene
    inside = torch.ones(24, 20, dtype=torch.bool)
    spectra = image.flatten(1).T
    features = PrincipalComponents.fit(spectra, 3)(spectra)
    plain = slic_superpixels(features, inside, 24)
    features[0] = 100.0
    glint = slic_superpixels(features, inside, 24)
    far = torch.zeros(24, 20, dtype=torch.bool)
    far[12:, 10:] = True
    pairs = torch.stack([plain[far], glint[far]]).unique(dim=1)
    assert pairs.shape[1] == len(plain[far].unique()) == len(glint[far].unique())


def test_superpixels_refuse(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmptyDataError, match='segments'):
        superpixel_graph(*scene, segments=1)
    with pytest.raises(EmptyDataError, match='segments'):
        superpixel_graph(*scene, segments=10_000)
    noise = torch.rand(5, 30, 30, generator=torch.Generator().manual_seed(0))
    with pytest.raises(EmptyDataError, match='compactness'):
        superpixel_graph(noise, segments=20, compactness=0.001)
    original = builtins.__import__

    def without(name: str, *args: Any, **words: Any) -> Any:
        if name.startswith('skimage'):
            raise ImportError(name)
        return original(name, *args, **words)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[graph\]'):
        superpixel_graph(*scene, segments=20)


def test_tiles_have_no_edges_between_them(tiles: SceneGraph, scene: Any) -> None:
    _image, valid, labels = scene
    source, target = tiles.graph[tiles.edge_index]
    assert (source == target).all()
    # row by row; the corner of a tile without data is left out, the edge is narrow
    expected = [
        int(valid[row : row + 8, column : column + 8].sum())
        for row in range(0, 24, 8)
        for column in range(0, 20, 8)
    ]
    assert torch.bincount(tiles.graph).tolist() == expected
    rows, columns = tiles.position.long().T
    assert (tiles.graph == rows // 8 * 3 + columns // 8).all()
    assert (tiles.membership[rows, columns] == torch.arange(tiles.num_nodes)).all()
    torch.testing.assert_close(tiles.label, labels[rows, columns])


def test_tiles_are_graphs_of_their_own(tiles: SceneGraph, scene: Any) -> None:
    image, valid, _labels = scene
    basis = PrincipalComponents.fit(image[:, valid].T, 6)
    alone = pixel_graph(image[:, 8:16, 8:16], basis=basis, spectral_neighbors=3)
    part = tiles.subgraph(tiles.graph == 4)
    assert torch.equal(part.edge_index, alone.edge_index)
    torch.testing.assert_close(part.x, alone.x)


def test_graph_labels_are_majorities(tiles: SceneGraph, graph: SceneGraph) -> None:
    found = graph_labels(tiles)
    for number in range(9):
        mine = tiles.label[(tiles.graph == number) & (tiles.label >= 0)]
        assert found[number] == torch.bincount(mine).argmax()
    with pytest.raises(BandMismatchError, match='tile_graphs'):
        graph_labels(graph)


def test_tiles_without_data_are_left_out(scene: Any) -> None:
    image, valid, _labels = scene
    valid = valid.clone()
    valid[8:16] = False
    graphs = tile_graphs(image, valid, tile_size=8, spectral_neighbors=3, min_valid=0.9)
    assert torch.bincount(graphs.graph).tolist() == [64, 64, 64]
    with pytest.raises(EmptyDataError, match='smaller tiles'):
        tile_graphs(image, valid, tile_size=30, min_valid=0.9)


def test_tiles_of_superpixels(scene: Any) -> None:
    graphs = tile_graphs(
        *scene, tile_size=12, nodes='superpixel', segments=16, spectral_neighbors=2
    )
    assert int(graphs.graph.max()) == 3
    valid = scene[1]
    assert ((graphs.membership >= 0) == valid).all()
    source, target = graphs.graph[graphs.edge_index]
    assert (source == target).all()


def test_tiles_refuse(scene: Any) -> None:
    with pytest.raises(ValueError, match='superpixel'):
        tile_graphs(*scene, nodes='voxel')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='at least 2'):
        tile_graphs(*scene, tile_size=1)
    with pytest.raises(UnitError, match='min_valid'):
        tile_graphs(*scene, min_valid=2.0)


@pytest.mark.realdata
def test_graphs_of_a_real_scene(real_data: Path) -> None:
    file = loadmat(real_data / 'aviris' / 'jasper_ridge.mat')
    # the file is written column by column
    image = file['Y'].reshape(-1, 100, 100).transpose(0, 2, 1).astype(np.float32)
    share = file['A'].reshape(-1, 100, 100).transpose(0, 2, 1)
    labels = np.where(share.max(0) > 0.6, share.argmax(0), -1)
    pixels = pixel_graph(image, labels=labels)
    assert pixels.homophily > 0.99
    plain = pixel_graph(image, labels=labels, spectral_neighbors=0, drop_dissimilar=0)
    assert plain.homophily < 0.96
    graph = superpixel_graph(image, labels=labels)
    spread = graph.to_map(graph.label, -1).numpy()
    assert 800 < graph.num_nodes < 1200
    assert (spread == labels)[labels >= 0].mean() > 0.95
