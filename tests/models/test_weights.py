# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints in the layouts that SpectralEarth's and torchgeo's code writes.

The published files cannot be downloaded by a program, so the tests write files with
the published names and shapes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models import load_spectral_earth_weights

type State = dict[str, Tensor]


def official_adapter() -> State:
    """Make an adapter with the published names and shapes, filled with noise."""
    state: State = {}
    channels = 1
    for i, width, kernel in ((0, 32, 7), (3, 64, 7), (6, 128, 5)):
        state[f'{i}.weight'] = torch.randn(width, channels, kernel, 1, 1)
        state[f'{i}.bias'] = torch.randn(width)
        state[f'{i + 1}.weight'] = torch.randn(width)
        state[f'{i + 1}.bias'] = torch.randn(width)
        state[f'{i + 1}.running_mean'] = torch.randn(width)
        state[f'{i + 1}.running_var'] = torch.rand(width) + 0.5
        state[f'{i + 1}.num_batches_tracked'] = torch.tensor(7)
        channels = width
    return {f'spectral_adapter.{key}': value for key, value in state.items()}


def official_vit(dim: int = 192, depth: int = 12, classes: int = 0) -> State:
    """Make a published vision transformer, spectralearth.md's table written out."""
    core: State = {
        'cls_token': torch.randn(1, 1, dim),
        'pos_embed': torch.randn(1, 1025, dim),
        'patch_embed.proj.weight': torch.randn(dim, 128, 4, 4),
        'patch_embed.proj.bias': torch.randn(dim),
    }
    for i in range(depth):
        for name, shape in (
            ('norm1', (dim,)),
            ('attn.qkv', (3 * dim, dim)),
            ('attn.proj', (dim, dim)),
            ('norm2', (dim,)),
            ('mlp.fc1', (4 * dim, dim)),
            ('mlp.fc2', (dim, 4 * dim)),
        ):
            core[f'blocks.{i}.{name}.weight'] = torch.randn(shape)
            core[f'blocks.{i}.{name}.bias'] = torch.randn(shape[0])
    core['norm.weight'], core['norm.bias'] = torch.randn(dim), torch.randn(dim)
    if classes:
        core['head.weight'] = torch.randn(classes, dim)
        core['head.bias'] = torch.randn(classes)
    return official_adapter() | {f'vit_core.{k}': v for k, v in core.items()}


def official_resnet(classes: int = 0) -> State:
    """Make a published ResNet-50: stages of the standard one, another first block."""
    state: State = {}

    def conv(name: str, out: int, into: int, kernel: int) -> None:
        state[f'{name}.weight'] = torch.randn(out, into, kernel, kernel)

    def norm(name: str, width: int) -> None:
        state[f'{name}.weight'], state[f'{name}.bias'] = torch.randn(2, width)
        state[f'{name}.running_mean'] = torch.randn(width)
        state[f'{name}.running_var'] = torch.rand(width) + 0.5
        state[f'{name}.num_batches_tracked'] = torch.tensor(7)

    into = 128
    for stage, (blocks, middle) in enumerate(
        zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1
    ):
        for block in range(blocks):
            prefix = f'resnet.layer{stage}.{block}'
            width = 256 if stage == 1 and block == 0 else middle
            out = 4 * middle
            conv(f'{prefix}.conv1', width, into, 1)
            norm(f'{prefix}.bn1', width)
            conv(f'{prefix}.conv2', width, width, 3)
            norm(f'{prefix}.bn2', width)
            conv(f'{prefix}.conv3', out, width, 1)
            norm(f'{prefix}.bn3', out)
            if block == 0:
                conv(f'{prefix}.downsample.0', out, into, 1)
                norm(f'{prefix}.downsample.1', out)
            into = out
    if classes:
        state['resnet.fc.weight'] = torch.randn(classes, 2048)
        state['resnet.fc.bias'] = torch.randn(classes)
    return official_adapter() | state


@pytest.fixture(scope='module')
def vit_state() -> State:
    torch.manual_seed(0)
    return official_vit()


@pytest.fixture(scope='module')
def resnet_state() -> State:
    torch.manual_seed(0)
    return official_resnet()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        path = tmp_path / 'weights.pth'
        torch.save(content, path)
        return path

    return write


vit = partial(timm.create_model, 'spec_vit_tiny')


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def noise(state: State) -> State:
    """Make another network of the same layout."""
    return {k: torch.rand(v.shape).to(v.dtype) for k, v in state.items()}


def assert_holds(model: nn.Module, state: State) -> None:
    """Check that a model holds the weights of an official state dict, all of them."""
    own = model.state_dict()
    renamed = {
        k.removeprefix('vit_core.').removeprefix('resnet.'): v for k, v in state.items()
    }
    assert own.keys() == renamed.keys()
    for key, value in renamed.items():
        torch.testing.assert_close(own[key], value, rtol=0, atol=0, msg=key)


@pytest.mark.parametrize('bands', [202, 224, 80])
def test_vit_maps_one_to_one(
    vit_state: State, save: Callable[[object], Path], bands: int
) -> None:
    model = vit(in_chans=bands)
    report = load_spectral_earth_weights(model, save(vit_state))
    assert_holds(model, vit_state)
    assert len(report.loaded) == len(vit_state) == 171
    rest = (report.missing, report.unexpected, report.mismatched, report.dropped)
    assert rest == ((), (), (), ())
    assert report.ignored == 0
    assert str(report) == "loaded 171 tensors (prefix '')"


def test_resnet_maps_one_to_one(
    resnet_state: State, save: Callable[[object], Path]
) -> None:
    model = timm.create_model('spec_resnet50')
    report = load_spectral_earth_weights(model, str(save(resnet_state)))
    assert_holds(model, resnet_state)
    assert len(report.loaded) == 333


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: {'state_dict': s, 'epoch': 3},
        lambda s: {'model': s},
        lambda s: {'state_dict': {'model': s}} | {'model': {}},
        lambda s: prefixed('module.', s),
        lambda s: prefixed('_orig_mod.', s),
    ],
)
def test_wrappers(
    vit_state: State, save: Callable[[object], Path], wrap: Callable[[State], object]
) -> None:
    model = vit()
    load_spectral_earth_weights(model, save(wrap(vit_state)))
    assert_holds(model, vit_state)


def test_moco(resnet_state: State, save: Callable[[object], Path]) -> None:
    momentum = noise(resnet_state)
    state = prefixed('backbone_momentum.', momentum)
    state |= prefixed('backbone.', resnet_state)
    state['projection_head.layers.0.weight'] = torch.randn(8, 8)
    path = save({'state_dict': state})
    model = timm.create_model('spec_resnet50')
    report = load_spectral_earth_weights(model, path)
    assert report.prefix == 'backbone.'
    assert report.ignored == 334
    assert_holds(model, resnet_state)
    load_spectral_earth_weights(model, path, branch='teacher')
    assert_holds(model, momentum)


def test_dino(vit_state: State, save: Callable[[object], Path]) -> None:
    student = noise(vit_state)
    state = prefixed('student_backbone.', student)
    state |= prefixed('teacher_backbone.', vit_state)
    state |= {'criterion.center': torch.zeros(1, 1, 8)}
    path = save({'state_dict': state})
    model = vit()
    report = load_spectral_earth_weights(model, path)
    assert report.prefix == 'teacher_backbone.'
    assert_holds(model, vit_state)
    load_spectral_earth_weights(model, path, branch='student')
    assert_holds(model, student)


@pytest.mark.parametrize('name', ['original_patch_embed.proj', 'proj'])
def test_mae(vit_state: State, save: Callable[[object], Path], name: str) -> None:
    adapter = {k: v for k, v in vit_state.items() if k.startswith('spectral_adapter')}
    core = {
        k.replace('patch_embed.proj', f'patch_embed.{name}'): v
        for k, v in vit_state.items()
        if k.startswith('vit_core.')
    }
    core |= prefixed('vit_core.patch_embed.', adapter)
    core['vit_core.head.weight'] = torch.randn(1000, 192)
    core['vit_core.head.bias'] = torch.randn(1000)
    state = prefixed('encoder.vit.spec_vit.', adapter | core)
    # the wrapper stores everything again under shorter names
    state |= prefixed('encoder.vit.', core)
    short = {k.removeprefix('vit_core.'): v for k, v in core.items()}
    state |= prefixed('encoder.vit.', short)
    state |= {'encoder.mask_token': torch.zeros(1, 1, 192)}
    state |= {'decoder.decoder_pred.weight': torch.zeros(8, 8)}
    model = vit()
    report = load_spectral_earth_weights(model, save({'state_dict': state}))
    assert report.prefix == 'encoder.vit.spec_vit.'
    assert report.dropped == ('head.weight', 'head.bias')
    assert_holds(model, vit_state)


# official segmentation and classification, torchgeo's MAE and segmentation
@pytest.mark.parametrize(
    'prefix', ['model.encoder.', 'model.', 'backbone.vit.', 'model.encoder.model.']
)
def test_prefixes(
    vit_state: State, save: Callable[[object], Path], prefix: str
) -> None:
    state = prefixed(prefix, vit_state)
    state |= {'model.head.segmentation_conv.0.weight': torch.zeros(2, 2)}
    model = vit()
    load_spectral_earth_weights(model, save({'state_dict': state}))
    assert_holds(model, vit_state)


def test_heads(save: Callable[[object], Path]) -> None:
    torch.manual_seed(0)
    path = save(official_vit(classes=1000))
    model = vit(num_classes=19)
    before = model.head.weight.clone()
    report = load_spectral_earth_weights(model, path)
    assert report.dropped == ('head.weight', 'head.bias')
    assert torch.equal(model.head.weight, before)
    same = vit(num_classes=1000)
    assert load_spectral_earth_weights(same, path).dropped == ()
    assert not torch.equal(same.head.weight[:19], before)
    # Hyperview has a perceptron in that place
    mlp = official_resnet() | {'resnet.fc.0.weight': torch.zeros(2048)}
    model = timm.create_model('spec_resnet50', num_classes=4)
    assert load_spectral_earth_weights(model, save(mlp)).dropped == ('fc.0.weight',)


def test_other_grid(vit_state: State, save: Callable[[object], Path]) -> None:
    path = save(vit_state)
    model = vit(img_size=64)
    report = load_spectral_earth_weights(model, path)
    assert report.resampled == ('pos_embed',)
    position = vit_state['vit_core.pos_embed']
    torch.testing.assert_close(model.pos_embed[:, :1], position[:, :1])
    grid = position[:, 1:].reshape(1, 32, 32, 192).permute(0, 3, 1, 2)
    small = nn.functional.interpolate(
        grid, (16, 16), mode='bicubic', antialias=True, align_corners=False
    )
    expected = small.flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.pos_embed[:, 1:], expected)
    report = load_spectral_earth_weights(vit(img_size=64, patch_size=8), path)
    assert report.resampled == ('patch_embed.proj.weight', 'pos_embed')


def test_inside_of_other_models(
    vit_state: State, resnet_state: State, save: Callable[[object], Path]
) -> None:
    features = timm.create_model('spec_vit_tiny', features_only=True, out_indices=(11,))
    report = load_spectral_earth_weights(features, save(vit_state), strict=False)
    # the final normalization belongs to the head
    assert report.unexpected == ('norm.weight', 'norm.bias')
    assert_holds(
        features.model, {k: v for k, v in vit_state.items() if '.norm.' not in k}
    )
    maps = timm.create_model('spec_resnet50', features_only=True)
    load_spectral_earth_weights(maps, save(resnet_state))
    assert_holds(maps, resnet_state)


def test_adapter_alone(vit_state: State, save: Callable[[object], Path]) -> None:
    model = timm.create_model('spec_resnet18', in_chans=90)
    before = model.backbone.conv1.weight.clone()
    report = load_spectral_earth_weights(model, save(vit_state), adapter_only=True)
    assert len(report.loaded) == 21
    for key, value in model.spectral_adapter.state_dict().items():
        assert torch.equal(value, vit_state[f'spectral_adapter.{key}'])
    assert torch.equal(model.backbone.conv1.weight, before)


def test_pretrained_of_timm(vit_state: State, save: Callable[[object], Path]) -> None:
    path = save(prefixed('backbone.', official_vit(classes=1000) | vit_state))
    model = vit(
        pretrained=True, pretrained_cfg_overlay={'file': str(path)}, num_classes=3
    )
    model.reset_classifier(0)
    assert_holds(model, vit_state)
    small = vit(
        pretrained=True, pretrained_cfg_overlay={'file': str(path)}, img_size=64
    )
    assert small.pos_embed.shape == (1, 257, 192)


def test_wrong_size_of_network(save: Callable[[object], Path]) -> None:
    path = save(official_vit(depth=2))
    model = vit()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CorruptFileError, match=r'nothing was.*\n.*\nmissing: bl'):
        load_spectral_earth_weights(model, path)
    assert_holds(model, before)
    report = load_spectral_earth_weights(model, path, strict=False)
    assert len(report.missing) == 120
    assert 'and 117 more' in str(report)
    path = save(official_vit(dim=96))
    with pytest.raises(CorruptFileError, match='mismatched: cls_token'):
        load_spectral_earth_weights(model, path)


def test_no_adapter_in_the_file(save: Callable[[object], Path]) -> None:
    baseline = timm.create_model('vit_tiny_patch16_224', in_chans=202).state_dict()
    with pytest.raises(BandMismatchError, match='no spectral adapter'):
        load_spectral_earth_weights(vit(), save(baseline))


def test_no_adapter_in_the_model(
    vit_state: State, save: Callable[[object], Path]
) -> None:
    path = save(vit_state)
    with pytest.raises(BandMismatchError, match='found 0 in ResNet'):
        load_spectral_earth_weights(timm.create_model('resnet18'), path)
    two = nn.ModuleDict({'backbone': vit(), 'backbone_momentum': vit()})
    with pytest.raises(BandMismatchError, match=r'found 2.*backbone_momentum'):
        load_spectral_earth_weights(two, path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='spectral_earth'):
        load_spectral_earth_weights(vit(), tmp_path / 'no.pth')


@pytest.mark.parametrize('share', [0.0, 0.3, 0.99])
def test_truncated_file(
    vit_state: State, save: Callable[[object], Path], share: float
) -> None:
    path = save(vit_state)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFileError, match=r'weights\.pth is damaged'):
        load_spectral_earth_weights(vit(), path)


def test_not_a_checkpoint(tmp_path: Path, save: Callable[[object], Path]) -> None:
    page = tmp_path / 'page.pth'
    page.write_text('<html>Please log in</html>')
    with pytest.raises(CorruptFileError, match='damaged'):
        load_spectral_earth_weights(vit(), page)
    with pytest.raises(CorruptFileError, match='no state dict'):
        load_spectral_earth_weights(vit(), save([1, 2, 3]))
    with pytest.raises(CorruptFileError, match='no state dict'):
        load_spectral_earth_weights(vit(), save({'state_dict': {}, 'epoch': 1}))


class Malicious:
    """Would run code when a pickle is loaded in the old way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ('raise SystemExit("ran code")',)


def test_code_in_a_file_does_not_run(save: Callable[[object], Path]) -> None:
    path = save({'state_dict': {}, 'hyper_parameters': Malicious()})
    with pytest.raises(CorruptFileError, match='may run code and is not loaded'):
        load_spectral_earth_weights(vit(), path)
