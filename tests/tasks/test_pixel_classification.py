# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classification of pixels: scores against scikit-learn, maps against single pixels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
)
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.utils.data import DataLoader

from tests.small_scene import NAMES, make_scene
from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    PluginError,
    UnknownNameError,
)
from torchgeo_hsi.models.pixel_classification import PixelClassifier
from torchgeo_hsi.tasks import HSIPixelClassification

BANDS = 8
SHARES = {'train': 0.5, 'val': 0.2, 'test': 0.3}


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene(noise=600)


def module(scene: LabelledScene, **words: Any) -> HSIPixelDataModule:
    options: dict[str, Any] = {
        'window': 3,
        'shares': SHARES,
        'block_size': 12,
        'batch_size': 32,
        'tile_size': 24,
        'shots': 20,
    }
    split = words.get('split', 'block')
    if split != 'block':
        del options['block_size']
    if not isinstance(split, str):
        # it was made before
        del options['shares']
    return HSIPixelDataModule(scene, **(options | words))


def task(model: str = 'spectral_cnn', **words: Any) -> HSIPixelClassification:
    kwargs = {'hybridsn': {'components': 5}, 'random_forest': {'trees': 10}}
    options: dict[str, Any] = {
        'in_channels': BANDS,
        'num_classes': 3,
        'window': 3,
        'model_kwargs': kwargs.get(model),
        'lr': 3e-3,
    }
    return HSIPixelClassification(model, **(options | words))


def trainer(epochs: int = 1, **words: Any) -> Trainer:
    options: dict[str, Any] = {
        'accelerator': 'cpu',
        'max_epochs': epochs,
        'logger': False,
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'enable_checkpointing': False,
    }
    return Trainer(**(options | words))


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


class TestTraining:
    def test_it_learns(self) -> None:
        data = module(make_scene(noise=100), length=640)
        model = task(lr=1e-2)
        run = trainer(8)
        run.fit(model, datamodule=data)
        (scores,) = run.test(model, datamodule=data, verbose=False)
        assert scores['test_OA_block'] > 0.95

    @pytest.mark.parametrize('name', ['svm', 'random_forest'])
    def test_fitted_at_once(self, name: str, tmp_path: Path) -> None:
        data, model = module(make_scene(noise=100)), task(name)
        keep = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
        run = trainer(callbacks=[keep], enable_checkpointing=True)
        run.fit(model, datamodule=data)
        (scores,) = run.test(model, datamodule=data, verbose=False)
        assert scores['test_OA_block'] > 0.95
        # the same after a restart
        again = module(make_scene(noise=100), seed=0)
        (loaded,) = trainer().test(
            task(name),
            datamodule=again,
            ckpt_path=tmp_path / 'last.ckpt',
            verbose=False,
        )
        assert loaded == scores

    def test_principal_components_of_training_windows(
        self, scene: LabelledScene
    ) -> None:
        whole = {'components': 5, 'whiten': 1.0}
        data, model = module(scene), task('hybridsn', model_kwargs=whole)
        assert not model.model.is_fitted
        trainer().fit(model, datamodule=data)
        use = data._seen()
        pixels = data.normalize(torch.from_numpy(scene.image).float())[:, use].double()
        reduced = model.model.reduce(pixels[None, :, :, None].float())[0, :, :, 0]
        covariance = torch.cov(reduced.double(), correction=0)
        torch.testing.assert_close(
            covariance, torch.eye(5, dtype=torch.float64), atol=1e-3, rtol=0
        )

    def test_balanced_weights(self, scene: LabelledScene) -> None:
        data, model = module(scene, shots=None), task(class_weights='balanced')
        trainer().fit(model, datamodule=data)
        labels = scene.labels[data.pixel_split.mask('train')]
        want = compute_class_weight('balanced', classes=np.arange(3), y=labels)
        assert model.criterion.weight is not None
        np.testing.assert_allclose(model.criterion.weight, want, rtol=1e-6)

    def test_loss(self) -> None:
        model = task(class_weights=[1.0, 2.0, 0.5], label_smoothing=0.1).eval()
        batch = {
            'image': torch.randn(5, BANDS, 3, 3),
            'label': torch.tensor([0, 1, 2, 1, 0]),
        }
        loss, logits = model._forward(batch)
        smooth = torch.nn.functional.one_hot(batch['label'], 3) * 0.9 + 0.1 / 3
        weight = torch.tensor([1.0, 2.0, 0.5])
        each = -(smooth * weight * logits.log_softmax(1)).sum(1)
        want = each.sum() / weight[batch['label']].sum()
        torch.testing.assert_close(loss, want)

    @pytest.mark.parametrize(
        'name', ['lola_specvit_tiny', 'hybridsn', 'spectralformer']
    )
    def test_networks(self, scene: LabelledScene, name: str) -> None:
        kwargs = {'components': 4} if name != 'spectralformer' else {'layers': 1}
        data = module(scene, window=5, shots=4)
        model = task(name, window=5, model_kwargs=kwargs)
        trainer(limit_val_batches=1).fit(model, datamodule=data)
        before = {k: v.clone() for k, v in model.model.named_parameters()}
        trainer(limit_val_batches=0).fit(model, datamodule=data)
        changed = [
            not torch.equal(before[k], v) for k, v in model.model.named_parameters()
        ]
        assert any(changed)

    def test_a_trunk_that_was_trained_before(
        self, scene: LabelledScene, tmp_path: Path
    ) -> None:
        words: dict[str, Any] = {'model_kwargs': {'backbone': 'resnet10t'}}
        keep = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
        run = trainer(callbacks=[keep], enable_checkpointing=True, limit_val_batches=0)
        first = task('window_classifier', **words)
        run.fit(first, datamodule=module(scene))
        path = str(tmp_path / 'last.ckpt')
        second = task('window_classifier', weights=path, num_classes=7, **words)
        backbone: Any = first.model.backbone
        for key, value in backbone.state_dict().items():
            other: Any = second.model.backbone
            assert torch.equal(other.state_dict()[key], value)
        with pytest.raises(BandMismatchError, match='another backbone'):
            task(
                'window_classifier', weights=path, model_kwargs={'backbone': 'resnet18'}
            )
        with pytest.raises(FileNotFoundError, match='is no file'):
            task('window_classifier', weights='nothing.ckpt', **words)
        with pytest.raises(BandMismatchError, match='SVM has no backbone'):
            task('svm', weights=path)
        (tmp_path / 'broken.ckpt').write_text('nothing')
        with pytest.raises(CorruptFileError, match='no checkpoint'):
            task('window_classifier', weights=str(tmp_path / 'broken.ckpt'), **words)

    def test_low_rank(self, scene: LabelledScene) -> None:
        pytest.importorskip('peft')
        data = module(scene, window=5, shots=4)
        model = task(
            'lola_specvit_tiny',
            window=5,
            model_kwargs={'components': 4},
            protocol='lora',
            lora_alpha=16,
            lora_dropout=0.1,
        )
        before = {k: v.clone() for k, v in model.model.named_parameters()}
        trainer(limit_val_batches=0).fit(model, datamodule=data)
        for name, value in model.model.named_parameters():
            learns = 'lora_' in name or name.startswith('head')
            assert value.requires_grad is learns, name
            assert learns or torch.equal(before[name], value), name


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


class TestErrors:
    @pytest.mark.parametrize(
        ('words', 'error', 'text'),
        [
            ({'model': 'spectral_mlp'}, PluginError, 'classifier of pixels'),
            ({'model': 'spec_resnet18'}, PluginError, 'backbone: spec_resnet18'),
            ({'model': 'hybridsm'}, UnknownNameError, 'Did you mean hybridsn'),
            ({'num_classes': 1}, ValueError, 'at least 2 outputs'),
            ({'labels': ['a']}, ValueError, 'Expected 3 labels, got 1'),
            ({'window': 4}, ValueError, 'odd window'),
            ({'label_smoothing': 1.0}, ValueError, 'less than 1'),
            ({'class_weights': [1.0, 2.0]}, ValueError, '3 numbers'),
            ({'class_weights': [1.0, -2.0, 1.0]}, ValueError, 'at least 0'),
            ({'chunk': 0}, ValueError, 'positive chunk'),
            ({'model': 'svm', 'protocol': 'frozen'}, ValueError, 'no backbone'),
        ],
    )
    def test_arguments(
        self, words: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        with pytest.raises(error, match=text):
            task(**words)

    @pytest.mark.parametrize(
        ('words', 'error', 'text'),
        [
            ({'window': 5}, BandMismatchError, 'window=3, but the task has window=5'),
            ({'in_channels': 9}, BandMismatchError, 'Pass in_channels=8 to the task'),
            ({'num_classes': 4}, MetadataError, 'has 3 classes, but the task has'),
        ],
    )
    @pytest.mark.parametrize('stage', ['fit', 'test', 'predict'])
    def test_what_does_not_fit_together(
        self,
        scene: LabelledScene,
        words: dict[str, Any],
        error: type[Exception],
        text: str,
        stage: str,
    ) -> None:
        with pytest.raises(error, match=text):
            getattr(trainer(), stage)(task(**words), datamodule=module(scene))

    def test_one_class(self, scene: LabelledScene) -> None:
        split = module(scene).pixel_split
        codes = split.codes.copy()
        codes[(codes == 0) & (split.labels != 1)] = -1
        data = module(scene, split=replace(split, codes=codes))
        with pytest.raises(EmptyDataError, match='of the class forest'):
            trainer().fit(task(), datamodule=data)

    def test_not_trained(self, scene: LabelledScene) -> None:
        for name in ('svm', 'hybridsn'):
            with pytest.raises(MetadataError, match='has not been trained'):
                trainer().test(task(name), datamodule=module(scene))

    def test_no_data_module(self) -> None:
        rows = [{'image': torch.randn(BANDS, 3, 3), 'label': torch.tensor(0)}] * 2
        loader: Any = DataLoader(rows)  # type: ignore[arg-type]
        for name, text in (
            ('svm', 'all training windows'),
            ('hybridsn', 'fit_spectra'),
        ):
            with pytest.raises(MetadataError, match=text):
                trainer().fit(task(name), loader)
        with pytest.raises(MetadataError, match='balanced'):
            trainer().fit(task(class_weights='balanced'), loader)

    def test_checkpoint_without_statistics(
        self, scene: LabelledScene, tmp_path: Path
    ) -> None:
        keep = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
        run = trainer(callbacks=[keep], enable_checkpointing=True, limit_val_batches=0)
        run.fit(task(), datamodule=module(scene))
        content = torch.load(tmp_path / 'last.ckpt', weights_only=False)
        del content['HSIPixelDataModule']
        torch.save(content, tmp_path / 'bare.ckpt')
        with pytest.raises(MetadataError, match='keeps no band statistics'):
            trainer().test(
                task(), datamodule=module(scene), ckpt_path=tmp_path / 'bare.ckpt'
            )


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
