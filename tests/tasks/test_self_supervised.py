# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what all tasks that learn without labels share."""

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from tasks.pretraining import BANDS, SIZE, TINY, Batches, batches, images, trainer
from tasks.pull import Pull, make
from torch import Tensor, nn

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.models.adapters._bands import BandConditioned
from torchgeo_hsi.tasks._random import repeatable
from torchgeo_hsi.tasks._self_supervised import num_features
from torchgeo_hsi.transforms import MultiView


class Noise(nn.Module):
    """A view by chance."""

    def forward(self, batch: Sample) -> Sample:
        return {**batch, 'image': batch['image'] + torch.rand(())}


class TestRandomNumbers:
    def noises(self, task: Pull) -> list[float]:
        return [
            float((views[0]['image'] - images(seed=number % 2)).mean())
            for number, views in enumerate(task.batches)
        ]

    def train(self, seed: int = 0, epochs: int = 2) -> Pull:
        task = make(views=MultiView([Noise(), Noise()]))
        torch.manual_seed(seed)
        trainer(epochs).fit(task, batches())
        return task

    def test_another_one_in_each_step(self) -> None:
        first = self.noises(self.train())
        assert len(first) == 4
        assert len({round(value, 5) for value in first}) == 4
        assert self.noises(self.train()) == first
        assert self.noises(self.train(seed=1)) != first

    def test_validation_draws_the_same(self) -> None:
        task = make(views=MultiView([Noise(), Noise()]))
        for _ in range(2):
            trainer().validate(task, batches(), verbose=False)
        found = self.noises(task)
        assert found[:2] == found[2:]
        assert found[0] != found[1]

    def test_nothing_else_is_drawn(self) -> None:
        torch.manual_seed(5)
        want = torch.rand(3)
        torch.manual_seed(5)
        with repeatable(torch.device('cpu'), 1, 2):
            inside = torch.rand(3)
        assert torch.equal(torch.rand(3), want)
        with repeatable(torch.device('cpu'), 2, 1):
            assert not torch.equal(torch.rand(3), inside)
        # a seed of torch may have 64 bits
        with repeatable(torch.device('cpu'), 2**64 - 1):
            torch.rand(3)

    def test_each_process_draws_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.train(epochs=1)
        monkeypatch.setattr(Pull, 'global_rank', 1)
        assert self.noises(self.train(epochs=1)) != self.noises(first)


class TestStatistics:
    class Data(LightningDataModule):
        def __init__(self, mean: Any, std: Any) -> None:
            super().__init__()
            self.mean, self.std = mean, std

        def train_dataloader(self) -> Batches:
            return batches()

    def told(self, mean: Any, std: Any) -> list[Any]:
        task = make()
        found: list[Any] = []
        task.views.set_statistics = lambda *both: found.extend(both)  # type: ignore[method-assign]
        trainer().fit(task, datamodule=self.Data(mean, std))
        return found

    def test_reach_the_views(self) -> None:
        mean, std = torch.rand(BANDS), torch.rand(BANDS)
        assert self.told(mean, std) == [mean, std]

    def test_defaults_of_torchgeo_do_not(self) -> None:
        assert self.told(torch.tensor(0), torch.tensor(255)) == []
        assert self.told(None, None) == []


class Waves(BandConditioned):
    """A network that puts out the wavelengths that it is told."""

    num_features = BANDS

    def __init__(self) -> None:
        super().__init__()
        self.set_default_bands()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        wavelength, _ = self.bands_of(x)
        return wavelength.expand(len(x), -1) * self.scale


def test_wavelengths_reach_the_network() -> None:
    task = make()
    task.backbone = Waves()
    wave = torch.linspace(0.4, 2.4, BANDS).expand(4, -1)
    batch = {'image': images(), 'wavelength': wave}
    assert torch.equal(task.encode(task.backbone, batch), wave)
    (found,) = trainer().predict(task, Batches(batch))  # type: ignore[misc, arg-type]
    assert torch.equal(found['embedding'], wave)


class TestPredict:
    def test_image(self) -> None:
        task = make()
        (found, _) = trainer().predict(task, batches())  # type: ignore[misc, arg-type]
        assert found.keys() == {'embedding'}
        task.eval()
        with torch.no_grad():
            assert torch.equal(found['embedding'], task.backbone(images()))
        assert found['embedding'].shape == (4, num_features(task.backbone))

    @pytest.mark.parametrize('model', [TINY['model'], 'resnet10t'])
    def test_pixels(self, model: str) -> None:
        words = TINY['model_kwargs'] if model == TINY['model'] else None
        task = Pull(model, words, predict='pixels')
        (found,) = trainer().predict(task, batches(1))  # type: ignore[misc, arg-type]
        assert found.keys() == {'prediction'}
        width = num_features(task.backbone)
        assert found['prediction'].shape == (4, width, SIZE, SIZE)
        if model != TINY['model']:
            return
        # pixels show the tokens in whose patches they lie
        task.eval()
        with torch.no_grad():
            tokens: Tensor = task.backbone.forward_features(images())[:, 1:]  # type: ignore[operator]
        maps = tokens.mT.unflatten(2, (2, 2))
        torch.testing.assert_close(
            found['prediction'][..., [0, -1], :][..., [0, -1]], maps
        )

    @pytest.mark.parametrize('predict', ['image', 'pixels'])
    def test_any_size(self, predict: str) -> None:
        """The last pixels are repeated to fill the last patches."""
        torch.manual_seed(0)
        words = {**TINY['model_kwargs'], 'dynamic_img_size': True}
        task = Pull(model_kwargs=words, predict=predict).eval()
        image = images()[..., :6, :5]
        full = torch.cat((image, image[..., -1:, :], image[..., -1:, :]), dim=-2)
        full = torch.cat((full, *[full[..., -1:]] * 3), dim=-1)
        with torch.no_grad():
            found, want = (task.predict_step({'image': x}, 0) for x in (image, full))
        if predict == 'image':
            torch.testing.assert_close(found, want)
        else:
            assert found['prediction'].shape == (4, 24, 6, 5)

    def test_a_network_of_one_size(self) -> None:
        with pytest.raises(ValueError, match=r'16 x 12 pixels.*dynamic_img_size'):
            make().predict_step({'image': torch.zeros(1, BANDS, 16, 12)}, 0)

    def test_one_date_only(self) -> None:
        """Of two dates, the first one is predicted."""
        pair = torch.cat((images(), images(seed=1)), dim=1)
        (found,) = trainer().predict(make(), Batches({'image': pair}))  # type: ignore[misc, arg-type]
        (want,) = trainer().predict(make(), batches(1))  # type: ignore[misc, arg-type]
        assert torch.equal(found['embedding'], want['embedding'])


def test_logged() -> None:
    host, task = trainer(), make()
    host.fit(task, batches(), batches())
    names = {'train_loss', 'train_std', 'val_loss'}
    assert names <= host.callback_metrics.keys()
    # two batches of validation came behind
    rows = task.features[-3].numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    want = rows.std(axis=0, ddof=1).mean()
    assert float(host.callback_metrics['train_std']) == pytest.approx(want, rel=1e-4)


def test_checkpoint_without_labels_is_safe(tmp_path: Any) -> None:
    host = trainer(enable_checkpointing=True, default_root_dir=tmp_path)
    host.fit(make(), batches())
    path = tmp_path / 'last.ckpt'
    host.save_checkpoint(path)
    assert torch.load(path, weights_only=True)['random_seed'] is not None
    again = Pull.load_from_checkpoint(path)
    assert again._seed == host.lightning_module._seed
