# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Entries of the published weights, and how torchgeo's tasks take them."""

import copy
import pickle
from pathlib import Path

import pytest
import timm
import torch
import torchgeo.models
from data.spectral_earth_weights.data import State
from models.weights.reports import assert_backbone_holds
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
    load_spectral_earth_weights,
)
from torchgeo_hsi.physics import get_sensor

MOCO, DINO = SpecResNet50_Weights
VIT = SpecViTSmall_Weights.SPECTRALEARTH_MAE

ENUMS = (
    SpecResNet50_Weights,
    SpecViTSmall_Weights,
    SpecViTBase_Weights,
    SpecViTLarge_Weights,
    SpecViTHuge_Weights,
    SpecViTGiant_Weights,
)

ENTRIES = [entry for enum in ENUMS for entry in enum]


@pytest.fixture(autouse=True)
def places(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(folder))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))


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
    assert_backbone_holds(model, resnet_state)
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
        assert_backbone_holds(model, resnet_state)
    with pytest.raises(UnknownNameError, match='Did you mean SpecResNet50_Weights'):
        load_spectral_earth_weights(model, 'SpecResNet50_Weights.SPECTRALEARTH_MAE')
    with pytest.raises(TypeError, match='ResNet18_Weights'):
        load_spectral_earth_weights(model, ResNet18_Weights.DEFAULT)


def test_pretrained_takes_the_first_entry(
    resnet_state: State, small_state: State
) -> None:
    model = timm.create_model('spec_resnet50', pretrained=True, num_classes=3)
    assert_backbone_holds(model, resnet_state, but=('fc.',))
    model = timm.create_model('spec_vit_small', pretrained=True, in_chans=100)
    assert_backbone_holds(model, small_state)
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
