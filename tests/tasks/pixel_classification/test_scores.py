# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scores, maps and plugins of pixel classification."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from data.small_scene.data import NAMES, make_scene
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
)
from tasks.pixel_classification.small import BANDS, module, task, trainer
from torch import Tensor
from torch.utils.data import DataLoader

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.models.pixel_classification import PixelClassifier
from torchgeo_hsi.tasks import HSIPixelClassification


def predictions(
    model: HSIPixelClassification, data: HSIPixelDataModule, scene: LabelledScene
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction of the test, one window at a time."""
    model.eval()
    truth, found = [], []
    for row, column in zip(*data.pixel_split.pixels('test'), strict=True):
        window = np.zeros((BANDS, 3, 3), np.float32)
        valid = np.zeros((3, 3), bool)
        for i in range(3):
            for j in range(3):
                y, x = row + i - 1, column + j - 1
                if 0 <= y < 60 and 0 <= x < 52 and scene.valid[y, x]:
                    window[:, i, j], valid[i, j] = scene.image[:, y, x], True
        image = data.normalize(torch.from_numpy(window), torch.from_numpy(valid))
        with torch.no_grad():
            found.append(int(model(image[None]).argmax()))
        truth.append(int(scene.labels[row, column]))
    return np.array(truth), np.array(found)


class TestScores:
    @pytest.mark.parametrize('split', ['block', 'random'])
    def test_they_are_those_of_sklearn(
        self, scene: LabelledScene, split: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data, model = module(scene, split=split), task()
        run = trainer(3)
        run.fit(model, datamodule=data)
        # nothing is printed within fit, and sure nothing without its split
        assert 'OA' not in capsys.readouterr().out
        (scores,) = run.test(model, datamodule=data, verbose=False)
        truth, found = predictions(model, data, scene)
        want = {
            'OA': accuracy_score(truth, found),
            'AA': balanced_accuracy_score(truth, found),
            'kappa': cohen_kappa_score(truth, found),
            'F1': f1_score(truth, found, average='macro'),
        }
        f1 = f1_score(truth, found, average=None)
        want |= {f'F1_{name}': v for name, v in zip(NAMES, f1, strict=True)}
        named = {f'test_{name}_{split}': value for name, value in want.items()}
        assert {k: scores[k] for k in named} == pytest.approx(named, abs=1e-6)
        # each score has its split in its name
        assert set(scores) == {*named, 'test_loss'}
        report = model.report
        assert report is not None
        assert (report.split, report.method) == (split, 'spectral_cnn')
        assert report.window == 3
        assert report.seeds == (0,)
        assert data.leaks is not None
        assert report.touching == (data.leaks.touching['test'],)
        lines = capsys.readouterr().out
        assert str(report) in lines
        assert f'{split} split' in lines
        assert 'trained on 60 labelled pixels' in lines
        assert ('do not hold for other places' in lines) == (split == 'random')

    def test_validation(self, scene: LabelledScene) -> None:
        data, model = module(scene), task()
        run = trainer()
        run.fit(model, datamodule=data)
        assert {'val_OA_block', 'val_AA_block', 'val_kappa_block', 'val_loss'} <= set(
            run.callback_metrics
        )
        (scores,) = run.validate(model, datamodule=data, verbose=False)
        assert scores['val_OA_block'] == run.callback_metrics['val_OA_block']
        assert model.report is not None
        assert model.report.counts.sum() == data.pixel_split.mask('val').sum()

    def test_classes_that_are_not_tested(self, scene: LabelledScene) -> None:
        split = module(scene).pixel_split
        codes = split.codes.copy()
        codes[(codes == 2) & (split.labels == 1)] = -1
        data = module(scene, split=replace(split, codes=codes))
        model = task()
        run = trainer()
        run.fit(model, datamodule=data)
        (scores,) = run.test(model, datamodule=data, verbose=False)
        assert 'test_F1_forest_block' not in scores
        assert all(np.isfinite(value) for value in scores.values())
        assert model.report is not None
        assert model.report.untested == ('forest',)

    def test_transductive_statistics_are_told(self, scene: LabelledScene) -> None:
        data, model = module(scene, statistics='scene'), task()
        run = trainer()
        run.fit(model, datamodule=data)
        run.test(model, datamodule=data, verbose=False)
        assert 'transductive' in str(model.report)

    def test_a_checkpoint_that_was_trained_on_another_split(
        self, scene: LabelledScene, tmp_path: Path
    ) -> None:
        data, model = module(scene), task('svm')
        run = trainer()
        run.fit(model, datamodule=data)
        run.save_checkpoint(tmp_path / 'svm.ckpt')
        other, model = module(scene, seed=1), task('svm')
        tested = other.pixel_split.mask('test')
        seen = data.pixel_split.mask('train') & tested
        trainer().test(model, other, ckpt_path=tmp_path / 'svm.ckpt', verbose=False)
        report = model.report
        assert report is not None
        assert report.touching[0] >= seen.sum() / tested.sum() > 0
        assert f'{seen.sum()} pixels of the test were trained on' in str(report)
        # elsewhere there is nothing to touch, and nothing of this scene was trained on
        moved = module(replace(scene, image=scene.image[:, ::-1].copy()), seed=1)
        trainer().test(model, moved, ckpt_path=tmp_path / 'svm.ckpt', verbose=False)
        assert model.report is not None
        assert not model.report.touching
        assert model.report.notes == ['trained on another scene']

    def test_data_of_unknown_origin(self) -> None:
        rows = [
            {'image': torch.randn(BANDS, 3, 3), 'label': torch.tensor(k % 3)}
            for k in range(6)
        ]
        loader: Any = DataLoader(rows, batch_size=3)  # type: ignore[arg-type]
        model = task(labels=list(NAMES))
        run = trainer()
        run.fit(model, loader)
        (scores,) = run.test(model, loader, verbose=False)
        assert 'test_OA_unspecified' in scores
        assert 'unspecified split' in str(model.report)


class TestMap:
    @pytest.mark.parametrize('name', ['spectral_cnn', 'hybridsn', 'random_forest'])
    @pytest.mark.parametrize('window', [1, 5])
    def test_tiles_give_the_map_of_the_whole_scene(
        self, scene: LabelledScene, tmp_path: Path, name: str, window: int
    ) -> None:
        data, model = module(scene, window=window), task(name, window=window)
        # half a window is cut off, which the writers know from the data module
        shares = GeoTIFFCubeWriter(tmp_path / 'shares.tif', output='probabilities')
        classes = GeoTIFFCubeWriter(tmp_path / 'classes.tif')
        run = trainer(callbacks=[shares, classes], limit_val_batches=0)
        run.fit(model, datamodule=data)
        run.predict(model, datamodule=data)
        image = torch.from_numpy(scene.image.astype(np.float32))
        image = data.normalize(image, torch.from_numpy(scene.valid))
        with torch.no_grad():
            whole = model.eval().model.dense(image[None]).softmax(1)[0].numpy()
        with rasterio.open(tmp_path / 'shares.tif') as src:
            found = src.read()
            assert src.crs.to_epsg() == 32633
            assert src.transform.almost_equals(scene.transform)
        assert np.isnan(found[:, ~scene.valid]).all()
        np.testing.assert_allclose(
            found[:, scene.valid], whole[:, scene.valid], atol=1e-6
        )
        with rasterio.open(tmp_path / 'classes.tif') as src:
            codes = src.read(1)
            # names and colors come from the data module
            assert 'forest' in src.tags(1)['class_names']
            assert src.colormap(1)[1] == (0x26, 0x73, 0x00, 255)
        clear = np.sort(whole, 0)[-2:]
        sure = scene.valid & (clear[1] - clear[0] > 1e-5)
        assert np.array_equal(codes[sure], whole.argmax(0)[sure])
        assert (codes[~scene.valid] == 255).all()

    def test_probabilities(self) -> None:
        found = task().predict_step({'image': torch.randn(2, BANDS, 9, 7)}, 0)
        assert found.shape == (2, 3, 9, 7)
        torch.testing.assert_close(found.sum(1), torch.ones(2, 9, 7))

    def test_chunks_do_not_matter(self) -> None:
        torch.manual_seed(0)
        image = torch.randn(1, BANDS, 9, 7)
        model = task('spectralformer').eval()
        whole = model.predict_step({'image': image}, 0)
        model.hparams['chunk'] = 5
        torch.testing.assert_close(model.predict_step({'image': image}, 0), whole)


def test_any_plugin(scene: LabelledScene) -> None:
    """A classifier of somebody else's needs nothing but its base class."""

    class Nearest(PixelClassifier):
        learns_by_gradient = False
        centers: Tensor

        def __init__(self) -> None:
            super().__init__(BANDS, 3, 3)
            self.register_buffer('centers', torch.zeros(3, BANDS))

        def fit_windows(self, windows: Tensor, labels: Tensor) -> None:
            middle = windows[:, :, 1, 1]
            self.centers = torch.stack([middle[labels == k].mean(0) for k in range(3)])

        def classify(self, x: Tensor) -> Tensor:
            return -torch.cdist(x[:, :, 1, 1], self.centers)

    model = task('svm')
    model.model = Nearest()
    data = module(make_scene(noise=100))
    run = trainer()
    run.fit(model, datamodule=data)
    (scores,) = run.test(model, datamodule=data, verbose=False)
    assert scores['test_OA_block'] > 0.95
