# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Dates of a training without labels: its steps, teachers and rates."""

from typing import Any

import pytest
import torch
from tasks.pretraining import (
    BANDS,
    SIZE,
    Batches,
    batches,
    each_step,
    images,
    state_of,
    trainer,
)
from tasks.pull import make
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnitError


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
