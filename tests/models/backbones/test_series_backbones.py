# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbones with the adapter that sees series."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from data.spectral_earth_weights.data import State
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, HSIWarning
from torchgeo_hsi.models import (
    Classifier,
    Segmenter,
    SeriesAdapter,
    export_spectral_earth_weights,
    list_models,
    load_spectral_earth_weights,
    use_bands,
)
from torchgeo_hsi.models.backbones.adapter_backbone import BACKBONES
from torchgeo_hsi.models.backbones.spec_vit import SIZES

NAMES = [
    *(f'{name}_series' for name in SIZES),
    'spec_resnet50_series',
    *(f'spec_{name}_series' for name in BACKBONES),
]
SMALL = ['spec_vit_tiny_series', 'spec_resnet50_series', 'spec_resnet18_series']
FOUR = {'wavelength': torch.tensor([0.49, 0.56, 0.665, 0.842])}

type Save = Callable[[object], Path]


def image(bands: int = 4, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, bands, size, size, generator=generator)


def test_names() -> None:
    assert set(NAMES) <= set(timm.list_models('spec_*'))
    assert set(NAMES) <= set(list_models('spec_*'))


@pytest.mark.parametrize('name', NAMES)
def test_only_the_adapter_differs(name: str) -> None:
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=3)
        plain = timm.create_model(name.removesuffix('_series'), num_classes=3)
    assert isinstance(model.spectral_adapter, SeriesAdapter)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    expected = {k: v.shape for k, v in plain.state_dict().items()}
    behind = {k for k in shapes | expected if not k.startswith('spectral_adapter.')}
    assert {k: shapes[k] for k in behind} == {k: expected[k] for k in behind}
    assert timm.get_pretrained_cfg(name).input_size[0] == 202
    assert name not in timm.list_models('spec_*', pretrained=True)


@pytest.mark.parametrize('name', SMALL)
def test_few_bands(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, in_chans=4, num_classes=3).eval()
    with pytest.raises(BandMismatchError, match='wavelength='):
        model(image())
    with torch.no_grad(), use_bands(model, FOUR):
        expected = model(image())
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, **FOUR).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(image()), expected)


@pytest.mark.parametrize('name', SMALL)
def test_features_only(name: str) -> None:
    model = timm.create_model(name, features_only=True, in_chans=4).eval()
    with torch.no_grad(), use_bands(model, FOUR):
        maps = model(image())
    assert [m.shape[1] for m in maps] == model.feature_info.channels()


def test_weights_of_another_sensor() -> None:
    enmap = timm.create_model('spec_vit_tiny_series')
    few = timm.create_model('spec_vit_tiny_series', **FOUR)
    few.load_state_dict(enmap.state_dict())
    with torch.no_grad(), use_bands(enmap, FOUR):
        torch.testing.assert_close(few.eval()(image()), enmap.eval()(image()))


def test_inside_of_other_networks() -> None:
    name = 'spec_resnet18_series'
    segmenter = Segmenter(name, 'upernet', in_channels=4, num_classes=3)
    classifier = Classifier('spec_vit_tiny_series', in_channels=4, pool='avg')
    unet = smp.Unet(f'tu-{name}', in_channels=4, encoder_weights=None)
    shapes = {segmenter: (1, 3, 64, 64), classifier: (1, 2), unet: (1, 1, 64, 64)}
    for model, shape in shapes.items():
        with torch.no_grad(), use_bands(model.eval(), FOUR):
            assert model(image()).shape == shape


def test_published_backbone_behind_this_adapter(vit_state: State, save: Save) -> None:
    model = timm.create_model('spec_vit_tiny_series')
    before = copy.deepcopy(model.spectral_adapter.state_dict())
    with pytest.warns(HSIWarning, match='another kind of spectral adapter'):
        report = load_spectral_earth_weights(model, save(vit_state))
    assert report.fits
    assert len(report.kept) == len(before)
    after = model.spectral_adapter.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in before)


def test_own_weights(save: Save, tmp_path: Path) -> None:
    model = timm.create_model('spec_vit_tiny_series')
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    other = timm.create_model('spec_vit_tiny_series', in_chans=4)
    report = load_spectral_earth_weights(other, save({'state_dict': state}))
    assert report.network == 'spec_vit_tiny_series'
    assert (report.kept, report.ignored) == ((), {})
    path = export_spectral_earth_weights(model, tmp_path / 'timm.pth', 'timm')
    adapter = SeriesAdapter()
    load_spectral_earth_weights(adapter, path, adapter_only=True)
    weight = model.spectral_adapter.coefficients.weight
    assert torch.equal(adapter.coefficients.weight, weight)
    with pytest.raises(BandMismatchError, match="layout='timm'"):
        export_spectral_earth_weights(model, tmp_path / 'official.pth')
    # the other adapter that knows wavelengths has other weights
    with pytest.warns(HSIWarning, match='has to be trained'):
        load_spectral_earth_weights(timm.create_model('spec_vit_tiny_wl'), path)
