# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DINO: head, networks, loss and errors."""

import pickle
from copy import deepcopy
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch
from lightly.models.modules import DINOProjectionHead
from tasks.dino import CROPS, HEAD, make
from tasks.pretraining import (
    BANDS,
    TINY,
    Batches,
    Plain,
    batches,
    check_images_are_checked,
    images,
    state_of,
    trainer,
)
from torch import Tensor

from torchgeo_hsi.tasks._prototype_head import PrototypeHead
from torchgeo_hsi.tasks.dino import HSIDINO
from torchgeo_hsi.transforms import MultiView


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


class TestErrors:
    def test_images(self) -> None:
        check_images_are_checked(make)

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
