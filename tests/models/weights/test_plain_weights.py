# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights of networks of timm without a spectral adapter, as files and back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models import (
    export_spectral_earth_weights,
    load_spectral_earth_weights,
)
from torchgeo_hsi.models.backbones.checkpoint_backbone import backbone_from_checkpoint

BANDS = 5
VIT: dict[str, Any] = {'img_size': 32, 'depth': 2}


def network(seed: int, name: str = 'vit_tiny_patch16_224', **kwargs: Any) -> nn.Module:
    torch.manual_seed(seed)
    words = VIT if name.startswith('vit') else {}
    model: nn.Module = timm.create_model(
        name, in_chans=BANDS, **{'num_classes': 0, **words, **kwargs}
    )
    return model


def assert_same(model: nn.Module, other: nn.Module) -> None:
    found, wanted = model.state_dict(), other.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


@pytest.mark.parametrize('layout', ['official', 'timm', 'torchgeo'])
@pytest.mark.parametrize('name', ['vit_tiny_patch16_224', 'resnet18'])
def test_round_trip(tmp_path: Path, name: str, layout: Any) -> None:
    model, again = network(0, name), network(1, name)
    path = export_spectral_earth_weights(model, tmp_path / 'x.pth', layout)
    report = load_spectral_earth_weights(again, path)
    assert report.fits
    assert not report.network.startswith('spec_')
    assert_same(again, model)
    if layout != 'torchgeo':
        # the layout of timm, for everyone
        state = torch.load(path, weights_only=True)
        network(2, name).load_state_dict(state)


def test_what_a_head_has_beside_the_classifier_stays(tmp_path: Path) -> None:
    name = 'convnext_atto'
    model, again = network(0, name, num_classes=3), network(1, name)
    model.get_submodule('head.norm').weight.data.fill_(3.0)
    path = export_spectral_earth_weights(model, tmp_path / 'x.pth')
    state = torch.load(path, weights_only=True)
    assert 'head.norm.weight' in state
    assert 'head.fc.weight' not in state
    report = load_spectral_earth_weights(again, path)
    assert report.fits
    assert 'head.norm.weight' in report.loaded
    torch.save(model.state_dict(), path)
    report = load_spectral_earth_weights(again, path)
    assert report.dropped == ('head.fc.weight', 'head.fc.bias')
    whole = network(2, name, num_classes=3)
    assert load_spectral_earth_weights(whole, path, head=True).fits
    assert_same(whole, model)


@pytest.fixture
def dino(tmp_path: Path) -> tuple[Path, nn.ModuleDict]:
    """Write what a task leaves, with a decoder that looks like the network."""
    parts = {'backbone': network(0), 'teacher_backbone': network(1)}
    task = nn.ModuleDict({**parts, 'decoder': network(2, depth=1)})
    words = {'model': 'vit_tiny_patch16_224', 'model_kwargs': VIT, 'in_channels': BANDS}
    path = tmp_path / 'last.ckpt'
    torch.save({'state_dict': task.state_dict(), 'hyper_parameters': words}, path)
    return path, task


def test_checkpoints_of_tasks(dino: tuple[Path, nn.ModuleDict]) -> None:
    path, task = dino
    assert_same(backbone_from_checkpoint(path), task['teacher_backbone'])
    student = backbone_from_checkpoint(path, branch='student')
    assert_same(student, task['backbone'])
    with pytest.raises(CorruptFileError, match='interpolate=True'):
        backbone_from_checkpoint(path, model_kwargs={'img_size': 64})
    larger = network(3, img_size=64)
    report = load_spectral_earth_weights(larger, path, interpolate=True)
    assert report.resized == ('pos_embed',)


def test_networks_inside_of_others(dino: tuple[Path, nn.ModuleDict]) -> None:
    path, task = dino
    whole = nn.ModuleDict({'model': network(4), 'head': nn.Linear(2, 2)})
    load_spectral_earth_weights(whole, path)
    assert_same(whole['model'], task['teacher_backbone'])
    out = path.with_name('out.pth')
    export_spectral_earth_weights(task, out, branch='auto')
    load_spectral_earth_weights(whole, out)
    assert_same(whole['model'], task['teacher_backbone'])
    with pytest.raises(BandMismatchError, match=r'found 3.*teacher_backbone'):
        load_spectral_earth_weights(task, path)
    with pytest.raises(BandMismatchError, match='network of timm, got Linear'):
        export_spectral_earth_weights(nn.Linear(2, 2), out)
    with pytest.raises(BandMismatchError, match=r'one backbone of timm.*found 0'):
        load_spectral_earth_weights(nn.Linear(2, 2), out)


def test_files_of_other_networks(
    tmp_path: Path, save: Callable[[object], Path]
) -> None:
    model = network(0)
    with pytest.raises(
        CorruptFileError, match=r'nothing of VisionTransformer \(2 keys'
    ):
        load_spectral_earth_weights(
            model, save({f'{i}.x': torch.ones(1) for i in 'ab'})
        )
    state = network(0, 'resnet18').state_dict() | {'norm.weight': torch.ones(192)}
    with pytest.raises(CorruptFileError, match='holds a residual network'):
        load_spectral_earth_weights(model, save(state))
    ours = timm.create_model('spec_vit_tiny', depth=1)
    with pytest.raises(BandMismatchError, match='with a spectral adapter'):
        load_spectral_earth_weights(model, save(ours.state_dict()))
    with pytest.raises(BandMismatchError, match=r'one spectral adapter.*found 0'):
        load_spectral_earth_weights(model, save(ours.state_dict()), adapter_only=True)


def test_foundation_models(tmp_path: Path) -> None:
    pytest.importorskip('torchgeo.models')
    words = {'img_size': 32, 'wavelength': [0.49, 0.56, 0.66]}
    model = timm.create_model('dofa_small_wl', **words)
    path = export_spectral_earth_weights(model, tmp_path / 'dofa.pth')
    content = {
        'state_dict': {f'backbone.{k}': v for k, v in model.state_dict().items()},
        'hyper_parameters': {
            'model': 'dofa_small_wl',
            'model_kwargs': {'img_size': 32},
            'in_channels': 3,
        },
    }
    assert torch.load(path, weights_only=True).keys() == model.state_dict().keys()
    torch.save(content, tmp_path / 'last.ckpt')
    again = backbone_from_checkpoint(tmp_path / 'last.ckpt')
    assert_same(again, model)
    smaller = timm.create_model('dofa_small_wl', img_size=16, in_chans=3)
    report = load_spectral_earth_weights(smaller, path, interpolate=True)
    assert report.resized == ('pos_embed',)
