# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graphs of one scene, and what of them is known, against loops over pixels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from data.small_scene.data import make_scene

import torchgeo_hsi.datamodules.graphs
from torchgeo_hsi.datamodules import HSIGraphDataModule
from torchgeo_hsi.datamodules._graph_parts import (
    tile_classes,
    tile_numbers,
    training_side,
)
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.datasets.splits import PixelSplit
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.graphs import pixel_graph

SHARES = {'train': 0.5, 'val': 0.2, 'test': 0.3}


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene()


def module(scene: LabelledScene, **words: Any) -> HSIGraphDataModule:
    options: dict[str, Any] = {
        'shares': SHARES,
        'components': 4,
        'graph_options': {'spectral_neighbors': 3},
        'least': 1,
        'steps_per_epoch': 3,
    }
    if words.get('level') == 'graph':
        options['tile_size'] = 6
    elif words.get('split', 'block') == 'block':
        options['block_size'] = 12
    if isinstance(words.get('split'), PixelSplit):
        del options['shares']
    return HSIGraphDataModule(dataset=scene, **(options | words))


class TestLabels:
    @pytest.mark.parametrize('mode', ['transductive', 'inductive'])
    def test_graph_knows_training_labels_only(
        self, scene: LabelledScene, mode: Any
    ) -> None:
        data = module(scene, mode=mode, shots=4)
        graph, split = data.graph, data.pixel_split
        train = split.mask('train')
        for node, (row, column) in enumerate(graph.position.long().tolist()):
            known = scene.labels[row, column] if train[row, column] else -1
            assert graph.label[node] == known
        assert torch.bincount(graph.label[graph.label >= 0]).tolist() == [4, 4, 4]

    @pytest.mark.parametrize('nodes', ['pixel', 'superpixel'])
    @pytest.mark.parametrize('name', ['val', 'test'])
    def test_targets_are_pixels(
        self, scene: LabelledScene, nodes: Any, name: str
    ) -> None:
        options = {'segments': 60} if nodes == 'superpixel' else {}
        data = module(scene, nodes=nodes, graph_options=options)
        data.setup('fit')
        data.setup('test')
        batch = getattr(data, f'{name}_dataset')[0]
        rows, columns = data.pixel_split.pixels(name)
        expected = [
            (int(data.graph.membership[r, c]), int(scene.labels[r, c]))  # type: ignore[index]
            for r, c in zip(rows, columns, strict=True)
        ]
        pairs = zip(batch['index'].tolist(), batch['target'].tolist(), strict=True)
        assert list(pairs) == expected
        # no label of the test, wherever one looks
        assert torch.equal(batch['known'], data.graph.label)

    def test_majority_of_training_pixels(self, scene: LabelledScene) -> None:
        data = module(scene, nodes='superpixel', graph_options={'segments': 60})
        train = data.pixel_split.mask('train')
        member = data.graph.membership
        assert member is not None
        for node in range(data.graph.num_nodes):
            mine = scene.labels[train & (member.numpy() == node)]
            expected = int(np.bincount(mine).argmax()) if len(mine) else -1
            assert data.graph.label[node] == expected
        index, _ = data.scene_graphs.targets('test')
        shared = float((data.graph.label[index] >= 0).float().mean())
        assert f'{shared:.0%} of the test pixels lie in' in ' '.join(data.notes)


class TestInductive:
    def test_training_sees_its_own_side(self, scene: LabelledScene) -> None:
        data = module(scene, mode='inductive')
        seen = data.training_graph.membership
        assert seen is not None
        for name in ('val', 'test'):
            assert not (seen.numpy() >= 0)[data.pixel_split.mask(name)].any()
        train = data.pixel_split.mask('train')
        assert (seen.numpy() >= 0)[train].all()
        # unlabelled pixels of that side, too
        assert (seen.numpy() >= 0)[scene.labels < 0].any()
        assert data.graph.num_nodes == scene.valid.sum() > data.training_graph.num_nodes

    def test_components_come_from_training(self, scene: LabelledScene) -> None:
        """Whatever the test holds, features of training stay the same."""
        first = module(scene, mode='inductive')
        split = first.pixel_split
        image = scene.image.copy()
        image[:, split.mask('test')] *= 3
        changed = replace(scene, image=image)
        second = module(changed, mode='inductive', split=split)
        assert torch.equal(first.training_graph.x, second.training_graph.x)
        train = split.mask('train')[scene.valid]
        assert torch.equal(first.graph.x[train], second.graph.x[train])
        moved = module(changed, split=split).graph.x[train]
        assert not torch.allclose(first.graph.x[train], moved)

    def test_nearest_side(self, scene: LabelledScene) -> None:
        split = module(scene).pixel_split
        side = training_side(split)
        rows, columns = np.nonzero(split.codes >= 0)
        codes = split.codes[rows, columns]
        rng = np.random.default_rng(0)
        for r, c in rng.integers(0, 52, (200, 2)):
            distance = (rows - r) ** 2 + (columns - c) ** 2
            near = set((codes[distance == distance.min()] == 0).tolist())
            if len(near) == 1 and not split.left_out[r, c]:
                assert side[r, c] == near.pop()
        assert not side[split.left_out].any()

    def test_few_labels_keep_the_side(self, scene: LabelledScene) -> None:
        many, few = (
            module(scene, mode='inductive'),
            module(scene, mode='inductive', shots=2),
        )
        assert many.training_graph.num_nodes == few.training_graph.num_nodes

    def test_random_pixels_have_no_side(self, scene: LabelledScene) -> None:
        with pytest.raises(ValueError, match="split='block'"):
            module(scene, mode='inductive', split='random').setup('fit')


class TestTiles:
    def test_whole_tiles(self, scene: LabelledScene) -> None:
        data = module(scene, level='graph')
        codes = data.pixel_split.codes
        assert (data.pixel_split.method, data.pixel_split.guard) == ('block', 0)
        for row in range(0, 60, 6):
            for column in range(0, 52, 6):
                part = codes[row : row + 6, column : column + 6]
                assert len(set(part[part >= 0].tolist())) <= 1

    def test_classes(self, scene: LabelledScene) -> None:
        split = module(scene, split='random').pixel_split
        labels, codes = tile_classes(split, 7)
        numbers = tile_numbers((60, 52), 7)
        assert numbers[0, 7] == 1
        assert numbers[7, 0] == 8
        for tile in range(numbers.max() + 1):
            mine = split.codes[numbers == tile]
            used = mine >= 0
            if not used.any():
                assert labels[tile] == codes[tile] == -1
                continue
            assert codes[tile] == np.bincount(mine[used]).argmax()
            own = split.labels[numbers == tile][mine == codes[tile]]
            assert labels[tile] == np.bincount(own).argmax()

    @pytest.mark.parametrize('mode', ['transductive', 'inductive'])
    def test_known_and_targets(self, scene: LabelledScene, mode: Any) -> None:
        data = module(scene, level='graph', shots=3, mode=mode)
        known = data.scene_graphs.known()
        assert torch.bincount(known[known >= 0]).tolist() == [3, 3, 3]
        index, target = data.scene_graphs.targets('test')
        assert not (known[index] >= 0).any()
        assert len(index) == len(target) > 0
        number = data.graph.graph
        assert number is not None
        for tile, label in zip(index.tolist(), target.tolist(), strict=True):
            rows, columns = data.graph.position[number == tile].long().T
            assert data.pixel_split.mask('test')[rows, columns].any()
            mine = data.pixel_split.select('test', -1)[rows, columns]
            assert label == np.bincount(mine[mine >= 0]).argmax()
        assert data.leaks is None

    def test_inductive_tiles(self, scene: LabelledScene) -> None:
        data = module(scene, level='graph', mode='inductive')
        seen = data.training_graph.membership
        assert seen is not None
        for name in ('val', 'test'):
            assert not (seen.numpy() >= 0)[data.pixel_split.mask(name)].any()


class TestModule:
    def test_same_as_by_hand(self, scene: LabelledScene) -> None:
        data = module(scene)
        split = data.pixel_split
        labels = split.select('train', -1)
        words = {'spectral_neighbors': 3, 'components': 4}
        graph = pixel_graph(scene.image, scene.valid, labels, **words)  # type: ignore[arg-type]
        assert torch.equal(graph.edge_index, data.graph.edge_index)
        assert torch.equal(graph.x, data.graph.x)
        assert data.in_channels == 4
        assert data.num_classes == 3

    def test_leaks(self, scene: LabelledScene) -> None:
        block, random = module(scene).leaks, module(scene, split='random').leaks
        assert block is not None
        assert random is not None
        assert block.touching['test'] == 0 < random.touching['test']
        assert block.window == 5

    def test_loaders(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        batches = list(data.train_dataloader())
        assert len(batches) == 3
        assert all(batch['graph'] is data.graph for batch in batches)
        (batch,) = data.val_dataloader()
        moved = data.transfer_batch_to_device(batch, torch.device('cpu'), 0)
        assert moved['graph'] is data.graph
        assert data.on_after_batch_transfer(batch, 0) is batch

    @pytest.mark.parametrize('mode', ['transductive', 'inductive'])
    def test_graphs_stay_the_same_elsewhere(
        self, scene: LabelledScene, mode: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a task computes once for a graph is not computed in each step."""
        data = module(scene, mode=mode)
        data.setup('fit')
        here = torch.device('cpu')
        monkeypatch.setattr(
            torchgeo_hsi.datamodules.graphs, 'move_graph', lambda g, device: replace(g)
        )
        seen = []
        for _ in range(2):
            for loader in (data.train_dataloader(), data.val_dataloader()):
                for batch in loader:
                    moved = data.transfer_batch_to_device(batch, here, 0)['graph']
                    assert moved is not batch['graph']
                    seen.append(moved)
        assert len({id(graph) for graph in seen}) == (
            1 if mode == 'transductive' else 2
        )

    def test_a_split_that_was_made_before(self, scene: LabelledScene) -> None:
        split = module(scene).pixel_split
        assert module(scene, split=split).pixel_split is split
        few = module(scene, split=split, shots=4)
        assert torch.bincount(few.graph.label[few.graph.label >= 0]).tolist() == [4] * 3
        # those that are left over stay on the side of training
        wide = module(scene, split=split, mode='inductive').training_graph
        few = module(scene, split=split, shots=4, mode='inductive')
        assert few.training_graph.num_nodes == wide.num_nodes
        for option in (
            {'guard': 1},
            {'block_size': 9},
            {'folds': 3},
            {'shares': SHARES},
        ):
            with pytest.raises(
                ValueError, match=f'PixelSplit has no {next(iter(option))}'
            ):
                assert HSIGraphDataModule(scene, split=split, **option).pixel_split  # type: ignore[arg-type]
        small = make_scene(shape=(30, 30))
        with pytest.raises(BandMismatchError, match=r'split of \(30, 30\) pixels'):
            assert HSIGraphDataModule(small, split=split).pixel_split

    def test_place_of_the_map(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('predict')
        (batch,) = data.predict_dataloader()
        assert torch.equal(batch['valid'][0], torch.from_numpy(scene.valid))
        assert batch['transform'][0, :6].tolist() == list(scene.transform)[:6]  # type: ignore[arg-type]
        assert data.predict_dataset.crs == scene.crs  # type: ignore[union-attr]

    def test_without_validation(self, scene: LabelledScene) -> None:
        data = module(scene, shares={'train': 0.5, 'test': 0.5})
        data.setup('fit')
        assert data.val_dataloader() == []
        with pytest.raises(EmptyDataError, match='has no val, but train, test'):
            data.setup('validate')

    def test_errors(self, scene: LabelledScene) -> None:
        for name in ('nodes', 'level', 'mode'):
            with pytest.raises(ValueError, match=f'Expected {name}='):
                module(scene, **{name: 'region'})
        for name in ('folds', 'guard', 'block_size'):
            with pytest.raises(ValueError, match=f'no {name}'):
                module(scene, level='graph', **{name: 3})
        assert module(scene, level='graph', split='region', guard=1).pixel_split
        with pytest.raises(ValueError, match='steps_per_epoch'):
            module(scene, steps_per_epoch=0)
        with pytest.raises(EmptyDataError, match='most of its labels in test'):
            module(scene, level='graph', split='random', tile_size=30).setup('test')
