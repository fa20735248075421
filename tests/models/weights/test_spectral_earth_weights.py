# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Entries of the published weights, and how torchgeo's tasks take them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchgeo.models
from data.spectral_earth_weights.data import (
    State,
    lightning,
    mae,
    prefixed,
    published_vit,
)
from lightly.models.modules import MaskedVisionTransformerTIMM
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from segmentation_models_pytorch.encoders.timm_vit import TimmViTEncoder
from torch import nn
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
from torchvision.models import ResNet18_Weights

import torchgeo_hsi.models
from torchgeo_hsi.datamodules import spectral_earth_statistics
from torchgeo_hsi.errors import CorruptFileError, UnknownNameError
from torchgeo_hsi.models import (
    SpecResNet50_Weights,
    SpectralEarthWeights,
    SpecViTBase_Weights,
    SpecViTGiant_Weights,
    SpecViTHuge_Weights,
    SpecViTLarge_Weights,
    SpecViTSmall_Weights,
    export_spectral_earth_weights,
    load_spectral_earth_weights,
)
from torchgeo_hsi.physics import get_sensor

ENUMS = (
    SpecResNet50_Weights,
    SpecViTSmall_Weights,
    SpecViTBase_Weights,
    SpecViTLarge_Weights,
    SpecViTHuge_Weights,
    SpecViTGiant_Weights,
)
ENTRIES = [entry for enum in ENUMS for entry in enum]
MOCO, DINO = SpecResNet50_Weights
VIT = SpecViTSmall_Weights.SPECTRALEARTH_MAE


@pytest.fixture(scope='module')
def small_state() -> State:
    torch.manual_seed(4)
    return published_vit(dim=384, classes=1000)


@pytest.fixture(scope='module')
def folder(
    tmp_path_factory: pytest.TempPathFactory, resnet_state: State, small_state: State
) -> Path:
    """A folder with two of the files: one as published, one as people sort them."""
    path = tmp_path_factory.mktemp('weights')
    torch.save(resnet_state, path / 'spec_rn50_moco.pth')
    (path / 'spec_vit_s').mkdir()
    torch.save(small_state, path / 'spec_vit_s' / 'mae.pth')
    return path


@pytest.fixture(autouse=True)
def places(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(folder))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))


def assert_holds(model: nn.Module, state: State, but: tuple[str, ...] = ()) -> None:
    """Check that a backbone holds published weights, except for some keys."""
    renamed = {
        k.removeprefix('vit_core.').removeprefix('resnet.'): v for k, v in state.items()
    }
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(but)}
    assert len(own) >= 171
    for key, value in own.items():
        assert torch.equal(value, renamed[key]), key


def test_nine_files_as_the_card_lists_them() -> None:
    found = [(e.meta['model'], e.meta['ssl_method']) for e in ENTRIES]
    assert sorted(found) == sorted(
        [
            ('spec_resnet50', 'moco'),
            ('spec_resnet50', 'dino'),
            ('spec_vit_small', 'moco'),
            ('spec_vit_small', 'dino'),
            ('spec_vit_small', 'mae'),
            ('spec_vit_base', 'mae'),
            ('spec_vit_large', 'mae'),
            ('spec_vit_huge', 'mae'),
            ('spec_vit_giant', 'mae'),
        ]
    )
    names = [name for entry in ENTRIES for name in entry.meta['file_names']]
    assert len(set(names)) == len(names) == 18
    assert {'spec_ViTs_mae.pth', 'spec_ViTl_mae.pth', 'spec_rn50_dino.pth'} <= set(
        names
    )


@pytest.mark.parametrize('entry', ENTRIES, ids=str)
def test_meta(entry: SpectralEarthWeights) -> None:
    meta = entry.meta
    assert entry.name == f'SPECTRALEARTH_{meta["ssl_method"].upper()}'
    assert meta['model'] in timm.list_models('spec_*')
    sensor = get_sensor('enmap')
    assert meta['bands'] == sensor.default_bands
    assert meta['in_chans'] == len(meta['bands']) == 202
    centres = sensor.bands.select(meta['bands']).wavelength
    assert meta['wavelengths'] == pytest.approx(list(centres), abs=1e-6)
    assert list(meta['wavelengths']) == sorted(meta['wavelengths'])
    mean, std = spectral_earth_statistics(meta['bands'])
    assert meta['mean'] == pytest.approx(mean.tolist(), rel=1e-7)
    assert meta['std'] == pytest.approx(std.tolist(), rel=1e-7)
    assert meta['license'] is None
    assert 'EnMAP data' in meta['license_note']
    for key in ('publication', 'repo', 'page'):
        assert meta[key].startswith('https://')
    assert entry.url == meta['page']


def test_entries_are_values() -> None:
    assert len({str(entry) for entry in ENTRIES}) == 9
    for entry in ENTRIES:
        assert copy.deepcopy(entry) is entry
        assert pickle.loads(pickle.dumps(entry)) is entry
        assert type(entry).verify(entry.name) is entry


def test_transforms_normalize_with_the_published_statistics() -> None:
    image = torch.rand(202, 4, 5) * 10_000
    mean, std = spectral_earth_statistics(VIT.meta['bands'])
    expected = (image - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(VIT.transforms(image), expected)
    torch.testing.assert_close(VIT.transforms(image[None])[0], expected)


def test_state_dict_fits_timm(resnet_state: State, small_state: State) -> None:
    state = MOCO.get_state_dict(progress=True, check_hash=True, weights_only=True)
    model = timm.create_model('spec_resnet50', in_chans=224)
    model.load_state_dict(state, strict=True)
    assert_holds(model, resnet_state)
    # without the head of a thousand classes that the file has
    state = VIT.get_state_dict()
    timm.create_model('spec_vit_small').load_state_dict(state, strict=True)
    assert 'head.weight' not in state


def test_places(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOCO.path() == folder / 'spec_rn50_moco.pth'
    assert VIT.path() == folder / 'spec_vit_s' / 'mae.pth'
    hub = tmp_path / 'hub' / 'checkpoints'
    hub.mkdir(parents=True)
    (hub / 'spec_rn50_moco.pth').touch()
    (hub / 'spec_rn50_dino.pth').touch()
    assert MOCO.path() == folder / 'spec_rn50_moco.pth'
    assert DINO.path() == hub / 'spec_rn50_dino.pth'
    monkeypatch.delenv('TORCHGEO_HSI_WEIGHTS')
    assert MOCO.path() == hub / 'spec_rn50_moco.pth'


def test_file_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = (
        r'SpecResNet50_Weights\.SPECTRALEARTH_DINO.*syncandshare.*spec_rn50_dino\.pth '
        rf'or spec_rn50/dino\.pth.*TORCHGEO_HSI_WEIGHTS names \(now {folder}\).*hub'
    )
    with pytest.raises(FileNotFoundError, match=message):
        DINO.get_state_dict()
    with pytest.raises(FileNotFoundError, match=r'syncandshare.*spec_ViTb_mae\.pth'):
        timm.create_model('spec_vit_base', pretrained=True)
    monkeypatch.delenv('TORCHGEO_HSI_WEIGHTS')
    with pytest.raises(FileNotFoundError, match='now not set'):
        MOCO.path()


def test_file_of_another_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet_state: State
) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(tmp_path))
    torch.save(resnet_state, tmp_path / 'spec_ViTg_mae.pth')
    message = r'holds spec_resnet50, .*spec_vit_giant(.|\n)*missing: cls_token'
    with pytest.raises(CorruptFileError, match=message):
        SpecViTGiant_Weights.SPECTRALEARTH_MAE.get_state_dict()


def test_loader_takes_entries_and_names(resnet_state: State) -> None:
    for weights in (MOCO, 'SpecResNet50_Weights.SPECTRALEARTH_MOCO'):
        model = timm.create_model('spec_resnet50', in_chans=90)
        load_spectral_earth_weights(model, weights)
        assert_holds(model, resnet_state)
    with pytest.raises(UnknownNameError, match='Did you mean SpecResNet50_Weights'):
        load_spectral_earth_weights(model, 'SpecResNet50_Weights.SPECTRALEARTH_MAE')
    with pytest.raises(TypeError, match='ResNet18_Weights'):
        load_spectral_earth_weights(model, ResNet18_Weights.DEFAULT)


def test_pretrained_takes_the_first_entry(
    resnet_state: State, small_state: State
) -> None:
    model = timm.create_model('spec_resnet50', pretrained=True, num_classes=3)
    assert_holds(model, resnet_state, but=('fc.',))
    model = timm.create_model('spec_vit_small', pretrained=True, in_chans=100)
    assert_holds(model, small_state)
    with pytest.raises(
        RuntimeError, match='No pretrained weights exist for spec_vit_t'
    ):
        timm.create_model('spec_vit_tiny', pretrained=True)


def test_torchgeo_finds_entries_by_name() -> None:
    # the private tables of torchgeo still are what they were
    torchgeo_hsi.models.meet_torchgeo()
    for entry in ENTRIES:
        assert torchgeo.models.get_weight(str(entry)) is entry
    weights = torchgeo.models.get_model_weights('spec_vit_base')
    assert weights is SpecViTBase_Weights
    model = torchgeo.models.get_model('spec_resnet50', in_chans=100)
    assert model.in_chans == 100
    # and its own entries still are there
    name = 'ResNet50_Weights.SENTINEL2_ALL_MOCO'
    assert str(torchgeo.models.get_weight(name)) == name


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
    assert_holds(task.model, state, but=('fc.', 'head.'))
    task = Regression(model=name, weights=weights, in_channels=150, num_outputs=4)
    assert_holds(task.model, state, but=('fc.', 'head.'))


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
    assert_holds(task.model.encoder.model, state)


@pytest.mark.parametrize('way', WAYS)
def test_other_tasks_with_encoders(
    way: str, tmp_path: Path, resnet_state: State
) -> None:
    weights = given(way, MOCO, tmp_path)
    words = {'backbone': 'tu-spec_resnet50', 'weights': weights, 'in_channels': 90}
    task = PixelwiseRegression(model='unet', **words)
    assert_holds(task.model.encoder.model, resnet_state)
    change = ChangeDetection(model='fcsiamdiff', **words)
    assert_holds(change.model.encoder.model, resnet_state)


@pytest.mark.parametrize('way', WAYS)
def test_self_supervised_tasks(
    way: str, tmp_path: Path, resnet_state: State, small_state: State
) -> None:
    weights = given(way, MOCO, tmp_path)
    task = MoCo(model='spec_resnet50', weights=weights, in_channels=90, size=32)
    assert_holds(task.backbone, resnet_state)
    simclr = SimCLR(model='spec_resnet50', weights=weights, in_channels=90, size=32)
    assert_holds(simclr.backbone, resnet_state)
    if way != 'path':  # torchgeo's MAE takes no path
        weights = given(way, VIT, tmp_path)
        masked = MAE(model='spec_vit_small', weights=weights, in_channels=90, size=128)
        assert_holds(masked.backbone.vit, small_state)


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
    assert_holds(again.model, state, but=('fc.',))
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
    assert_holds(third.model.encoder.model, state)


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
    assert_holds(model, published)
