# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of self-distillation."""

import math
import pickle
from copy import deepcopy
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightly.models.modules import DINOProjectionHead
from tasks.pretraining import (
    BANDS,
    SIZE,
    TINY,
    Batches,
    Plain,
    batches,
    check_resume,
    check_wavelengths,
    images,
    plain_views,
    state_of,
    trainer,
)
from torch import Tensor, nn
from torch.optim import AdamW

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models.adapters._bands import BandConditioned
from torchgeo_hsi.tasks._prototype_head import PrototypeHead
from torchgeo_hsi.tasks.dino import HSIDINO
from torchgeo_hsi.transforms import MultiView

HEAD: dict[str, Any] = {'hidden_dim': 16, 'bottleneck_dim': 8, 'output_dim': 12}
CROPS: dict[str, Any] = {'local_size': 4, 'local_views': 2}


def make(seed: int = 0, **kwargs: Any) -> HSIDINO:
    torch.manual_seed(seed)
    sizes = [4] * kwargs.get('local_views', 0)
    return HSIDINO(**(TINY | HEAD | {'views': plain_views(*sizes)} | kwargs))


def distill(
    teacher: list[Any],
    student: list[Any],
    center: Any,
    teacher_temp: float = 0.04,
    student_temp: float = 0.1,
) -> float:
    """The loss, written down once more with loops."""

    def softmax(x: Any) -> Any:
        power = np.exp(x - x.max())
        return power / power.sum()

    terms = []
    for i, seen in enumerate(teacher):
        for j, said in enumerate(student):
            if i == j:
                continue
            for row, other in zip(seen, said, strict=True):
                target = softmax((row - center) / teacher_temp)
                terms.append(-(target * np.log(softmax(other / student_temp))).sum())
    return float(np.mean(terms))


def logits(head: Any, backbone: Any, image: Tensor) -> Any:
    with torch.no_grad():
        return head(backbone(image)).double().numpy()


class TestHead:
    @pytest.mark.parametrize('batch_norm', [True, False])
    @pytest.mark.filterwarnings('ignore:`torch.nn.utils.weight_norm` is deprecated')
    def test_equals_lightly(self, batch_norm: bool) -> None:
        ours = PrototypeHead(6, 16, 8, 12, batch_norm, norm_last_layer=False)
        theirs = DINOProjectionHead(6, 16, 8, 12, batch_norm, norm_last_layer=False)
        with torch.no_grad():
            for p, t in zip(
                ours.mlp.parameters(), theirs.layers.parameters(), strict=True
            ):
                p.copy_(torch.rand_like(p))
                t.copy_(p)
            ours.last_layer.length.uniform_()
            theirs.last_layer.weight_g.copy_(ours.last_layer.length)
            theirs.last_layer.weight_v.copy_(ours.last_layer.weight)
        x = torch.rand(5, 6)
        torch.testing.assert_close(ours(x), theirs(x))
        assert sum(p.numel() for p in ours.parameters()) == sum(
            p.numel() for p in theirs.parameters()
        )

    def test_prototypes_have_length_1(self) -> None:
        head = PrototypeHead(6, 16, 8, 12)
        x = torch.rand(50, 6)
        assert 0 < head(x).abs().max() <= 1
        learning = [p for p in head.last_layer.parameters() if p.requires_grad]
        assert [tuple(p.shape) for p in learning] == [(12, 8)]
        head = PrototypeHead(6, 16, 8, 12, norm_last_layer=False)
        assert all(p.requires_grad for p in head.parameters())

    def test_can_be_copied_and_sent(self) -> None:
        head = PrototypeHead(6, 16, 8, 12)
        x = torch.rand(3, 6)
        want = head(x)
        assert torch.equal(deepcopy(head)(x), want)
        assert torch.equal(pickle.loads(pickle.dumps(head))(x), want)
        task = make()
        other = pickle.loads(ForkingPickler.dumps(task))
        image = images()
        assert torch.equal(other.backbone(image), task.backbone(image))

    def test_float32_in_mixed_precision(self) -> None:
        head = PrototypeHead(6, 16, 8, 12)
        x = torch.rand(3, 6)
        with torch.autocast('cpu', torch.bfloat16):
            found = head(x)
            # what a backbone in mixed precision puts out
            assert head(x.bfloat16()).dtype == torch.float32
        assert torch.equal(found, head(x))


class TestNetworks:
    def test_teacher_starts_as_a_copy(self) -> None:
        task = make()
        for network, teacher in task.teachers():
            state, copy = network.state_dict(), teacher.state_dict()
            assert state.keys() == copy.keys()
            assert all(torch.equal(state[k], copy[k]) for k in state)
            assert not any(p.requires_grad for p in teacher.parameters())

    def test_teacher_drops_nothing(self) -> None:
        kwargs = {**TINY['model_kwargs'], 'drop_path_rate': 0.5, 'proj_drop_rate': 0.5}
        task = make(model_kwargs=kwargs)
        assert any('drop_prob' in m.__dict__ for m in task.backbone.modules())
        x = images()
        task.train()
        assert not torch.equal(task.backbone(x), task.backbone(x))
        assert torch.equal(task.teacher_backbone(x), task.teacher_backbone(x))

    @pytest.mark.parametrize('dynamic', [None, True])
    def test_small_crops_need_any_size(self, dynamic: bool | None) -> None:
        kwargs = dict(TINY['model_kwargs'])
        if dynamic:
            kwargs['dynamic_img_size'] = True
        task = make(model_kwargs=kwargs, **CROPS)
        for network in (task.backbone, task.teacher_backbone):
            assert network(images()[..., :4, :4]).shape == (4, 24)
            # nothing changes for large ones
            plain = make()
            plain.backbone.load_state_dict(network.state_dict())
            torch.testing.assert_close(network(images()), plain.backbone(images()))
        assert task.hparams['model_kwargs']['dynamic_img_size']
        assert not getattr(make().backbone, 'dynamic_img_size', False)

    def test_small_crops_of_our_transformers(self) -> None:
        task = HSIDINO(
            'spec_vit_tiny', {'depth': 1}, in_channels=80, size=16, **(HEAD | CROPS)
        )
        task.views = MultiView([Plain(), Plain(), Plain(size=4)])
        trainer().fit(task, Batches({'image': torch.randn(2, 80, 16, 16)}))

    def test_size_of_patches(self) -> None:
        with pytest.raises(ValueError, match='multiple of the patches of 4 pixels'):
            make(local_views=1, local_size=6)
        # the default is 3/8 of the large crops
        with pytest.raises(ValueError, match='4 pixels, got 3'):
            make(local_views=1)

    def test_published_size(self) -> None:
        task = HSIDINO('vit_tiny_patch16_224', in_channels=BANDS)
        assert task.criterion.center.shape == (1, 1, 32_768)
        shapes = [tuple(p.shape) for p in task.student_head.parameters() if p.ndim > 1]
        assert sorted(shapes) == sorted(
            [(2048, 192), (2048, 2048), (256, 2048), (32_768, 1), (32_768, 256)]
        )


class TestLoss:
    @pytest.mark.parametrize('local_views', [0, 2])
    def test_by_hand(self, local_views: int) -> None:
        task = make(local_size=4, local_views=local_views)
        task.criterion.center.copy_(0.1 * torch.randn(1, 1, 12))
        center = task.criterion.center[0, 0].double().numpy()
        with torch.no_grad():
            # a teacher that differs from its student
            for p in task.teacher_backbone.parameters():
                p.mul_(1.1)
        x = images()
        views = task.views({'image': x})
        loss, features = task.compare(views, learn=False)
        assert torch.equal(features, task.backbone(x)) or torch.allclose(
            features, task.backbone(x), atol=1e-6
        )
        crops = [x, x.flip(-1)] + [x[..., :4, :4]] * local_views
        student = [logits(task.student_head, task.backbone, crop) for crop in crops]
        teacher = [
            logits(task.teacher_head, task.teacher_backbone, crop) for crop in crops[:2]
        ]
        want = distill(teacher, student, center)
        assert float(loss.detach()) == pytest.approx(want, rel=1e-5)

    def test_temperature_of_the_teacher_rises(self) -> None:
        words = {'warmup_teacher_temp': 0.02, 'warmup_teacher_temp_epochs': 3}
        task = make(teacher_temp=0.06, **words)
        x = images()
        views = task.views({'image': x})
        both = [
            logits(task.student_head, task.backbone, image) for image in (x, x.flip(-1))
        ]
        for epoch, temperature in enumerate((0.02, 0.04, 0.06, 0.06)):
            type(task).current_epoch = epoch  # type: ignore[misc, assignment]
            try:
                loss, _ = task.compare(views, learn=False)
            finally:
                del type(task).current_epoch
            want = distill(both, both, 0.0, temperature)
            assert float(loss.detach()) == pytest.approx(want, rel=1e-5)

    def test_center(self) -> None:
        task = make(center_momentum=0.8)
        x = images()
        seen = [
            logits(task.teacher_head, task.teacher_backbone, image)
            for image in (x, x.flip(-1))
        ]
        task.compare(task.views({'image': x}), learn=True)
        want = 0.2 * np.concatenate(seen).mean(0)
        np.testing.assert_allclose(task.criterion.center[0, 0], want, rtol=1e-5)

    def test_validation_changes_nothing(self) -> None:
        task = make()
        task.criterion.center.fill_(0.1)
        before = state_of(task)
        trainer().validate(task, batches(), verbose=False)
        after = state_of(task)
        assert all(torch.equal(before[k], after[k]) for k in before)
        # and training goes on with the center as it was
        trainer().fit(task, batches(), batches())
        assert not torch.equal(task.criterion.center, before['criterion.center'])

    def test_one_forward_for_each_size(self) -> None:
        task = make(**CROPS)
        sizes: list[tuple[int, ...]] = []
        for network in (task.backbone, task.teacher_backbone):
            network.register_forward_pre_hook(
                lambda module, args: sizes.append(tuple(args[0].shape))
            )
        task.compare(task.views({'image': images()}), learn=False)
        assert sizes == [(8, BANDS, 8, 8), (8, BANDS, 4, 4), (8, BANDS, 8, 8)]

    def test_too_few_views(self) -> None:
        task = make(views=MultiView([Plain()]))
        with pytest.raises(ValueError, match='make 2 or more, got 1'):
            trainer().fit(task, batches())


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
            kept = 1 - 0.5 * share
            with torch.no_grad():
                for p, t in zip(
                    student.parameters(), teacher.parameters(), strict=True
                ):
                    t.copy_(kept * t + (1 - kept) * p)
        trainer(precision='64-true').fit(task, batches(steps, size=3))
        close: dict[str, float] = {'rtol': 1e-6, 'atol': 1e-7}
        torch.testing.assert_close(task.criterion.center[0, 0], center, **close)
        for found, wanted in (
            (task.backbone, student[0]),
            (task.student_head, student[1]),
            (task.teacher_backbone, teacher[0]),
            (task.teacher_head, teacher[1]),
        ):
            torch.testing.assert_close(found.state_dict(), wanted.state_dict(), **close)

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
        before = state_of(task)
        host = trainer(precision=precision)
        host.fit(task, batches(2))
        after = state_of(task)
        assert host.callback_metrics['train_loss'].isfinite()
        name = 'backbone.patch_embed.proj.weight'
        assert not torch.equal(before[name], after[name].float())
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


class TestErrors:
    def test_bands(self) -> None:
        with pytest.raises(BandMismatchError, match='Set in_channels='):
            trainer().fit(make(), batches(bands=BANDS + 1))

    def test_unit(self) -> None:
        with pytest.raises(UnitError, match='Expected normalized images'):
            trainer().fit(make(), Batches({'image': 1e4 * images()}))

    @pytest.mark.parametrize(
        ('words', 'message'),
        [
            ({'teacher_momentum': 1.5}, 'from 0 to 1, got 1.5'),
            ({'center_momentum': -0.1}, 'from 0 to 1, got'),
            ({'student_temp': 0.0}, 'positive student_temp'),
            ({'teacher_temp': -1.0}, 'positive teacher_temp'),
            ({'local_views': -1, 'local_size': 4}, 'local_views of 0 or more'),
            ({'schedule': 'linear'}, 'schedule cosine, steps, constant'),
        ],
    )
    def test_numbers(self, words: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            HSIDINO(**(TINY | HEAD | words))


def test_default_views() -> None:
    task = HSIDINO(**(TINY | HEAD | CROPS))
    sizes = [view['image'].shape[-1] for view in task.views({'image': images()})]
    assert sizes == [SIZE, SIZE, 4, 4]
    trainer().fit(task, batches())
