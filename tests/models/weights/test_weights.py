# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints in the layouts that SpectralEarth's and torchgeo's code writes."""

from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

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
from torch import nn

from torchgeo_hsi.models import (
    SpectralAdapter,
    WeightReport,
    load_spectral_earth_weights,
)

type Save = Callable[[object], Path]

vit = partial(timm.create_model, 'spec_vit_tiny')


def assert_holds(model: nn.Module, state: State) -> None:
    """Check that a model holds the weights of an official state dict, all of them."""
    own = model.state_dict()
    renamed = {
        k.removeprefix('vit_core.').removeprefix('resnet.'): v for k, v in state.items()
    }
    assert own.keys() == renamed.keys()
    for key, value in renamed.items():
        assert torch.equal(own[key], value), key


def assert_complete(report: WeightReport, state: State) -> None:
    """Check that the report has each key of the file, once, in the file's order."""
    assert list(report.ledger) == list(state)
    ignored = [key for keys in report.ignored.values() for key in keys]
    loaded = [k for k, fate in report.ledger.items() if fate.startswith('loaded')]
    assert len(loaded) == len(report.loaded) == len(set(report.loaded))
    assert sorted(loaded + ignored) == sorted(state)
    for reason in report.ignored:
        assert f'ignored ({reason})' in str(report)


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
