# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of pretraining with iterative normalization and trace loss."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tasks.pretraining import (
    BANDS,
    TINY,
    Batches,
    Plain,
    batches,
    check_resume,
    images,
    plain_views,
    state_of,
    trainer,
)
from torch import Tensor, nn
from torch.optim import SGD

from torchgeo_hsi.errors import HSIWarning
from torchgeo_hsi.losses.intl import INTLLoss
from torchgeo_hsi.tasks.intl import INTL
from torchgeo_hsi.transforms import MultiView

HEAD: dict[str, Any] = {'hidden_dim': 16, 'output_dim': 40, 'trace_weight': 0.05}
#: A transformer that takes small crops.
ANY_SIZE: dict[str, Any] = {
    'model_kwargs': {**TINY['model_kwargs'], 'dynamic_img_size': True}
}


def make(seed: int = 0, **kwargs: Any) -> INTL:
    torch.manual_seed(seed)
    return INTL(**(TINY | HEAD | {'views': plain_views()} | kwargs))


class TestNetworks:
    @pytest.mark.parametrize('layers', [1, 2, 3])
    @pytest.mark.parametrize('batch_norm', [True, False])
    def test_projector(self, layers: int, batch_norm: bool) -> None:
        projector = make(layers=layers, batch_norm=batch_norm).projector.layers
        kinds = [type(layer).__name__ for layer in projector]  # type: ignore[union-attr]
        hidden = ['Linear', *['BatchNorm1d'] * batch_norm, 'ReLU']
        assert kinds == [*hidden * (layers - 1), 'Linear']
        linear = [m for m in projector.modules() if isinstance(m, nn.Linear)]
        # a bias in front of a batch normalization would have no effect
        assert [m.bias is None for m in linear] == [batch_norm] * (layers - 1) + [False]
        assert linear[-1].out_features == 40

    def test_published_size(self) -> None:
        task = INTL('vit_tiny_patch16_224', in_channels=BANDS)
        widths = [p.shape for p in task.projector.parameters() if p.ndim == 2]
        assert widths == [(2048, 192), (2048, 2048), (2048, 2048)]
        assert not task.teachers()

    def test_teacher_starts_as_a_copy(self) -> None:
        task = make(ema=True)
        assert len(task.teachers()) == 2
        for network, teacher in task.teachers():
            torch.testing.assert_close(network.state_dict(), teacher.state_dict())
            mine = {p.data_ptr() for p in network.parameters()}
            assert not mine & {p.data_ptr() for p in teacher.parameters()}
            assert not any(p.requires_grad for p in teacher.parameters())


class TestLoss:
    @pytest.mark.parametrize('axis', ['channels', 'batch'])
    @pytest.mark.parametrize('ema', [False, True])
    def test_by_hand(self, axis: Any, ema: bool) -> None:
        size = {'channels': 40, 'batch': 3}[axis]
        task = make(
            axis=axis, ema=ema, output_dim=size, views=plain_views(4), **ANY_SIZE
        )
        if ema:
            # so that it is seen which one is used
            nn.init.normal_(next(task.projector_momentum.parameters()), std=0.1)
        x = images(8)
        crops = [x, x.flip(-1), x[..., :4, :4]]
        found, features = task.compare(task.views({'image': x}), learn=True)
        embeddings = [task.projector(task.backbone(crop)) for crop in crops]
        loss = INTLLoss(axis, trace_weight=0.05)
        if not ema:
            expected = loss(embeddings)
            torch.testing.assert_close(features, task.backbone(x))
        else:
            teacher = task.projector_momentum(task.backbone_momentum(x))
            expected = loss(embeddings[1:], teacher)
            torch.testing.assert_close(features, task.backbone(crops[1]))
        torch.testing.assert_close(found, expected)

    def test_teacher_gets_no_gradient(self) -> None:
        task = make(ema=True)
        task.compare(task.views({'image': images(8)}), learn=True)[0].backward()
        for network, teacher in task.teachers():
            assert all(p.grad is not None for p in network.parameters())
            assert all(p.grad is None for p in teacher.parameters())

    def test_validation_changes_nothing(self) -> None:
        task = make()
        before = state_of(task)
        # a remainder of one image is left out
        data = Batches({'image': images(8)}, {'image': images(1)})
        host = trainer()
        host.validate(task, data, verbose=False)
        torch.testing.assert_close(state_of(task), before)
        task.eval()
        expected, _ = task.compare(task.views({'image': images(8)}), learn=False)
        torch.testing.assert_close(host.callback_metrics['val_loss'], expected.detach())

    def test_one_view(self) -> None:
        with pytest.raises(ValueError, match='make 2 or more, got 1'):
            trainer().fit(make(views=MultiView([Plain()])), batches())

    def test_a_small_embedding_is_told(self) -> None:
        with pytest.warns(HSIWarning, match='more features than images'):
            trainer().fit(make(output_dim=4), batches())


class TestTraining:
    @pytest.mark.parametrize('batch_norm', [True, False])
    def test_equals_a_loop(self, batch_norm: bool) -> None:
        words: dict[str, Any] = {'lr': 16.0, 'teacher_momentum': 0.8}
        task = make(batch_norm=batch_norm, ema=True, warmup_epochs=0.0, **words)
        networks = nn.ModuleList([task.backbone, task.projector])
        student, teacher = deepcopy(networks), deepcopy(networks)
        decaying = [p for p in student.parameters() if p.ndim > 1]
        rest = [p for p in student.parameters() if p.ndim < 2]
        groups = [{'params': decaying}, {'params': rest, 'weight_decay': 0.0}]
        optimizer = SGD(groups, 0.0, 0.9, weight_decay=1e-5)
        loss: Tensor = torch.zeros(())
        for step in range(3):
            wave = 0.5 * (1 + math.cos(math.pi * step / 3))
            for group in optimizer.param_groups:
                group['lr'] = 16 * 8 / 256 * (0.001 + 0.999 * wave)
            x = images(8, seed=step)
            with torch.no_grad():
                target = teacher[1](teacher[0](x))
            embedding = student[1](student[0](x.flip(-1)))
            loss = INTLLoss(trace_weight=0.05)([embedding], target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            kept = 1 - 0.2 * wave
            with torch.no_grad():
                for p, t in zip(
                    student.parameters(), teacher.parameters(), strict=True
                ):
                    t.copy_(kept * t + (1 - kept) * p)
        host = trainer()
        host.fit(task, batches(3, size=8))
        close: dict[str, float] = {'rtol': 1e-4, 'atol': 1e-5}
        logged = host.callback_metrics
        torch.testing.assert_close(logged['train_loss'], loss.detach(), **close)
        parts = logged['train_alignment'] + 0.05 * logged['train_trace']
        torch.testing.assert_close(parts, loss.detach(), **close)
        for found, wanted in (
            (task.backbone, student[0]),
            (task.projector, student[1]),
            (task.backbone_momentum, teacher[0]),
            (task.projector_momentum, teacher[1]),
        ):
            torch.testing.assert_close(found.state_dict(), wanted.state_dict(), **close)

    @pytest.mark.parametrize('accumulate', [1, 2])
    def test_teacher_slows_down_by_steps_of_the_optimizer(
        self, accumulate: int
    ) -> None:
        task = make(ema=True)
        moves: list[float] = []
        kept = task.momentum
        task.momentum = lambda: moves.append(kept()) or moves[-1]  # type: ignore[func-returns-value, method-assign]
        trainer(2, accumulate_grad_batches=accumulate).fit(task, batches(4))
        steps = 8 // accumulate
        waves = [0.5 * (1 + math.cos(math.pi * t / steps)) for t in range(steps)]
        # the same for backbone and projector
        once = list(dict.fromkeys(moves))
        assert once == pytest.approx([1 - 0.004 * wave for wave in waves])

    def test_schedule(self) -> None:
        task = make(lr=64.0, warmup_epochs=2.0)
        rates: list[float] = []
        task.on_train_batch_start = lambda *_: rates.append(  # type: ignore[assignment]
            task.trainer.optimizers[0].param_groups[0]['lr']
        )
        trainer(10).fit(task, batches())
        assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
        assert rates[4] == pytest.approx(1.0)
        assert sorted(rates[4:], reverse=True) == rates[4:]
        assert 0.001 < rates[-1] < 0.02

    def test_learns(self) -> None:
        data = Batches({'image': images(32)})
        task = make(lr=0.5, warmup_epochs=0.0, scale_lr=False, trace_weight='auto')
        views = task.views({'image': images(32)})
        before = float(task.compare(views, learn=False)[0].detach())
        trainer(20).fit(task, data)
        after = float(task.compare(views, learn=False)[0].detach())
        assert after < 0.8 * before

    @pytest.mark.parametrize('precision', ['bf16-mixed', 'bf16-true'])
    def test_half_precision(self, precision: Any) -> None:
        task = make(ema=True)
        host = trainer(precision=precision)
        host.fit(task, batches(2))
        assert host.callback_metrics['train_loss'].dtype == torch.float32
        assert host.callback_metrics['train_loss'].isfinite()

    def test_predict(self) -> None:
        task = make()
        (found,) = trainer().predict(task, batches(1)) or ()
        task.eval()
        torch.testing.assert_close(found['embedding'], task.backbone(images()))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'ema': True, 'multi_crop': True, **ANY_SIZE},
        {'model': 'resnet10t', 'model_kwargs': None},
    ],
)
def test_resume(tmp_path: Path, options: dict[str, Any]) -> None:
    """With views by chance, and in the middle of an epoch."""
    words = TINY | HEAD | {'lr': 8.0} | options
    if 'multi_crop' in options:
        words = words | {'size': 16}
    check_resume(lambda: INTL(**words), tmp_path)


def test_resume_between_added_gradients(tmp_path: Path) -> None:
    words = TINY | HEAD | {'lr': 8.0, 'ema': True}
    check_resume(lambda: INTL(**words), tmp_path, epochs=4, accumulate_grad_batches=2)


def test_views() -> None:
    task = make(views=None)
    assert [v['image'].shape[-1] for v in task.views({'image': images()})] == [8, 8]
    task = INTL(**(TINY | HEAD | ANY_SIZE | {'size': 28, 'multi_crop': True}))
    sizes = [v['image'].shape[-1] for v in task.views({'image': images()})]
    assert sizes == [28, 28, 24, 20, 16, 12]
    trainer().fit(task, batches())


@pytest.mark.parametrize('name', ['spec_vit_tiny', 'spec_resnet18'])
def test_spectral_backbones(name: str) -> None:
    kwargs = {'depth': 1} if 'vit' in name else None
    task = INTL(name, kwargs, in_channels=80, size=28, multi_crop=True, **HEAD)
    data = Batches({'image': torch.randn(4, 80, 28, 28)})
    before = state_of(task)
    trainer().fit(task, data)
    after = state_of(task)
    name = next(k for k in before if 'spectral_adapter' in k and k.endswith('weight'))
    assert not torch.equal(before[name], after[name])


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ({'teacher_momentum': 1.5}, 'teacher_momentum from 0 to 1'),
        ({'layers': 0}, '1 or more layers'),
        ({'axis': 'rows'}, "'channels' or 'batch'"),
        ({'iterations': 0}, '1 or more iterations'),
        ({'trace_weight': -1.0}, "or 'auto'"),
        ({'lr': -1.0}, 'positive lr'),
    ],
)
def test_what_cannot_be_used(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**words)
