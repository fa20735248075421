# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files that others load: bit by bit, whole or not at all."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from data.spectral_earth_weights.data import State, published_resnet, published_vit
from torch import nn

from torchgeo_hsi.errors import BandMismatchError, OutputError
from torchgeo_hsi.models import (
    SpectralAdapter,
    export_spectral_earth_weights,
    load_spectral_earth_weights,
)

LAYOUTS = ('official', 'timm', 'torchgeo')


def noisy(name: str, **kwargs: Any) -> nn.Module:
    """Build a model in which no tensor has the value that it starts with."""
    torch.manual_seed(3)
    model = timm.create_model(name, **kwargs)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.normal_()
        else:
            tensor.fill_(9)
    return model


def assert_equal(state: State, other: State) -> None:
    assert list(state) == list(other)
    for key, value in state.items():
        assert value.dtype == other[key].dtype
        assert torch.equal(value, other[key]), key


@pytest.mark.parametrize(
    ('name', 'layout'),
    [
        (name, layout)
        for name in ('spec_vit_tiny', 'spec_resnet50', 'spec_resnet18')
        for layout in LAYOUTS
        if (name, layout) != ('spec_resnet18', 'official')
    ],
)
def test_round_trip(name: str, layout: Any, tmp_path: Path) -> None:
    model = noisy(name, num_classes=3)
    path = tmp_path / 'new' / 'weights.pth'
    assert export_spectral_earth_weights(model, path, layout, head=True) == path
    again = timm.create_model(name, num_classes=3, in_chans=90)
    report = load_spectral_earth_weights(again, path, head=True)
    assert (report.fits, report.ignored) == (True, {})
    assert_equal(model.state_dict(), again.state_dict())
    export_spectral_earth_weights(again, tmp_path / 'again.pth', layout, head=True)
    first, second = (torch.load(p) for p in (path, tmp_path / 'again.pth'))
    if layout == 'torchgeo':
        first, second = first['state_dict'], second['state_dict']
    assert_equal(first, second)


@pytest.mark.parametrize(
    ('name', 'official'),
    [
        ('spec_vit_tiny', published_vit(classes=0)),
        ('spec_resnet50', published_resnet(classes=0)),
    ],
    ids=['vit', 'resnet'],
)
def test_official_layout_is_the_published_one(
    name: str, official: State, tmp_path: Path
) -> None:
    path = tmp_path / 'weights.pth'
    export_spectral_earth_weights(noisy(name, num_classes=5), path)
    found = torch.load(path, weights_only=True)
    assert type(found) is dict
    assert set(found) == set(official)
    for key, value in official.items():
        assert (found[key].shape, found[key].dtype) == (value.shape, value.dtype), key


@pytest.mark.parametrize(
    ('name', 'official', 'key'),
    [
        ('spec_vit_tiny', published_vit(classes=5), 'vit_core.head.weight'),
        ('spec_resnet50', published_resnet(classes=5), 'resnet.fc.weight'),
    ],
    ids=['vit', 'resnet'],
)
def test_official_layout_with_a_head(
    name: str, official: State, key: str, tmp_path: Path
) -> None:
    path = tmp_path / 'weights.pth'
    export_spectral_earth_weights(noisy(name, num_classes=5), path, head=True)
    found = torch.load(path, weights_only=True)
    assert set(found) == set(official)
    assert found[key].shape == official[key].shape


def test_timm_layout_is_a_plain_state_dict(tmp_path: Path) -> None:
    model, path = noisy('spec_vit_tiny'), tmp_path / 'weights.pth'
    export_spectral_earth_weights(model, path, 'timm')
    fresh = timm.create_model('spec_vit_tiny')
    fresh.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert_equal(model.state_dict(), fresh.state_dict())


def test_out_of_a_trainer_with_two_networks(tmp_path: Path) -> None:
    class Trainer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = noisy('spec_vit_tiny')
            self.backbone_momentum = timm.create_model('spec_vit_tiny')
            self.projection_head = nn.Linear(192, 8)

    trainer, path = Trainer(), tmp_path / 'weights.pth'
    for branch, source in (
        ('auto', trainer.backbone),
        ('student', trainer.backbone),
        ('teacher', trainer.backbone_momentum),
    ):
        export_spectral_earth_weights(trainer, path, 'timm', branch=branch)
        assert_equal(torch.load(path), source.state_dict())
    with pytest.raises(ValueError, match="branch='teacher'"):
        export_spectral_earth_weights(trainer.backbone, path, branch='teacher')


def test_tensors_own_their_memory(tmp_path: Path) -> None:
    model = timm.create_model('spec_vit_tiny').to(torch.bfloat16)
    path = tmp_path / 'weights.pth'
    with torch.inference_mode():
        export_spectral_earth_weights(model, path)
    found = torch.load(path)
    assert found['vit_core.cls_token'].dtype == torch.bfloat16
    assert not any(value.requires_grad for value in found.values())
    # a view of a larger tensor would be written whole
    size = sum(value.nbytes for value in found.values())
    assert path.stat().st_size < size + 200_000


def test_file_appears_whole_and_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = noisy('spec_vit_tiny'), tmp_path / 'weights.pth'
    export_spectral_earth_weights(model, path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    before = path.read_bytes()

    def fail(content: object, file: Any) -> None:
        file.write(b'half')
        raise OSError('no space left on device')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(
        OutputError, match=r'weights\.pth could not.*no space.*Nothing half-written'
    ):
        export_spectral_earth_weights(model, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='choose another folder'):
        export_spectral_earth_weights(
            timm.create_model('spec_vit_tiny'), tmp_path / 'file' / 'weights.pth'
        )


@pytest.mark.parametrize(
    ('build', 'options', 'error', 'message'),
    [
        (lambda: nn.Linear(2, 2), {}, BandMismatchError, 'adapter.*got Linear'),
        (SpectralAdapter, {}, BandMismatchError, 'a backbone behind it'),
        (
            lambda: timm.create_model('spec_resnet18'),
            {},
            BandMismatchError,
            "no layout for SpectralAdapterBackbone.*layout='timm'",
        ),
        (
            lambda: timm.create_model('spec_vit_tiny', features_only=True),
            {},
            BandMismatchError,
            r'extractor lacks norm\.',
        ),
        (
            lambda: timm.create_model('spec_vit_tiny'),
            {'layout': 'onnx'},
            ValueError,
            "'official', 'timm' or 'torchgeo', got 'onnx'",
        ),
    ],
)
def test_what_cannot_be_exported(
    build: Callable[[], nn.Module],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        export_spectral_earth_weights(build(), tmp_path / 'weights.pth', **options)
    assert not list(tmp_path.iterdir())


def test_lora_is_merged(tmp_path: Path) -> None:
    peft = pytest.importorskip('peft')
    model = noisy('spec_vit_tiny').eval()
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=['qkv', 'fc1'])
    model = peft.inject_adapter_in_model(config, model)
    for key, value in model.named_parameters():
        if 'lora_' in key:
            nn.init.normal_(value, std=0.1)
    path = tmp_path / 'weights.pth'
    export_spectral_earth_weights(model, path)
    assert set(torch.load(path)) == set(published_vit())
    plain = timm.create_model('spec_vit_tiny').eval()
    load_spectral_earth_weights(plain, path)
    original = noisy('spec_vit_tiny')
    weight = plain.blocks[0].attn.qkv.weight
    assert not torch.equal(weight, original.blocks[0].attn.qkv.weight)
    assert torch.equal(
        plain.blocks[0].mlp.fc2.weight, original.blocks[0].mlp.fc2.weight
    )
    layer = model.blocks[0].attn.qkv
    tokens = torch.rand(2, 5, 192)
    expected = layer(tokens)
    torch.testing.assert_close(
        plain.blocks[0].attn.qkv(tokens), expected, rtol=1e-4, atol=1e-4
    )


def test_layers_with_parametrizations_are_refused(tmp_path: Path) -> None:
    model = timm.create_model('spec_vit_tiny')
    nn.utils.parametrizations.weight_norm(model.blocks[0].mlp.fc1)
    with pytest.raises(
        BandMismatchError, match=r'plain weights, found blocks\.0\.mlp\.fc1'
    ):
        export_spectral_earth_weights(model, tmp_path / 'weights.pth')
