# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training of pixel classification, and its errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.small_scene.data import make_scene
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.utils.class_weight import compute_class_weight
from tasks.pixel_classification.small import BANDS, module, task, trainer
from torch.utils.data import DataLoader

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    PluginError,
    UnknownNameError,
)


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
        with pytest.raises(FileNotFoundError, match='There is no file'):
            task('window_classifier', weights='nothing.ckpt', **words)
        with pytest.raises(BandMismatchError, match='SVM has no backbone'):
            task('svm', weights=path)
        (tmp_path / 'broken.ckpt').write_text('nothing')
        with pytest.raises(CorruptFileError, match='no file of torch'):
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
