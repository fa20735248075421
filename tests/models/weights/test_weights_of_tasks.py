# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights out of checkpoints of whole tasks."""

import pytest
import timm
import torch
from data.spectral_earth_weights.data import (
    State,
    dino,
    hyperview,
    lightning,
    mae,
    moco,
    prefixed,
    published_vit,
    segmentation,
)
from models.weights.reports import Save, assert_complete, assert_holds, vit
from torch import nn

from torchgeo_hsi.models import load_spectral_earth_weights


def test_moco(resnet_state: State, save: Save) -> None:
    state = moco(resnet_state)
    path = save(lightning(state))
    model = timm.create_model('spec_resnet50')
    report = load_spectral_earth_weights(model, path)
    assert report.prefix == 'backbone.'
    assert_complete(report, state)
    assert {k: len(v) for k, v in report.ignored.items()} == {
        'another network (backbone_momentum.)': 333,
        'projection head': 4,
        'loss': 1,
    }
    assert 'optimizer_states' in report.outside
    assert_holds(model, resnet_state)
    load_spectral_earth_weights(model, path, branch='teacher')
    key = 'layer4.2.conv3.weight'
    expected = state[f'backbone_momentum.resnet.{key}']
    assert torch.equal(model.state_dict()[key], expected)


def test_dino(vit_state: State, save: Save) -> None:
    state = dino(vit_state)
    path = save(lightning(state))
    model = vit()
    report = load_spectral_earth_weights(model, path)
    assert report.prefix == 'teacher_backbone.'
    assert_complete(report, state)
    assert {k: len(v) for k, v in report.ignored.items()} == {
        'another network (student_backbone.)': 171,
        'projection head': 4,
        'loss': 1,
    }
    assert_holds(model, vit_state)
    load_spectral_earth_weights(model, path, branch='student')
    expected = state['student_backbone.vit_core.norm.weight']
    assert torch.equal(model.norm.weight, expected)


def test_branch_that_is_not_there(vit_state: State, save: Save) -> None:
    path = save(vit_state)
    with pytest.raises(ValueError, match=r"branch='teacher', found only ''"):
        load_spectral_earth_weights(vit(), path, branch='teacher')
    path = save(prefixed('teacher_backbone.', vit_state))
    with pytest.raises(ValueError, match=r"branch='student', found only 'teacher_"):
        load_spectral_earth_weights(vit(), path, branch='student')
    with pytest.raises(ValueError, match=r"Expected branch 'auto', 'student'.*'ema'"):
        load_spectral_earth_weights(vit(), path, branch='ema')


def test_mae(vit_state: State, save: Save) -> None:
    state = mae(vit_state)
    pointers = {value.data_ptr() for value in state.values()}
    assert (len(state), len(pointers)) == (565, 194)
    model = vit()
    report = load_spectral_earth_weights(model, save(lightning(state)))
    assert_holds(model, vit_state)
    assert_complete(report, state)
    assert report.prefix == 'encoder.vit.'
    assert report.dropped == ('head.weight', 'head.bias')
    assert {k: len(v) for k, v in report.ignored.items()} == {
        'another copy of a loaded one': 371,
        'head, left out': 2,
        'mask token': 2,
        'decoder': 19,
    }
    fate = report.ledger['encoder.vit.spec_vit.spectral_adapter.0.weight']
    assert fate == 'loaded'


@pytest.mark.parametrize('keep', ['encoder.vit.spec_vit.', 'encoder.vit.vit_core.'])
def test_mae_of_which_one_copy_is_left(vit_state: State, save: Save, keep: str) -> None:
    state = {
        k.removeprefix(keep): v for k, v in mae(vit_state).items() if k.startswith(keep)
    }
    model = vit()
    load_spectral_earth_weights(model, save(state))
    assert_holds(model, vit_state)


def test_copies_that_differ(vit_state: State, save: Save) -> None:
    state = mae(vit_state)
    state['encoder.vit.norm.weight'] = torch.zeros(192)
    # a head that nobody asks for may differ
    state['encoder.vit.vit_core.head.bias'] = torch.zeros(1000)
    model, path = vit(), save(state)
    before = model.norm.weight.clone()
    with pytest.raises(OSError, match=r'several times(.|\n)*conflicts: norm\.weight\n'):
        load_spectral_earth_weights(model, path)
    assert torch.equal(model.norm.weight, before)
    report = load_spectral_earth_weights(model, path, strict=False)
    assert report.conflicts == ('norm.weight',)
    ignored = report.ignored['another copy that differs']
    assert {'encoder.vit.norm.weight', 'encoder.vit.vit_core.norm.weight'} >= set(
        ignored
    ) - {'encoder.vit.vit_core.head.bias'}
    assert report.ledger['encoder.vit.spec_vit.vit_core.norm.weight'] == 'loaded'
    assert_holds(model, vit_state)


@pytest.mark.parametrize('kind', ['vit', 'resnet'])
def test_segmentation(
    vit_state: State, resnet_state: State, save: Save, kind: str
) -> None:
    backbone = vit_state if kind == 'vit' else resnet_state
    state = segmentation(backbone)
    name = 'spec_vit_tiny' if kind == 'vit' else 'spec_resnet50'
    model = timm.create_model(name)
    report = load_spectral_earth_weights(model, save(lightning(state)))
    assert_holds(model, backbone)
    assert_complete(report, state)
    head = 'segmentation head' if kind == 'vit' else 'head of the task'
    assert {k: len(v) for k, v in report.ignored.items()} == {head: 1, 'loss': 1}


def test_classification_with_its_head(save: Save) -> None:
    torch.manual_seed(0)
    published = published_vit(classes=19)
    path = save(lightning(prefixed('model.', published)))
    model = vit(num_classes=19)
    before = model.head.weight.clone()
    report = load_spectral_earth_weights(model, path)
    assert report.dropped == report.fresh == ('head.weight', 'head.bias')
    assert 'fresh: head.weight, head.bias' in str(report)
    assert torch.equal(model.head.weight, before)
    report = load_spectral_earth_weights(model, path, head=True)
    assert (report.dropped, report.fresh) == ((), ())
    assert_holds(model, published)


def test_head_that_does_not_fit(vit_state: State, save: Save) -> None:
    path = save(published_vit(classes=1000))
    with pytest.raises(
        OSError, match=r'mismatched: head\.weight \(1000, 192\) .* \(19, 192\) in the'
    ):
        load_spectral_earth_weights(vit(num_classes=19), path, head=True)
    with pytest.raises(OSError, match=r'unexpected: head\.weight, head\.bias'):
        load_spectral_earth_weights(vit(), path, head=True)
    with pytest.raises(OSError, match=r'head=False(.|\n)*missing: head\.weight'):
        load_spectral_earth_weights(vit(num_classes=2), save(vit_state), head=True)


@pytest.mark.parametrize('kind', ['vit', 'resnet'])
def test_hyperview(
    vit_state: State, resnet_state: State, save: Save, kind: str
) -> None:
    backbone = vit_state if kind == 'vit' else resnet_state
    state = hyperview(backbone)
    path = save(lightning(state))
    name, part, width = (
        ('spec_vit_tiny', 'head', 192)
        if kind == 'vit'
        else ('spec_resnet50', 'fc', 2048)
    )
    model = timm.create_model(name, num_classes=4)
    report = load_spectral_earth_weights(model, path)
    assert len(report.dropped) == 11
    assert report.fresh == (f'{part}.weight', f'{part}.bias')
    assert_complete(report, state)
    layers = [nn.BatchNorm1d(width), nn.Linear(width, 2048), nn.ReLU(), nn.Dropout(0.2)]
    layers += [nn.Linear(2048, 1024), nn.ReLU(), nn.Dropout(0.2), nn.Linear(1024, 4)]
    setattr(model, part, nn.Sequential(*layers))
    report = load_spectral_earth_weights(model, path, head=True)
    assert report.dropped == ()
    assert_holds(model, {k.removeprefix('model.'): v for k, v in state.items()})


# torchgeo's MAE, segmentation, change detection and BYOL
@pytest.mark.parametrize(
    'prefix',
    [
        'backbone.vit.',
        'model.encoder.model.',
        'model.encoder.',
        'model.backbone.model.',
    ],
)
def test_prefixes_of_torchgeo(vit_state: State, save: Save, prefix: str) -> None:
    model = vit()
    ours = {k.removeprefix('vit_core.'): v for k, v in vit_state.items()}
    state = prefixed(prefix, ours) | {'model.decoder.0.weight': torch.zeros(2)}
    report = load_spectral_earth_weights(model, save({'state_dict': state}))
    assert report.prefix == prefix
    assert_holds(model, vit_state)
