# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbones whose adapter takes the bands of any sensor."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from data.spectral_earth_weights.data import State
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError, HSIWarning
from torchgeo_hsi.models import (
    Classifier,
    Segmenter,
    SeriesAdapter,
    SpectralAdapterBackbone,
    SpecVisionTransformer,
    WavelengthAdapter,
    export_spectral_earth_weights,
    list_models,
    load_spectral_earth_weights,
    use_bands,
)
from torchgeo_hsi.models.backbones.adapter_backbone import BACKBONES
from torchgeo_hsi.models.backbones.spec_vit import SIZES

ADAPTERS: dict[str, type[nn.Module]] = {
    'wl': WavelengthAdapter,
    'series': SeriesAdapter,
}
NAMES = [
    f'{name}_{suffix}'
    for suffix in ADAPTERS
    for name in (*SIZES, 'spec_resnet50', *(f'spec_{name}' for name in BACKBONES))
]
SMALL = [
    f'{name}_{suffix}'
    for suffix in ADAPTERS
    for name in ('spec_vit_tiny', 'spec_resnet50', 'spec_resnet18')
]
#: Each network once, and the other adapter behind the smallest.
ENOUGH = [*SMALL[:3], 'spec_vit_tiny_series']
FOUR = {'wavelength': torch.tensor([0.49, 0.56, 0.665, 0.842])}

type Save = Callable[[object], Path]


@pytest.fixture(params=ADAPTERS)
def suffix(request: pytest.FixtureRequest) -> str:
    """Return the end of the names of backbones with one of the adapters."""
    value: str = request.param
    return value


def image(bands: int = 4, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, bands, size, size, generator=generator)


def test_names() -> None:
    assert set(NAMES) <= set(timm.list_models('spec_*'))
    assert set(NAMES) <= set(list_models('spec_*'))


@pytest.mark.parametrize('name', NAMES)
def test_only_the_adapter_differs(name: str) -> None:
    plain_name, suffix = name.rsplit('_', 1)
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=3)
        plain = timm.create_model(plain_name, num_classes=3)
    assert isinstance(model.spectral_adapter, ADAPTERS[suffix])
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
    assert expected.shape == (1, 3)


@pytest.mark.parametrize('name', SMALL)
def test_features_only(name: str) -> None:
    model = timm.create_model(name, features_only=True, in_chans=4).eval()
    with torch.no_grad(), use_bands(model, FOUR):
        maps = model(image())
    assert [m.shape[1] for m in maps] == model.feature_info.channels()
    assert [64 // m.shape[-1] for m in maps] == model.feature_info.reduction()


@pytest.mark.parametrize('name', ENOUGH)
def test_copies(name: str) -> None:
    model = timm.create_model(name, **FOUR).eval()
    other = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(image())
        torch.testing.assert_close(pickle.loads(pickle.dumps(model))(image()), expected)
        for p in model.parameters():
            p.zero_()
        torch.testing.assert_close(other(image()), expected)


def test_weights_of_another_sensor(suffix: str) -> None:
    enmap = timm.create_model(f'spec_vit_tiny_{suffix}')
    few = timm.create_model(f'spec_vit_tiny_{suffix}', **FOUR)
    few.load_state_dict(enmap.state_dict())
    with torch.no_grad(), use_bands(enmap, FOUR):
        torch.testing.assert_close(few.eval()(image()), enmap.eval()(image()))


def test_another_grid_keeps_the_adapter(suffix: str) -> None:
    model = timm.create_model(f'spec_vit_tiny_{suffix}', **FOUR).eval()
    model.set_input_size(img_size=64, patch_size=8)
    model.spectral_adapter = ADAPTERS[suffix](**FOUR)
    with torch.no_grad():
        assert model.forward_features(image()).shape == (1, 65, 192)


@pytest.mark.parametrize('name', ENOUGH)
def test_all_parameters_learn(name: str) -> None:
    model = timm.create_model(name, num_classes=2, **FOUR)
    model(torch.cat([image(), image().flip(2)])).sum().backward()
    assert all(p.grad is not None for p in model.spectral_adapter.parameters())
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale = {id(p): g['lr_scale'] for g in groups for p in g['params']}
    first = {scale[id(p)] for p in model.spectral_adapter.parameters()}
    # the adapter is the first layer
    assert first == {min(scale.values())}


def test_inside_of_other_networks(suffix: str) -> None:
    resnet, vit = f'spec_resnet18_{suffix}', f'spec_vit_tiny_{suffix}'
    segmenter = Segmenter(resnet, 'upernet', in_channels=4, num_classes=3)
    classifier = Classifier(vit, in_channels=4, pool='avg')
    unet = smp.Unet(f'tu-{resnet}', in_channels=4, encoder_weights=None)
    shapes = {segmenter: (1, 3, 64, 64), classifier: (1, 2), unet: (1, 1, 64, 64)}
    for model, shape in shapes.items():
        with torch.no_grad(), use_bands(model.eval(), FOUR):
            assert model(image()).shape == shape


def test_autocast(suffix: str) -> None:
    model = timm.create_model(f'spec_vit_tiny_{suffix}', **FOUR)
    with torch.autocast('cpu', torch.bfloat16):
        model(image(size=32)).float().sum().backward()


def test_compiles_without_a_break(suffix: str) -> None:
    model = timm.create_model(f'spec_vit_tiny_{suffix}', in_chans=4, depth=2).eval()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    with torch.no_grad():
        for shift in (0.0, 0.1):
            sample = {'wavelength': FOUR['wavelength'] + shift}
            with use_bands(compiled, sample):
                found = compiled(image())
            with use_bands(model, sample):
                torch.testing.assert_close(found, model(image()), rtol=1e-3, atol=1e-4)


# --- weights ------------------------------------------------------------------------


def test_published_backbone_behind_this_adapter(
    suffix: str, vit_state: State, save: Save
) -> None:
    model = timm.create_model(f'spec_vit_tiny_{suffix}')
    before = copy.deepcopy(model.spectral_adapter.state_dict())
    with pytest.warns(HSIWarning, match='another kind of spectral adapter'):
        report = load_spectral_earth_weights(model, save(vit_state))
    assert report.fits
    assert set(report.kept) == {f'spectral_adapter.{key}' for key in before}
    assert 'kept: spectral_adapter.' in str(report)
    assert 'adapter of another kind' in report.ignored
    expected = vit_state['vit_core.blocks.3.mlp.fc1.weight']
    torch.testing.assert_close(model.blocks[3].mlp.fc1.weight.data, expected)
    after = model.spectral_adapter.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in before)


def test_published_adapter_does_not_fit(
    suffix: str, vit_state: State, save: Save
) -> None:
    model = timm.create_model(f'spec_vit_tiny_{suffix}')
    with pytest.raises(CorruptFileError, match='of different kinds'):
        load_spectral_earth_weights(model, save(vit_state), adapter_only=True)


def test_published_backbone_by_timm(suffix: str, vit_state: State, save: Save) -> None:
    name = f'spec_vit_tiny_{suffix}'
    overlay = {'file': str(save(vit_state))}
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    torch.testing.assert_close(
        model.norm.weight.data, vit_state['vit_core.norm.weight']
    )
    with pytest.raises(RuntimeError, match='No pretrained weights exist'):
        timm.create_model(name, pretrained=True)


def test_own_weights(suffix: str, save: Save, tmp_path: Path) -> None:
    name = f'spec_vit_tiny_{suffix}'
    model = timm.create_model(name)
    # as our tasks and those of torchgeo save it
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    other = timm.create_model(name, in_chans=4)
    report = load_spectral_earth_weights(other, save({'state_dict': state}))
    assert (report.network, report.kept, report.ignored) == (name, (), {})
    for key, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    path = export_spectral_earth_weights(model, tmp_path / 'timm.pth', 'timm')
    assert load_spectral_earth_weights(other, path).fits
    adapter = ADAPTERS[suffix]()
    load_spectral_earth_weights(adapter, path, adapter_only=True)
    for key, value in adapter.state_dict().items():
        assert torch.equal(value, model.spectral_adapter.state_dict()[key]), key
    with pytest.raises(BandMismatchError, match="layout='timm'"):
        export_spectral_earth_weights(model, tmp_path / 'official.pth')


@pytest.mark.parametrize(
    ('name', 'other', 'key'),
    [
        ('spec_resnet50_wl', 'spec_resnet50', 'layer4.2.conv3.weight'),
        ('spec_vit_tiny_series', 'spec_vit_tiny_wl', 'blocks.3.mlp.fc1.weight'),
    ],
)
def test_own_weights_behind_another_adapter(
    name: str, other: str, key: str, save: Save
) -> None:
    state = timm.create_model(name).state_dict()
    model = timm.create_model(other)
    with pytest.warns(HSIWarning, match='has to be trained'):
        report = load_spectral_earth_weights(model, save(state))
    assert report.network == name
    assert torch.equal(model.state_dict()[key], state[key])


@pytest.mark.parametrize('adapter', ADAPTERS.values())
def test_adapter_is_an_argument(adapter: type[nn.Module]) -> None:
    words = {'embed_dim': 24, 'depth': 1, 'num_heads': 3}
    model = SpecVisionTransformer(in_chans=3, adapter_layer=adapter, **words)
    assert isinstance(model.spectral_adapter, adapter)
    other: nn.Module = SpectralAdapterBackbone(
        'resnet18', in_chans=3, adapter_layer=adapter
    )
    with use_bands(other, {'wavelength': [0.5, 0.6, 0.7]}):
        assert other(image(3)).shape == (1, 512)
