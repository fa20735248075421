# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints in the layouts that SpectralEarth's and torchgeo's code writes."""

from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

import pytest
import timm
import torch
from data.spectral_earth_weights.data import (
    State,
    lightning,
    mae,
    prefixed,
    published_vit,
)
from models.weights.reports import Save, assert_complete, assert_holds, vit
from torch import nn

from torchgeo_hsi.models import SpectralAdapter, load_spectral_earth_weights


@pytest.mark.parametrize('bands', [202, 224, 80])
def test_published_transformer(vit_state: State, save: Save, bands: int) -> None:
    model = vit(in_chans=bands)
    report = load_spectral_earth_weights(model, save(vit_state))
    assert_holds(model, vit_state)
    assert_complete(report, vit_state)
    assert report.fits
    assert report.network == 'spec_vit_tiny'
    assert (len(report.loaded), report.ignored, report.outside) == (171, {}, ())
    expected = "spec_vit_tiny: loaded 171 tensors of the 171 in the file (prefix '')"
    assert str(report) == expected


def test_published_resnet(resnet_state: State, save: Save) -> None:
    model = timm.create_model('spec_resnet50')
    report = load_spectral_earth_weights(model, str(save(resnet_state)))
    assert_holds(model, resnet_state)
    assert (report.network, len(report.loaded)) == ('spec_resnet50', 333)


@pytest.mark.parametrize('kind', ['vit', 'resnet'])
def test_both_key_layouts(
    vit_state: State, resnet_state: State, save: Save, kind: str
) -> None:
    state = vit_state if kind == 'vit' else resnet_state
    part = 'vit_core.' if kind == 'vit' else 'resnet.'
    ours = {key.removeprefix(part): value for key, value in state.items()}
    name = 'spec_vit_tiny' if kind == 'vit' else 'spec_resnet50'
    model = timm.create_model(name)
    assert load_spectral_earth_weights(model, save(ours)).fits
    assert_holds(model, state)


@pytest.mark.parametrize(
    ('wrap', 'outside'),
    [
        (lambda s: {'state_dict': s, 'epoch': 3}, ('epoch',)),
        (lambda s: {'model': s}, ()),
        (lambda s: {'state_dict': {'model': s}} | {'model': {}}, ('model',)),
        (lambda s: {'model_state_dict': s, 'args': None}, ('args',)),
        (lambda s: {'teacher': s, 'step': 1}, ('step',)),
        (lambda s: prefixed('module.', s), ()),
        (lambda s: prefixed('_orig_mod.', s), ()),
        (lambda s: prefixed('model.module._orig_mod.', s), ()),
        (lambda s: {k.replace('er.0.', 'er._orig_mod.0.'): s[k] for k in s}, ()),
    ],
)
def test_wrappers(
    vit_state: State,
    save: Save,
    wrap: Callable[[State], object],
    outside: tuple[str, ...],
) -> None:
    model = vit()
    report = load_spectral_earth_weights(model, save(wrap(vit_state)))
    assert_holds(model, vit_state)
    assert report.outside == outside


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_number_formats(vit_state: State, save: Save, dtype: torch.dtype) -> None:
    other = {
        k: v.to(dtype) if v.is_floating_point() else v for k, v in vit_state.items()
    }
    model = vit()
    report = load_spectral_earth_weights(model, save(other))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert_holds(
        model, {k: v.float() if v.is_floating_point() else v for k, v in other.items()}
    )
    # the three counters of batches are integers
    assert len(report.converted) == 168
    assert 'converted: cls_token, pos_embed' in str(report)


def test_other_grid(vit_state: State, save: Save) -> None:
    path = save(vit_state)
    model = vit(img_size=64)
    message = (
        r'interpolate=True(.|\n)*mismatched: pos_embed \(1, 1025, 192\) in the file, '
        r'\(1, 257, 192\) in the model'
    )
    with pytest.raises(OSError, match=message):
        load_spectral_earth_weights(model, path)
    report = load_spectral_earth_weights(model, path, interpolate=True)
    assert report.resized == ('pos_embed',)
    assert report.ledger['vit_core.pos_embed'] == 'loaded, resized'
    assert 'resized: pos_embed' in str(report)
    position = vit_state['vit_core.pos_embed']
    torch.testing.assert_close(model.pos_embed[:, :1], position[:, :1])
    grid = position[:, 1:].reshape(1, 32, 32, 192).permute(0, 3, 1, 2)
    small = nn.functional.interpolate(
        grid, (16, 16), mode='bicubic', antialias=True, align_corners=False
    )
    expected = small.flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.pos_embed[:, 1:], expected)
    patches = vit(img_size=64, patch_size=8)
    report = load_spectral_earth_weights(patches, path, interpolate=True)
    assert report.resized == ('pos_embed', 'patch_embed.proj.weight')


def test_inside_of_feature_extractors(
    vit_state: State, resnet_state: State, save: Save
) -> None:
    features = timm.create_model('spec_vit_tiny', features_only=True, out_indices=(8,))
    report = load_spectral_earth_weights(features, save(vit_state))
    pruned = report.ignored['not needed by this feature extractor']
    # three blocks of twelve tensors, and the norm behind them
    assert len(pruned) == 38
    assert_holds(
        features.model, {k: v for k, v in vit_state.items() if k not in pruned}
    )
    maps = timm.create_model('spec_resnet50', features_only=True, out_indices=(0, 2))
    report = load_spectral_earth_weights(maps, save(resnet_state))
    pruned = report.ignored['not needed by this feature extractor']
    assert all(key.startswith('resnet.layer4.') for key in pruned)
    assert_holds(maps, {k: v for k, v in resnet_state.items() if k not in pruned})


def test_pooled_transformer_keeps_the_norm_if_told(
    vit_state: State, save: Save
) -> None:
    path = save(vit_state)
    with pytest.raises(OSError, match=r'fc_norm=False(.|\n)*missing: fc_norm\.weight'):
        load_spectral_earth_weights(vit(global_pool='avg'), path)
    model = vit(global_pool='avg', fc_norm=False)
    load_spectral_earth_weights(model, path)
    assert_holds(model, vit_state)


@pytest.mark.parametrize(
    ('name', 'bands'), [('spec_resnet18', 90), ('spec_convnext_tiny', 285)]
)
def test_adapter_alone(vit_state: State, save: Save, name: str, bands: int) -> None:
    model = timm.create_model(name, in_chans=bands)
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    path = save(vit_state)
    report = load_spectral_earth_weights(model, path, adapter_only=True)
    assert len(report.loaded) == 21
    assert len(report.ignored['not asked for']) == 150
    for key, value in model.spectral_adapter.state_dict().items():
        assert torch.equal(value, vit_state[f'spectral_adapter.{key}'])
    assert all(
        torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items()
    )


def test_bare_adapter(vit_state: State, save: Save) -> None:
    adapter = SpectralAdapter()
    path = save(lightning(mae(vit_state)))
    report = load_spectral_earth_weights(adapter, path, adapter_only=True)
    assert len(report.loaded) == 21
    value = vit_state['spectral_adapter.6.weight']
    assert torch.equal(adapter.get_parameter('6.weight'), value)


def test_pretrained_of_timm(vit_state: State, save: Save) -> None:
    path = save(prefixed('backbone.', published_vit(classes=1000) | vit_state))
    overlay = {'file': str(path)}
    model = vit(pretrained=True, pretrained_cfg_overlay=overlay, num_classes=3)
    model.reset_classifier(0)
    assert_holds(model, vit_state)
    small = vit(pretrained=True, pretrained_cfg_overlay=overlay, img_size=64)
    assert small.pos_embed.shape == (1, 257, 192)
    features = vit(pretrained=True, pretrained_cfg_overlay=overlay, features_only=True)
    assert torch.equal(features.model.cls_token, vit_state['vit_core.cls_token'])
    with pytest.raises(OSError, match='holds spec_vit_tiny, which does not fit'):
        timm.create_model(
            'spec_resnet50', pretrained=True, pretrained_cfg_overlay=overlay
        )


class Settings:
    """Hyperparameters of a class that ``weights_only=True`` refuses."""

    def __init__(self) -> None:
        self.lr = 0.1

    def __setstate__(self, state: dict[str, float]) -> None:
        raise AssertionError('code of the file ran')


class Malicious:
    """Would run code when a pickle is loaded in the old way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ('raise SystemExit("ran code")',)


@pytest.mark.parametrize(
    'parameters',
    [
        Settings(),
        Namespace(lr=0.1, betas=(0.9, 0.99)),
        {'path': PurePosixPath('a/b'), 'fn': partial(max, 1), 'count': Counter('ab')},
        {'by_name': defaultdict(list, a=[1])},
        Malicious(),
    ],
    ids=lambda p: type(p).__name__,
)
def test_objects_of_lightning_stay_closed(
    vit_state: State, save: Save, parameters: object
) -> None:
    path = save(lightning(prefixed('model.', vit_state), hyper_parameters=parameters))
    model = vit()
    report = load_spectral_earth_weights(model, path)
    assert 'hyper_parameters' in report.outside
    assert_holds(model, vit_state)


def test_what_others_declare_safe_changes_nothing(vit_state: State, save: Save) -> None:
    """peft and torch_geometric do so when they are imported."""
    parameters = {'by_name': defaultdict(list, a=[1])}
    path = save(lightning(prefixed('model.', vit_state), hyper_parameters=parameters))
    with torch.serialization.safe_globals([defaultdict, list]):
        before = torch.serialization.get_safe_globals()
        model = vit()
        load_spectral_earth_weights(model, path)
        assert set(torch.serialization.get_safe_globals()) == set(before)
    assert_holds(model, vit_state)


def test_what_is_no_tensor_is_listed(vit_state: State, save: Save) -> None:
    state = vit_state | {'spectral_adapter._extra_state': {'a': 1}, 'version': 'x'}
    report = load_spectral_earth_weights(vit(), save(state))
    names = ('spectral_adapter._extra_state', 'version')
    assert report.ignored == {'no tensor': names}
    assert set(report.ledger) == set(state)


def test_model_with_one_backbone_inside(vit_state: State, save: Save) -> None:
    task = nn.ModuleDict({'backbone': vit(), 'head': nn.Linear(192, 3)})
    load_spectral_earth_weights(task, save(vit_state))
    assert_holds(task['backbone'], vit_state)


def test_loading_draws_no_random_numbers(resnet_state: State, save: Save) -> None:
    model, path = timm.create_model('spec_resnet50'), save(resnet_state)
    before = torch.get_rng_state()
    load_spectral_earth_weights(model, path)
    assert torch.equal(torch.get_rng_state(), before)
