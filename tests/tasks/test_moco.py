# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of momentum contrast."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tasks.pretraining import (
    BANDS,
    SIZE,
    TINY,
    Batches,
    Plain,
    batches,
    check_half_precision,
    check_images_are_checked,
    check_resume,
    check_same_weights,
    check_wavelengths,
    follow,
    images,
    plain_views,
    state_of,
    trainer,
)
from torch import Tensor, nn
from torch.optim import SGD

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.tasks.moco import HSIMoCo
from torchgeo_hsi.transforms import MultiView

HEAD: dict[str, Any] = {'hidden_dim': 16, 'output_dim': 8, 'queue_size': 10}


def make(seed: int = 0, **kwargs: Any) -> HSIMoCo:
    torch.manual_seed(seed)
    return HSIMoCo(**(TINY | HEAD | {'views': plain_views()} | kwargs))


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """The loss, written down once more."""
    query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
    right = (query * key).sum(1) / temperature
    wrong = query @ queue.T / temperature
    return (torch.logsumexp(torch.cat((right[:, None], wrong), 1), 1) - right).mean()


class TestNetworks:
    def test_key_networks_start_as_copies(self) -> None:
        task = make()
        for network, teacher in task.teachers():
            state, copy = network.state_dict(), teacher.state_dict()
            assert state.keys() == copy.keys()
            assert all(torch.equal(state[k], copy[k]) for k in state)
            mine = {p.data_ptr() for p in network.parameters()}
            assert not mine & {p.data_ptr() for p in teacher.parameters()}
            assert not any(p.requires_grad for p in teacher.parameters())

    @pytest.mark.parametrize('batch_norm', [True, False])
    def test_head(self, batch_norm: bool) -> None:
        layers = make(batch_norm=batch_norm).projection_head.layers
        kinds = [type(layer).__name__ for layer in layers]  # type: ignore[union-attr]
        norm = ['BatchNorm1d'] * batch_norm
        assert kinds == ['Linear', *norm, 'ReLU', 'Linear', *norm]

    def test_published_size(self) -> None:
        task = HSIMoCo('vit_tiny_patch16_224', in_channels=BANDS)
        assert task.criterion.queue.shape == (32_768, 128)
        widths = [p.shape for p in task.projection_head.parameters() if p.ndim == 2]
        assert widths == [(2048, 192), (128, 2048)]


class TestLoss:
    def test_by_hand(self) -> None:
        task = make(batch_norm=False)
        queue = task.criterion.queue.clone()
        x = images()
        views = task.views(task.dates({'image': x}))
        loss, features = task.compare(views, learn=True)
        assert torch.equal(features, task.backbone(x))
        query = task.projection_head(features)
        key = task.projection_head_momentum(task.backbone_momentum(x.flip(-1)))
        torch.testing.assert_close(loss, info_nce(query, key, queue, 0.1))

    def test_dates_are_the_views(self) -> None:
        task = make(batch_norm=False, views=MultiView([Plain(), Plain()]))
        queue = task.criterion.queue.clone()
        first, second = images(seed=0), images(seed=1)
        pair = {'image': torch.cat((first, second), dim=1)}
        loss, _ = task.compare(task.views(task.dates(pair)), learn=False)
        query = task.projection_head(task.backbone(first))
        key = task.projection_head(task.backbone(second))
        torch.testing.assert_close(loss, info_nce(query, key, queue, 0.1))

    def test_no_learning_changes_nothing(self) -> None:
        task = make(batch_norm=False)
        before = state_of(task)
        trainer().validate(task, batches(), verbose=False)
        after = state_of(task)
        assert all(torch.equal(before[k], after[k]) for k in before)

    @pytest.mark.parametrize('count', [1, 3])
    def test_two_views(self, count: int) -> None:
        task = make(views=MultiView([Plain()] * count))
        with pytest.raises(ValueError, match=f'make 2 views, got {count}'):
            trainer().fit(task, batches())


class TestTraining:
    @pytest.mark.parametrize('batch_norm', [True, False])
    def test_equals_a_loop(self, batch_norm: bool) -> None:
        """Three steps of three keys each wrap around the queue of eight."""
        words: dict[str, Any] = {'lr': 1.0, 'teacher_momentum': 0.9, 'queue_size': 8}
        task = make(batch_norm=batch_norm, temperature=0.2, **words)
        networks = nn.ModuleList([task.backbone, task.projection_head])
        # in double precision: small batches make batch normalization touchy
        student, teacher = deepcopy(networks).double(), deepcopy(networks).double()
        queue = list(task.criterion.queue.double())
        optimizer = SGD(student.parameters(), 3 / 256, 0.9, weight_decay=1e-4)
        place = 0
        for step in range(3):
            x = images(3, seed=step).double()
            query = student[1](student[0](x))
            with torch.no_grad():
                key = F.normalize(teacher[1](teacher[0](x.flip(-1))), dim=1)
            loss = info_nce(query, key, torch.stack(queue), 0.2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for row in key:
                queue[place % 8] = row
                place += 1
            follow(teacher, student, 0.9)
        host = trainer(precision='64-true')
        host.fit(task, batches(3, size=3))
        close: dict[str, float] = {'rtol': 1e-9, 'atol': 1e-9}
        found_loss = float(host.callback_metrics['train_loss'])
        # Lightning keeps what is logged in single precision
        assert found_loss == pytest.approx(float(loss.detach()), rel=1e-6)
        torch.testing.assert_close(task.criterion.queue, torch.stack(queue), **close)
        assert int(task.criterion.position) == place % 8
        teachers = (task.backbone_momentum, task.projection_head_momentum)
        found = (task.backbone, task.projection_head, *teachers)
        check_same_weights(found, (*student, *teacher), close)

    @pytest.mark.parametrize('accumulate', [1, 2])
    def test_keys_of_all_batches_but_one_move_of_the_teacher(
        self, accumulate: int
    ) -> None:
        task = make(queue_size=32)
        moves: list[float] = []
        kept = task.momentum
        task.momentum = lambda: moves.append(kept()) or moves[-1]  # type: ignore[func-returns-value, method-assign]
        trainer(2, accumulate_grad_batches=accumulate).fit(task, batches(4))
        # of the backbone and of the head
        assert moves == [0.999] * 2 * (8 // accumulate)
        assert int(task.criterion.position) == 0
        lengths = task.criterion.queue.norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones(32))

    def test_schedule(self) -> None:
        task = make(lr=64.0, milestones=[2, 3])
        rates: list[float] = []
        task.on_train_batch_start = lambda *_: rates.append(  # type: ignore[assignment]
            task.trainer.optimizers[0].param_groups[0]['lr']
        )
        trainer(4).fit(task, batches())
        assert rates == pytest.approx([1.0] * 4 + [0.1] * 2 + [0.01] * 2)

    def test_learns(self) -> None:
        """Views of noise images are told apart after a few steps."""
        torch.manual_seed(0)
        data = Batches({'image': images(32)})
        task = make(lr=0.01, optimizer='adamw', scale_lr=False, queue_size=64)
        # random keys are far from everything: wait until the queue is full of real ones
        trainer(2).fit(task, data)
        task.eval()
        views = task.views(task.dates({'image': images(32)}))
        before = float(task.compare(views, learn=False)[0].detach())
        task.train()
        trainer(25).fit(task, data)
        task.eval()
        after = float(task.compare(views, learn=False)[0].detach())
        assert after < 0.8 * before
        assert math.isfinite(after)

    @pytest.mark.parametrize('precision', ['bf16-mixed', 'bf16-true'])
    def test_half_precision(self, precision: Any) -> None:
        task = make()
        check_half_precision(task, precision)
        if precision == 'bf16-mixed':
            # the queue keeps the digits that the network does not have
            assert task.criterion.queue.dtype == torch.float32
            lengths = task.criterion.queue.norm(dim=1)
            torch.testing.assert_close(lengths, torch.ones(10))


@pytest.mark.parametrize('options', [{}, {'model': 'resnet10t', 'model_kwargs': None}])
def test_resume(tmp_path: Path, options: dict[str, Any]) -> None:
    """With views by chance, and in the middle of an epoch."""
    words = TINY | HEAD | {'milestones': [1], 'lr': 8.0} | options
    check_resume(lambda: HSIMoCo(**words), tmp_path)


def test_resume_between_added_gradients(tmp_path: Path) -> None:
    words = TINY | HEAD | {'lr': 8.0}
    check_resume(
        lambda: HSIMoCo(**words), tmp_path, epochs=4, accumulate_grad_batches=2
    )


def test_default_views() -> None:
    task = HSIMoCo(**(TINY | HEAD))
    trainer().fit(task, batches())
    sizes = [view['image'].shape for view in task.views({'image': images()})]
    assert sizes == [(4, BANDS, SIZE, SIZE)] * 2


@pytest.mark.parametrize('name', ['spec_vit_tiny', 'spec_resnet18'])
def test_spectral_backbones(name: str) -> None:
    kwargs = {'depth': 1} if 'vit' in name else None
    task = HSIMoCo(name, kwargs, in_channels=80, size=16, **HEAD)
    data = Batches({'image': torch.randn(2, 80, 16, 16)})
    before = state_of(task)
    trainer().fit(task, data)
    after = state_of(task)
    name = next(k for k in before if 'spectral_adapter' in k and k.endswith('weight'))
    assert not torch.equal(before[name], after[name])


def test_backbone_that_knows_wavelengths() -> None:
    check_wavelengths(make)


class TestErrors:
    def test_images(self) -> None:
        check_images_are_checked(make)

    def test_too_few_bands_for_the_adapter(self) -> None:
        with pytest.raises(BandMismatchError):
            HSIMoCo('spec_vit_tiny', in_channels=20)

    @pytest.mark.parametrize(
        ('words', 'message'),
        [
            ({'teacher_momentum': 1.5}, 'teacher_momentum from 0 to 1'),
            ({'queue_size': 0}, 'positive size'),
            ({'temperature': 0.0}, 'positive size, dim and temperature'),
            ({'lr': -1.0}, 'positive lr'),
            ({'optimizer': 'adam'}, 'optimizer sgd, adamw, lars'),
        ],
    )
    def test_numbers(self, words: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make(**words)


def test_one_image_has_no_statistics() -> None:
    task = HSIMoCo(**TINY, hidden_dim=8, output_dim=4, queue_size=8)
    with pytest.raises(ValueError, match=r'one image.*drop_last'):
        task.training_step({'image': images(1)}, 0)
