# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Backbones of checkpoints as files for others."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from click.testing import CliRunner
from data.spectral_earth_weights.data import published_vit

from torchgeo_hsi.cli.export import export
from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.models import load_spectral_earth_weights
from torchgeo_hsi.models.backbones.checkpoint_backbone import backbone_from_checkpoint

NAMES = {
    'moco': ('backbone', 'backbone_momentum'),
    'dino': ('backbone', 'teacher_backbone'),
    'mae': ('backbone',),
}
#: What is usually evaluated.
CHOSEN = {'moco': 'backbone', 'dino': 'teacher_backbone', 'mae': 'backbone'}


def network(seed: int, **kwargs: Any) -> Any:
    torch.manual_seed(seed)
    return timm.create_model('spec_vit_tiny', in_chans=202, num_classes=0, **kwargs)


def checkpoint(folder: Path, kind: str, **hparams: Any) -> tuple[Path, dict[str, Any]]:
    networks = {name: network(i) for i, name in enumerate(NAMES[kind])}
    state = {
        f'{name}.{key}': value
        for name, part in networks.items()
        for key, value in part.state_dict().items()
    }
    state['projection_head.layers.0.weight'] = torch.ones(2, 2)
    words = {'model': 'spec_vit_tiny', 'model_kwargs': None, 'in_channels': 202}
    content = {
        'state_dict': state,
        'hyper_parameters': words | hparams | {'views': Path('x')},
        'random_seed': 1,
    }
    path = folder / f'{kind}.ckpt'
    torch.save(content, path)
    return path, {name: part.state_dict() for name, part in networks.items()}


@pytest.mark.parametrize('kind', NAMES)
@pytest.mark.parametrize('layout', ['official', 'timm', 'torchgeo'])
def test_round_trip(tmp_path: Path, kind: str, layout: str) -> None:
    path, states = checkpoint(tmp_path, kind)
    out = tmp_path / 'out.pth'
    words = [str(path), str(out), '--layout', layout]
    result = CliRunner().invoke(export, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert str(out) in result.output
    again = network(9)
    report = load_spectral_earth_weights(again, out)
    assert report.fits
    found = again.state_dict()
    for key, value in states[CHOSEN[kind]].items():
        assert torch.equal(found[key], value), key
    if layout == 'official':
        keys = set(torch.load(out, weights_only=True))
        assert keys == set(published_vit(classes=0))


@pytest.mark.parametrize(
    ('kind', 'branch', 'name'),
    [
        ('moco', 'student', 'backbone'),
        ('moco', 'teacher', 'backbone_momentum'),
        ('dino', 'student', 'backbone'),
        ('dino', 'teacher', 'teacher_backbone'),
    ],
)
def test_branches(tmp_path: Path, kind: str, branch: Any, name: str) -> None:
    path, states = checkpoint(tmp_path, kind)
    found = backbone_from_checkpoint(path, branch=branch).state_dict()
    assert all(torch.equal(found[k], v) for k, v in states[name].items())


def test_what_is_given_and_what_is_not(tmp_path: Path) -> None:
    path, _ = checkpoint(tmp_path, 'mae', in_channels=90)
    assert backbone_from_checkpoint(path).state_dict().keys()
    other = tmp_path / 'plain.pth'
    torch.save(network(0).state_dict(), other)
    with pytest.raises(MetadataError, match=r'which backbone.*spec_vit_small'):
        backbone_from_checkpoint(other)
    with pytest.raises(MetadataError, match='how many bands'):
        backbone_from_checkpoint(other, model='spec_vit_tiny')
    given = backbone_from_checkpoint(other, 100, model='spec_vit_tiny')
    assert given.state_dict().keys() == network(0).state_dict().keys()
    with pytest.raises(ValueError, match="branch='teacher'"):
        backbone_from_checkpoint(path, branch='teacher')
    words = [str(path), str(tmp_path / 'x.pth'), '--set', '3']
    assert CliRunner().invoke(export, words).exit_code == 2


def test_networks_without_an_adapter(tmp_path: Path) -> None:
    words: dict[str, Any] = {'img_size': 32, 'depth': 1}
    name = 'vit_tiny_patch16_224'
    model = timm.create_model(name, in_chans=3, num_classes=0, **words)
    content = {
        'state_dict': {f'backbone.{k}': v for k, v in model.state_dict().items()},
        'hyper_parameters': {'model': name, 'model_kwargs': words, 'in_channels': 3},
    }
    path, out = tmp_path / 'last.ckpt', tmp_path / 'out.pth'
    torch.save(content, path)
    arguments = [str(path), str(out)]
    result = CliRunner().invoke(export, arguments, catch_exceptions=False)
    assert '(plain state dict)' in result.output
    found = torch.load(out, weights_only=True)
    assert all(torch.equal(found[k], v) for k, v in model.state_dict().items())
