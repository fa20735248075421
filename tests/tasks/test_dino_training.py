# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DINO learns, goes on, and knows its wavelengths."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tasks.dino import CROPS, HEAD, make
from tasks.pretraining import (
    BANDS,
    SIZE,
    TINY,
    batches,
    check_half_precision,
    check_resume,
    check_same_weights,
    check_wavelengths,
    follow,
    images,
    state_of,
    trainer,
)
from torch import Tensor, nn
from torch.optim import AdamW

from torchgeo_hsi.models.adapters._bands import BandConditioned
from torchgeo_hsi.tasks.dino import HSIDINO


class TestTraining:
    def test_equals_a_loop(self) -> None:
        words: dict[str, Any] = {
            'lr': 1.0,
            'weight_decay': 0.1,
            'warmup_epochs': 0.0,
            'teacher_momentum': 0.5,
            'freeze_last_layer': 0,
        }
        task = make(**words)
        networks = nn.ModuleList([task.backbone, task.student_head])
        student, teacher = deepcopy(networks).double(), deepcopy(networks).double()
        learning = [p for p in student.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {'params': [p for p in learning if p.ndim > 1]},
            {'params': [p for p in learning if p.ndim < 2], 'weight_decay': 0.0},
        ]
        optimizer = AdamW(groups, 1.0, weight_decay=0.1)
        center = torch.zeros(12).double()
        steps = 3
        for step in range(steps):
            x = images(3, seed=step).double()
            views = (x, x.flip(-1))
            said = [student[1](student[0](view)) / 0.1 for view in views]
            with torch.no_grad():
                seen = [teacher[1](teacher[0](view)) for view in views]
                targets = [F.softmax((row - center) / 0.04, -1) for row in seen]
            loss = sum(
                -(targets[i] * said[1 - i].log_softmax(-1)).sum(-1).mean() / 2
                for i in range(2)
            )
            center = 0.9 * center + 0.1 * torch.cat(seen).mean(0)
            share = 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group['lr'] = 3 / 256 * share
            optimizer.zero_grad()
            loss.backward()  # type: ignore[union-attr]
            optimizer.step()
            follow(teacher, student, 1 - 0.5 * share)
        trainer(precision='64-true').fit(task, batches(steps, size=3))
        close: dict[str, float] = {'rtol': 1e-6, 'atol': 1e-7}
        torch.testing.assert_close(task.criterion.center[0, 0], center, **close)
        teachers = (task.teacher_backbone, task.teacher_head)
        found = (task.backbone, task.student_head, *teachers)
        check_same_weights(found, (*student, *teacher), close)

    @pytest.mark.parametrize('accumulate', [1, 2])
    def test_momentum_over_the_whole_training(self, accumulate: int) -> None:
        task = make()
        found: list[float] = []
        momentum = task.momentum

        def spy() -> float:
            found.append(momentum())
            return found[-1]

        task.momentum = spy  # type: ignore[method-assign]
        trainer(5, accumulate_grad_batches=accumulate).fit(task, batches(4))
        total = 20 // accumulate
        want = [
            1 - 0.004 * 0.5 * (1 + math.cos(math.pi * step / total))
            for step in range(total)
        ]
        # of the backbone and of the head
        assert found[::2] == found[1::2] == pytest.approx(want, abs=1e-12)
        assert found[0] == 0.996
        assert all(a < b < 1 for a, b in zip(found[::2], found[2::2], strict=False))

    @pytest.mark.parametrize('norm_last_layer', [True, False])
    def test_prototypes_wait(self, norm_last_layer: bool) -> None:
        task = make(freeze_last_layer=1, lr=1.0, norm_last_layer=norm_last_layer)
        before = state_of(task.student_head)
        last = [k for k in before if k.startswith('last_layer')]
        trainer(1).fit(task, batches())
        after = state_of(task.student_head)
        assert all(torch.equal(before[k], after[k]) for k in last)
        assert not torch.equal(
            before['mlp.layers.0.weight'], after['mlp.layers.0.weight']
        )
        trainer(2).fit(task, batches())
        later = state_of(task.student_head)
        lengths, directions = sorted(last)
        assert not torch.equal(after[directions], later[directions])
        assert torch.equal(after[lengths], later[lengths]) is norm_last_layer

    @pytest.mark.parametrize('precision', ['bf16-mixed', 'bf16-true'])
    def test_half_precision(self, precision: Any) -> None:
        task = make(**CROPS, lr=1.0)
        check_half_precision(task, precision)
        if precision == 'bf16-mixed':
            assert task.criterion.center.dtype == torch.float32


@pytest.mark.parametrize(
    'options', [CROPS, {'model': 'resnet10t', 'model_kwargs': None, 'local_views': 1}]
)
def test_resume(tmp_path: Path, options: dict[str, Any]) -> None:
    """With crops by chance, and in the middle of an epoch."""
    words = TINY | HEAD | {'lr': 0.1, 'warmup_epochs': 1.0} | options
    check_resume(lambda: HSIDINO(**words), tmp_path)


class Waves(BandConditioned):
    """A network that remembers the wavelengths that it is told."""

    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.set_default_bands()
        self.layer = nn.LazyLinear(24)
        self.told: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        wavelength, fwhm = self.bands_of(x)
        assert fwhm is not None
        self.told.append(wavelength.expand(len(x), -1))
        found: Tensor = self.layer(x.mean((2, 3)))
        return found


@pytest.mark.parametrize('each', [True, False])
def test_wavelengths_reach_both_networks(each: bool) -> None:
    task = make(**CROPS)
    task.backbone, task.teacher_backbone = Waves(), Waves()
    wave = torch.linspace(0.4, 2.4, BANDS).repeat(4, 1)
    wave[1:] += 0.01 * each
    fwhm = torch.full((4, BANDS), 0.01)
    batch = {
        'image': images(),
        'wavelength': wave if each else wave[0],
        'fwhm': fwhm if each else fwhm[0],
    }
    task.compare(task.views(task.dates(batch)), learn=False)
    large = wave.repeat(2, 1)
    torch.testing.assert_close(task.teacher_backbone.told, [large])
    torch.testing.assert_close(task.backbone.told, [large, large])


def test_backbone_that_knows_wavelengths() -> None:
    check_wavelengths(make)


def test_default_views() -> None:
    task = HSIDINO(**(TINY | HEAD | CROPS))
    sizes = [view['image'].shape[-1] for view in task.views({'image': images()})]
    assert sizes == [SIZE, SIZE, 4, 4]
    trainer().fit(task, batches())
