# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graph contrastive learning as a task: training, scores and maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from data.small_scene.data import NAMES
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from tasks.graph_contrast.small import NONE, OBJECTIVES, generator, make, views_of

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules import HSIGraphDataModule
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnknownNameError,
)
from torchgeo_hsi.graphs import SceneGraph
from torchgeo_hsi.tasks import graph_probabilities


class TestTask:
    @pytest.mark.parametrize('objective', OBJECTIVES)
    def test_steps_repeat(self, graph: SceneGraph, objective: Any) -> None:
        task = make(objective)
        first, again = (task.compare(graph, generator()) for _ in range(2))
        assert torch.equal(first, again)

    def test_views_differ(self, graph: SceneGraph) -> None:
        task = make('grace', views=[{'drop_edges': 0.5}, {'mask_features': {'p': 0.9}}])
        first, second = views_of(task, graph)
        assert first.num_edges < graph.num_edges == second.num_edges
        assert torch.equal(first.x, graph.x)
        assert not torch.equal(second.x, graph.x)

    @pytest.mark.parametrize(
        'part',
        ['add_edges', {'spectral_perturbation': {'steps': 2}}, {'dual_prism': None}],
    )
    def test_all_parts(self, graph: SceneGraph, part: Any) -> None:
        view = {part: 0.2} if isinstance(part, str) else part
        task = make('barlow_twins', views=[view, {}])
        first, second = views_of(task, graph)
        assert second is graph
        assert first is not graph
        assert task.compare(graph, generator()).isfinite()

    @pytest.mark.parametrize('objective', OBJECTIVES)
    def test_embeds_the_graph_as_it_is(self, graph: SceneGraph, objective: Any) -> None:
        """No view reaches an evaluation, and normalizations stay as they are."""
        task = make(objective, batch_norm=True, views=[{'drop_edges': 1.0}] * 2)
        task.train()
        task.compare(graph, generator())
        state = {k: v.clone() for k, v in task.state_dict().items()}
        found = task.embed(graph)
        assert torch.equal(found, task.embed(graph))
        torch.testing.assert_close(task.state_dict(), state)
        assert task.training
        assert not found.requires_grad
        lonely = graph.with_edges(graph.edge_index[:, :0])
        assert not torch.allclose(found, task.embed(lonely))

    def test_teacher(self) -> None:
        task = make('bgrl', teacher_momentum=0.9)
        objective: Any = task.objective
        torch.testing.assert_close(
            objective.encoder.state_dict(), objective.teacher.state_dict()
        )
        before = [p.clone() for p in objective.teacher.parameters()]
        for parameter in objective.encoder.parameters():
            parameter.data.add_(1.0)
        objective.follow(0.9)
        for old, new in zip(before, objective.teacher.parameters(), strict=True):
            torch.testing.assert_close(new, old + 0.1)

    def test_errors(self, graph: SceneGraph) -> None:
        with pytest.raises(ValueError, match='grace, bgrl, mvgrl or barlow_twins'):
            make('simclr', views=NONE)
        with pytest.raises(ValueError, match="'node' or 'graph'"):
            make('grace', level='pixel')
        with pytest.raises(ValueError, match='two mappings'):
            make('grace', views=[{}])
        with pytest.raises(UnknownNameError, match='drop_edges'):
            make('grace', views=[{'drop_edge': 0.3}, {}])
        with pytest.raises(ValueError, match='positive temperature'):
            make('grace', temperature=0.0)
        with pytest.raises(BandMismatchError, match='components of the data module'):
            make('grace', in_channels=5).embed(graph)
        with pytest.raises(MetadataError, match="level='graph'"):
            make('grace', level='graph').embed(graph)


class TestProbabilities:
    def test_sklearn(self, graph: SceneGraph) -> None:
        linear = pytest.importorskip('sklearn.linear_model')
        task, known = make('grace', penalty=0.05), torch.full((48,), -1)
        known[::3] = torch.randint(0, 3, (16,), generator=generator())
        found = graph_probabilities(task, graph, known)
        x, rows = task.embed(graph).double().numpy(), (known >= 0).numpy()
        std = x[rows].std(0, ddof=1)
        x = (x - x[rows].mean(0)) / np.where(std > 1e-6, std, 1)
        model = linear.LogisticRegression(C=1 / (2 * 0.05 * rows.sum()), tol=1e-8)
        model.fit(x[rows], known[rows])
        np.testing.assert_allclose(found, model.predict_proba(x), atol=2e-3)

    def test_under_inference(self, graph: SceneGraph) -> None:
        task, known = make('bgrl', num_classes=5), torch.full((48,), -1)
        known[:4] = torch.tensor([0, 1, 2, 3])
        with torch.inference_mode():
            found = graph_probabilities(task, graph, known)
        assert found.shape == (48, 5)
        torch.testing.assert_close(found, graph_probabilities(task, graph, known))

    def test_errors(self, graph: SceneGraph) -> None:
        task = make('grace', num_classes=2)
        with pytest.raises(EmptyDataError, match='No node has a known class'):
            graph_probabilities(task, graph)
        with pytest.raises(BandMismatchError, match='each of 48 nodes'):
            graph_probabilities(task, graph, torch.zeros(3, dtype=torch.long))
        with pytest.raises(BandMismatchError, match='num_classes'):
            graph_probabilities(task, graph, torch.arange(48) % 4)


def data_of(scene: LabelledScene, **words: Any) -> HSIGraphDataModule:
    options: dict[str, Any] = {'components': 4, 'least': 1, 'steps_per_epoch': 4}
    shares = {'train': 0.5, 'val': 0.2, 'test': 0.3}
    return HSIGraphDataModule(dataset=scene, shares=shares, **(options | words))


class Stop(Callback):
    """Stop after the first epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = True


def trainer_of(folder: Path, **words: Any) -> Trainer:
    return quiet_trainer(folder, **({'max_epochs': 1} | words))


class TestTraining:
    @pytest.mark.parametrize('objective', OBJECTIVES)
    def test_learns(self, tmp_path: Path, scene: LabelledScene, objective: Any) -> None:
        task = make(objective, lr=3e-3, layers=1 if objective == 'mvgrl' else 2)
        data = data_of(scene)
        before = task.compare(data.graph, generator()).item()
        teacher = getattr(task.objective, 'teacher', None)
        start = None if teacher is None else [p.clone() for p in teacher.parameters()]
        trainer = trainer_of(tmp_path, max_epochs=5)
        trainer.fit(task, data)
        assert task.compare(data.graph, generator()).item() < before
        assert 'val_OA_block_transductive' in trainer.callback_metrics
        if start is not None:
            pairs = zip(start, teacher.parameters(), strict=True)  # type: ignore[union-attr]
            assert all(not torch.equal(old, new) for old, new in pairs)

    def test_goes_on_exactly(self, tmp_path: Path, scene: LabelledScene) -> None:
        """A training that was stopped ends where one without a stop does."""
        path, states = tmp_path / 'last.ckpt', []
        for stops in (False, True):
            torch.manual_seed(1)
            task, data = make('bgrl', teacher_momentum=0.5), data_of(scene)
            stop = [Stop()] if stops else []
            trainer = trainer_of(tmp_path, max_epochs=3, callbacks=stop)
            trainer.fit(task, data)
            if stops:
                assert task.global_step == 4
                trainer.save_checkpoint(path)
                torch.manual_seed(2)
                task = make('bgrl', seed=9, teacher_momentum=0.5)
                trainer_of(tmp_path, max_epochs=3).fit(task, data, ckpt_path=path)
            assert task.global_step == 12
            states.append(task.state_dict())
        torch.testing.assert_close(*states)

    def test_scores_by_hand(
        self, tmp_path: Path, scene: LabelledScene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task, data = make('grace'), data_of(scene, mode='inductive', shots=5)
        (found,) = trainer_of(tmp_path).test(task, data, verbose=True)
        chances = graph_probabilities(task, data.graph)
        rows, columns = data.pixel_split.pixels('test')
        hits = [
            int(chances[data.graph.membership[r, c]].argmax()) == scene.labels[r, c]  # type: ignore[index]
            for r, c in zip(rows, columns, strict=True)
        ]
        assert found['test_OA_block_inductive'] == pytest.approx(np.mean(hits))
        assert task.report is not None
        assert task.report.class_names == NAMES
        text = capsys.readouterr().out
        assert 'inductive' in text
        assert '0% of the 5-pixel test windows touch training' in text

    def test_checkpoint_of_another_split(
        self, tmp_path: Path, scene: LabelledScene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What training has seen is told, whatever split the test is asked for."""
        first = data_of(scene, mode='inductive')
        trainer = trainer_of(tmp_path)
        trainer.fit(make('grace'), first)
        trainer.save_checkpoint(tmp_path / 'last.ckpt')
        basis = first.scene_graphs.basis
        (found,) = trainer_of(tmp_path).test(
            make('grace'), first, tmp_path / 'last.ckpt', verbose=False
        )
        assert 'test_OA_block_inductive' in found
        other = data_of(scene, mode='inductive', seed=5)
        assert (first.pixel_split.codes != other.pixel_split.codes).any()
        assert not torch.equal(other.scene_graphs.basis.mean, basis.mean)
        seen = first.scene_graphs.seen()
        tested = other.scene_graphs.scored()
        task = make('grace')
        (found,) = trainer_of(tmp_path).test(task, other, tmp_path / 'last.ckpt')
        assert 'test_OA_block_transductive' in found
        text = capsys.readouterr().out
        assert f'trained on another split: {(seen & tested).sum()} such' in text
        assert text.count('nodes (pixels)') == 1
        # the encoder meets the features that it knows
        spectra = torch.from_numpy(scene.image[:, scene.valid].T.astype('float32'))
        torch.testing.assert_close(other.graph.x, basis(spectra))
        assert other.test_dataset[0]['graph'] is other.graph  # type: ignore[index]
        # another scene, of which nothing was seen
        image = scene.image[:, ::-1].copy()
        elsewhere = replace(scene, image=image, valid=scene.valid[::-1])
        data = data_of(elsewhere)
        (found,) = trainer_of(tmp_path).test(
            task, data, tmp_path / 'last.ckpt', verbose=False
        )
        assert 'test_OA_block_inductive' in found
        assert task.report is not None
        assert 'trained on another scene' in str(task.report)

    def test_transductive_is_said(self, tmp_path: Path, scene: LabelledScene) -> None:
        task = make('barlow_twins')
        data = data_of(scene, nodes='superpixel', graph_options={'segments': 60})
        (found,) = trainer_of(tmp_path).test(task, data, verbose=False)
        assert 'test_OA_block_transductive' in found
        assert task.report is not None
        assert 'the test was seen in training' in str(task.report)

    @pytest.mark.parametrize('mode', ['transductive', 'inductive'])
    @pytest.mark.parametrize('objective', OBJECTIVES)
    def test_tiles(
        self, tmp_path: Path, scene: LabelledScene, objective: Any, mode: Any
    ) -> None:
        task = make(objective, level='graph')
        data = data_of(scene, level='graph', tile_size=6, mode=mode)
        trainer = trainer_of(tmp_path)
        trainer.fit(task, data)
        (found,) = trainer.test(task, data, verbose=False)
        assert f'test_OA_block_{mode}' in found
        assert task.report is not None
        assert task.report.counts.sum() == len(data.scene_graphs.targets('test')[0])


class TestMap:
    @pytest.mark.parametrize('level', ['node', 'graph'])
    def test_geotiff(self, tmp_path: Path, scene: LabelledScene, level: Any) -> None:
        task = make('grace', level=level, num_classes=3)
        data = data_of(scene, level=level, tile_size=6)
        path = tmp_path / 'classes.tif'
        writer = GeoTIFFCubeWriter(path)
        trainer_of(tmp_path, callbacks=[writer]).predict(task, data)
        known = data.scene_graphs.known()
        chances = graph_probabilities(task, data.graph, known)
        if level == 'graph':
            assert data.graph.graph is not None
            chances = chances[data.graph.graph]
        expected = data.graph.to_map(chances.argmax(1), fill=255).numpy()
        with rasterio.open(path) as src:
            found = src.read(1)
            assert src.crs == scene.crs
            assert src.transform == scene.transform
            inside = expected != 255
            np.testing.assert_array_equal(found[inside], expected[inside])
            assert (found[~inside] == src.nodata).all()
