# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How torchgeo's tasks take the published weights."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from data.spectral_earth_weights.data import State, lightning, mae, prefixed
from lightly.models.modules import MaskedVisionTransformerTIMM
from models.weights.reports import assert_backbone_holds
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from segmentation_models_pytorch.encoders.timm_vit import TimmViTEncoder
from torchgeo.tasks import (
    MAE,
    ChangeDetection,
    Classification,
    MoCo,
    PixelwiseRegression,
    Regression,
    SemanticSegmentation,
    SimCLR,
)

from torchgeo_hsi.errors import CorruptFileError
from torchgeo_hsi.models import (
    SpecResNet50_Weights,
    SpectralEarthWeights,
    SpecViTSmall_Weights,
    export_spectral_earth_weights,
    load_spectral_earth_weights,
)

MOCO, _ = SpecResNet50_Weights
VIT = SpecViTSmall_Weights.SPECTRALEARTH_MAE


@pytest.fixture(autouse=True)
def places(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(folder))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))


WAYS = ['entry', 'name', 'path', 'true']


def given(way: str, entry: SpectralEarthWeights, tmp_path: Path) -> Any:
    """Give weights in one of the ways that torchgeo takes."""
    if way == 'path':
        model = timm.create_model(entry.meta['model'])
        load_spectral_earth_weights(model, entry)
        path = tmp_path / 'exported.ckpt'
        return str(export_spectral_earth_weights(model, path, 'torchgeo'))
    return {'entry': entry, 'name': str(entry), 'true': True}[way]


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('name', ['spec_resnet50', 'spec_vit_small'])
@pytest.mark.filterwarnings('error:num classes', 'error:input channels')
def test_classification_and_regression(
    name: str, way: str, tmp_path: Path, resnet_state: State, small_state: State
) -> None:
    entry, state = (MOCO, resnet_state) if 'res' in name else (VIT, small_state)
    weights = given(way, entry, tmp_path)
    task = Classification(model=name, weights=weights, in_channels=224, num_classes=5)
    assert_backbone_holds(task.model, state, but=('fc.', 'head.'))
    task = Regression(model=name, weights=weights, in_channels=150, num_outputs=4)
    assert_backbone_holds(task.model, state, but=('fc.', 'head.'))


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize(
    ('model', 'backbone'),
    [
        ('unet', 'tu-spec_resnet50'),
        ('deeplabv3+', 'tu-spec_resnet50'),
        ('upernet', 'tu-spec_resnet50'),
        ('dpt', 'tu-spec_vit_small'),
    ],
)
def test_segmentation(
    model: Any,
    backbone: str,
    way: str,
    tmp_path: Path,
    resnet_state: State,
    small_state: State,
) -> None:
    entry, state = (VIT, small_state) if model == 'dpt' else (MOCO, resnet_state)
    task = SemanticSegmentation(
        model=model,
        backbone=backbone,
        weights=given(way, entry, tmp_path),
        in_channels=90,
        num_classes=3,
    )
    assert_backbone_holds(task.model.encoder.model, state)


@pytest.mark.parametrize('way', WAYS)
def test_other_tasks_with_encoders(
    way: str, tmp_path: Path, resnet_state: State
) -> None:
    weights = given(way, MOCO, tmp_path)
    words = {'backbone': 'tu-spec_resnet50', 'weights': weights, 'in_channels': 90}
    task = PixelwiseRegression(model='unet', **words)
    assert_backbone_holds(task.model.encoder.model, resnet_state)
    change = ChangeDetection(model='fcsiamdiff', **words)
    assert_backbone_holds(change.model.encoder.model, resnet_state)


@pytest.mark.parametrize('way', WAYS)
def test_self_supervised_tasks(
    way: str, tmp_path: Path, resnet_state: State, small_state: State
) -> None:
    weights = given(way, MOCO, tmp_path)
    task = MoCo(model='spec_resnet50', weights=weights, in_channels=90, size=32)
    assert_backbone_holds(task.backbone, resnet_state)
    simclr = SimCLR(model='spec_resnet50', weights=weights, in_channels=90, size=32)
    assert_backbone_holds(simclr.backbone, resnet_state)
    if way != 'path':  # torchgeo's MAE takes no path
        weights = given(way, VIT, tmp_path)
        masked = MAE(model='spec_vit_small', weights=weights, in_channels=90, size=128)
        assert_backbone_holds(masked.backbone.vit, small_state)


def test_mae_without_weights_starts_as_ever() -> None:
    task = MAE(model='spec_vit_tiny', in_channels=90, size=128, decoder_dim=32)
    assert isinstance(task.backbone, MaskedVisionTransformerTIMM)
    # sines and cosines, and nothing for the class token
    position = task.backbone.vit.pos_embed
    assert not position[:, 0].any()
    torch.testing.assert_close(
        position[0, 1:].norm(dim=1), torch.full((1024,), 96**0.5)
    )


def test_out_of_a_task_and_into_another(tmp_path: Path) -> None:
    task = SemanticSegmentation(
        model='unet', backbone='tu-spec_resnet50', in_channels=80, num_classes=3
    )
    path = tmp_path / 'encoder.ckpt'
    export_spectral_earth_weights(task, path, 'torchgeo')
    again = Classification(
        model='spec_resnet50', weights=str(path), in_channels=202, num_classes=2
    )
    state = task.model.encoder.model.state_dict()
    assert_backbone_holds(again.model, state, but=('fc.',))
    # a checkpoint of torchgeo's own, with a head, into an encoder
    own = tmp_path / 'last.ckpt'
    torch.save(
        {
            'hyper_parameters': dict(again.hparams),
            'state_dict': prefixed('model.', again.model.state_dict()),
        },
        own,
    )
    third = SemanticSegmentation(
        model='upernet',
        backbone='tu-spec_resnet50',
        weights=str(own),
        in_channels=80,
        num_classes=3,
    )
    assert_backbone_holds(third.model.encoder.model, state)


def test_adapter_in_front_of_another_encoder(
    tmp_path: Path, resnet_state: State
) -> None:
    task = SemanticSegmentation(
        model='unet', backbone='tu-spec_resnet18', in_channels=150, num_classes=3
    )
    before = task.model.encoder.model.backbone.state_dict()
    before = {key: value.clone() for key, value in before.items()}
    report = load_spectral_earth_weights(task, MOCO, adapter_only=True)
    assert len(report.loaded) == 21
    encoder = task.model.encoder.model
    weight = resnet_state['spectral_adapter.3.weight']
    assert torch.equal(encoder.spectral_adapter.get_parameter('3.weight'), weight)
    after = encoder.backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_encoder_refuses_another_network(small_state: State, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match='unexpected: cls_token'):
        SemanticSegmentation(
            model='unet',
            backbone='tu-spec_resnet50',
            weights=VIT,
            in_channels=202,
            num_classes=3,
        )


def test_encoders_load_their_own_state_as_before() -> None:
    # a name that has to be translated still is the only thing that changed
    for cls in (TimmUniversalEncoder, TimmViTEncoder):
        assert cls.load_state_dict.__name__ == 'load_state_dict'
        assert callable(cls.load_state_dict.translates)
    encoder = TimmUniversalEncoder('spec_resnet18', in_channels=80, pretrained=False)
    state = encoder.state_dict()
    assert next(iter(state)).startswith('model.')
    encoder.load_state_dict(state, strict=True)
    with pytest.raises(RuntimeError, match=r'Unexpected.*"x"'):
        encoder.load_state_dict(state | {'x': torch.ones(1)})
    foreign = TimmUniversalEncoder('resnet18', in_channels=3, pretrained=False)
    foreign.load_state_dict(foreign.state_dict())
    with pytest.raises(RuntimeError, match='Missing key'):
        foreign.load_state_dict({'spectral_adapter.0.weight': torch.ones(1)})


def test_checkpoint_of_a_trainer_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_state: State
) -> None:
    published = {k: v for k, v in small_state.items() if '.head.' not in k}
    torch.save(lightning(mae(published)), tmp_path / 'spec_ViTs_mae.pth')
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(tmp_path))
    model = timm.create_model('spec_vit_small')
    model.load_state_dict(VIT.get_state_dict(), strict=True)
    assert_backbone_holds(model, published)
