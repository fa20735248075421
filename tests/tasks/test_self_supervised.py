# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what all tasks that learn without labels share."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from tasks.pretraining import (
    BANDS,
    SIZE,
    TINY,
    Batches,
    Plain,
    batches,
    each_step,
    images,
    state_of,
    trainer,
)
from torch import Tensor, nn

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models.adapters._bands import BandConditioned
from torchgeo_hsi.tasks._random import repeatable
from torchgeo_hsi.tasks._recipes import OptimizerName, Recipe
from torchgeo_hsi.tasks._self_supervised import SelfSupervisedTask, num_features
from torchgeo_hsi.transforms import MultiView


class Pull(SelfSupervisedTask):
    """Pulls the features of two views together, with a teacher."""

    def __init__(
        self,
        model: str = TINY['model'],
        model_kwargs: dict[str, Any] | None = None,
        in_channels: int = BANDS,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'sgd',
        lr: float = 1.0,
        warmup_epochs: float = 0.0,
        predict: str = 'image',
    ) -> None:
        self.weights = None
        self.recipe = Recipe(optimizer, lr, 0.0, 'constant', warmup_epochs)
        super().__init__()
        self.views = MultiView([Plain(), Plain(flip=True)]) if views is None else views
        self.moves: list[int] = []
        self.batches: list[Sequence[Sample]] = []
        self.features: list[Tensor] = []

    def configure_models(self) -> None:
        self.backbone = self.build_backbone()
        self.teacher = deepcopy(self.backbone).requires_grad_(False)

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.backbone, self.teacher),)

    def momentum(self) -> float:
        self.moves.append(self.trainer.global_step)
        return 0.9

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        self.batches.append(views)
        features = self.encode(self.backbone, views[0])
        self.features.append(features.detach().clone())
        with torch.no_grad():
            target = self.encode(self.teacher, views[1])
        return (features - target - 1).square().mean(), features


def make(**kwargs: Any) -> Pull:
    torch.manual_seed(0)
    return Pull(model_kwargs=TINY['model_kwargs'], **kwargs)


class Noise(nn.Module):
    """A view by chance."""

    def forward(self, batch: Sample) -> Sample:
        return {**batch, 'image': batch['image'] + torch.rand(())}


class TestDates:
    def test_one(self) -> None:
        batch = {'image': images(), 'valid': torch.ones(4, SIZE, SIZE).bool()}
        (found,) = make().dates(batch)
        assert found == batch
        assert found is not batch

    @pytest.mark.parametrize('each', [True, False])
    def test_two(self, each: bool) -> None:
        first, second = images(seed=0), images(seed=1)
        valid = torch.rand(4, 2, SIZE, SIZE) > 0.5
        wave = torch.rand(2 * BANDS).expand(4, -1)
        batch = {
            'image': torch.cat((first, second), dim=1),
            'valid': valid if each else valid[:, 0],
            'wavelength': wave if each else wave[0, :BANDS],
            'bounds': torch.arange(4),
        }
        one, two = make().dates(batch)
        assert torch.equal(one['image'], first)
        assert torch.equal(two['image'], second)
        assert torch.equal(one['valid'], valid[:, 0])
        assert torch.equal(two['valid'], valid[:, 1 if each else 0])
        if each:
            assert torch.equal(one['wavelength'], wave[:, :BANDS])
            assert torch.equal(two['wavelength'], wave[:, BANDS:])
        else:
            assert torch.equal(two['wavelength'], wave[0, :BANDS])
        assert one['bounds'] is two['bounds'] is batch['bounds']

    def test_pairs_of_the_dataset(self, tmp_path: Any) -> None:
        """What SpectralEarthDataModule gives is what comes apart here."""
        from data.spectral_earth.data import write_tree

        from torchgeo_hsi.datamodules import SpectralEarthDataModule

        write_tree(tmp_path, size=SIZE)
        data = SpectralEarthDataModule(str(tmp_path), batch_size=2)
        data.prepare_data()
        data.setup('fit')
        batch = data.aug(next(iter(data.train_dataloader())))
        one, two = make(in_channels=202).dates(batch)
        for sample in (one, two):
            assert sample['image'].shape == (2, 202, SIZE, SIZE)
            assert sample['valid'].shape == (2, SIZE, SIZE)
            assert sample['wavelength'].shape == (2, 202)
        assert torch.equal(one['wavelength'], two['wavelength'])

    @pytest.mark.parametrize('bands', [4, 6, 11, 15])
    def test_wrong_bands(self, bands: int) -> None:
        with pytest.raises(
            BandMismatchError, match=r'\(B, 5, H, W\).*Set in_channels='
        ):
            make().dates({'image': images(bands=bands)})

    @pytest.mark.parametrize('each', [True, False])
    def test_all_bands_at_once_are_no_two_dates(self, each: bool) -> None:
        wave = torch.linspace(0.4, 2.4, 2 * BANDS)
        batch = {'image': images(bands=2 * BANDS), 'wavelength': wave}
        if each:
            batch['wavelength'] = wave.expand(4, -1)
        with pytest.raises(BandMismatchError, match=r'different parts.*in_channels='):
            make().dates(batch)

    def test_valid_with_an_axis_of_bands(self) -> None:
        valid = torch.rand(4, 1, SIZE, SIZE) > 0.5
        (found,) = make().dates({'image': images(), 'valid': valid})
        assert torch.equal(found['valid'], valid[:, 0])

    def test_no_batch(self) -> None:
        with pytest.raises(BandMismatchError, match='Set in_channels='):
            make().dates({'image': images()[0]})

    @pytest.mark.parametrize('value', [5000.0, float('nan'), float('inf')])
    def test_wrong_unit(self, value: float) -> None:
        image = images()
        image[1, 2, 3, 4] = value
        with pytest.raises(UnitError, match='Expected normalized images'):
            make().dates({'image': image})

    def test_unit_is_looked_at_once_in_each_stage(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks: list[str] = []
        task = make()
        look = Tensor.abs

        def spy(image: Tensor) -> Tensor:
            if image.shape[1] == BANDS:
                looks.append(task.trainer.state.stage)
            return look(image)

        monkeypatch.setattr(Tensor, 'abs', spy)
        # images without data say nothing about those that follow
        empty, full = {'image': torch.zeros_like(images())}, {'image': images()}
        trainer().fit(task, Batches(empty, full, full, full), batches(3))
        assert looks == ['train', 'train', 'validate']
        looks.clear()
        # another run may have other data
        with pytest.raises(UnitError):
            trainer().predict(task, Batches({'image': 1e4 * images()}))
        assert looks == ['predict']

    def test_errors_end_a_training(self) -> None:
        with pytest.raises(BandMismatchError):
            trainer().fit(make(), batches(bands=7))


class TestTeachers:
    @pytest.mark.parametrize('accumulate', [1, 2, 3])
    def test_follow_steps_of_the_optimizer(self, accumulate: int) -> None:
        task = make()
        seen: list[Tensor] = []
        weight = task.backbone.patch_embed.proj.weight  # type: ignore[union-attr]
        step = task.optimizer_step

        def spy(*args: Any, **kwargs: Any) -> None:
            step(*args, **kwargs)
            seen.append(weight.detach().clone())

        task.optimizer_step = spy  # type: ignore[method-assign]
        want = state_of(task.teacher)['patch_embed.proj.weight']
        loader = batches(4)
        trainer(accumulate_grad_batches=accumulate).fit(task, loader)
        assert len(seen) == -(-4 // accumulate)
        assert task.moves == list(range(len(seen)))
        for student in seen:
            want = 0.9 * want + 0.1 * student
        found = state_of(task.teacher)['patch_embed.proj.weight']
        torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-7)

    def test_validation_does_not_move_them(self) -> None:
        task = make()
        before = state_of(task)
        trainer().validate(task, batches(), verbose=False)
        after = state_of(task)
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_get_no_gradient_and_are_not_stepped(self) -> None:
        task = make()
        host = trainer()
        host.fit(task, batches())
        stepped = {id(p) for g in host.optimizers[0].param_groups for p in g['params']}
        assert stepped == {id(p) for p in task.backbone.parameters()}
        assert all(p.grad is None for p in task.teacher.parameters())


class TestRates:
    @pytest.mark.parametrize(('accumulate', 'want'), [(1, 4 / 256), (2, 8 / 256)])
    def test_grow_with_the_images_of_a_step(self, accumulate: int, want: float) -> None:
        host = trainer(accumulate_grad_batches=accumulate)
        host.fit(make(), batches())
        assert host.optimizers[0].param_groups[0]['lr'] == pytest.approx(want)

    @pytest.mark.parametrize(
        'words',
        [{'epochs': 4}, {'epochs': 8, 'max_steps': 8}, {'epochs': -1, 'max_steps': 8}],
    )
    def test_warmup_counts_epochs(self, words: dict[str, Any]) -> None:
        """However the end is said, two epochs of two steps are the warm-up."""
        task = make(warmup_epochs=2)
        found: list[float] = []
        task.on_train_batch_start = lambda *_: found.append(  # type: ignore[assignment]
            task.trainer.optimizers[0].param_groups[0]['lr']
        )
        trainer(**words).fit(task, batches())
        want = [min((k + 1) / 5, 1.0) * 4 / 256 for k in range(8)]
        assert found == pytest.approx(want)

    def test_training_without_an_end(self) -> None:
        with pytest.raises(ValueError, match=r'set trainer\.max_epochs or'):
            trainer(-1).fit(make(), batches())


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


class TestGoingOn:
    def test_loaders_start_where_a_checkpoint_was(self, tmp_path: Any) -> None:
        """Fails if Lightning makes or keeps loaders in another way."""
        task = make()
        trainer(2, callbacks=[each_step(tmp_path)]).fit(task, batches(3))
        whole = [float(views[0]['image'].sum()) for views in task.batches]
        for step in (1, 2, 3, 4):
            again = make()
            path = tmp_path / f'step={step}.ckpt'
            trainer(2).fit(again, batches(3), ckpt_path=path)
            rest = [float(views[0]['image'].sum()) for views in again.batches]
            assert rest == whole[step:]

    def test_more_epochs_get_a_longer_schedule(self, tmp_path: Any) -> None:
        host = trainer(1, enable_checkpointing=True, default_root_dir=tmp_path)
        host.fit(make(warmup_epochs=2), batches())
        path = tmp_path / 'end.ckpt'
        host.save_checkpoint(path)
        again = trainer(4)
        again.fit(make(warmup_epochs=2), batches(), ckpt_path=path)
        assert again.global_step == 8
        rate = again.optimizers[0].param_groups[0]['lr']
        assert rate == pytest.approx(4 / 256)
