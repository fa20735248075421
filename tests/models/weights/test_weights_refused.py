# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files that are no weights, or those of another network: refused, with the reason."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from data.spectral_earth_weights.data import State, prefixed, published_vit
from torch import nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models import load_spectral_earth_weights

type Save = Callable[[object], Path]


def vit() -> nn.Module:
    return timm.create_model('spec_vit_tiny')


def assert_untouched(model: nn.Module, before: State) -> None:
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_other_depth(save: Save) -> None:
    path = save(published_vit(depth=2))
    model = vit()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    message = (
        r'holds a transformer of width 192 with 2 blocks, which does not fit '
        r'SpecVisionTransformer \(spec_vit_tiny\); nothing was(.|\n)*'
        r'missing: blocks\.2\.norm1\.weight, .* and 117 more'
    )
    with pytest.raises(CorruptFileError, match=message):
        load_spectral_earth_weights(model, path)
    assert_untouched(model, before)
    report = load_spectral_earth_weights(model, path, strict=False)
    assert len(report.missing) == 120
    assert not report.fits


def test_small_into_base(save: Save) -> None:
    path = save(published_vit(dim=384))
    message = (
        r'holds spec_vit_small, .*\(spec_vit_base\)(.|\n)*mismatched: cls_token '
        r'\(1, 1, 384\) in the file, \(1, 1, 768\) in the model, pos_embed'
    )
    with pytest.raises(CorruptFileError, match=message):
        load_spectral_earth_weights(timm.create_model('spec_vit_base'), path)


def test_resnet_into_transformer(resnet_state: State, save: Save) -> None:
    message = (
        r'holds spec_resnet50, .*\(spec_vit_tiny\)(.|\n)*missing: cls_token, pos_embed'
        r'(.|\n)*unexpected: layer1\.0\.conv1\.weight'
    )
    model = vit()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CorruptFileError, match=message):
        load_spectral_earth_weights(model, save(resnet_state))
    assert_untouched(model, before)


def test_transformer_into_resnet(vit_state: State, save: Save) -> None:
    model = timm.create_model('spec_resnet50')
    with pytest.raises(CorruptFileError, match='unexpected: cls_token, pos_embed'):
        load_spectral_earth_weights(model, save(vit_state))


def test_one_tensor_too_many_or_too_few(vit_state: State, save: Save) -> None:
    with pytest.raises(CorruptFileError, match='unexpected: extra'):
        load_spectral_earth_weights(vit(), save(vit_state | {'extra': torch.ones(1)}))
    less = {k: v for k, v in vit_state.items() if k != 'vit_core.blocks.3.norm1.bias'}
    with pytest.raises(CorruptFileError, match=r'missing: blocks\.3\.norm1\.bias\n?'):
        load_spectral_earth_weights(vit(), save(less))


def test_weights_that_are_not_numbers(vit_state: State, save: Save) -> None:
    broken = dict(vit_state)
    broken['vit_core.norm.bias'] = torch.full((192,), torch.nan)
    with pytest.raises(CorruptFileError, match=r'NaN(.|\n)*nonfinite: norm\.bias'):
        load_spectral_earth_weights(vit(), save(broken))


def test_grid_that_is_no_square(vit_state: State, save: Save) -> None:
    broken = vit_state | {'vit_core.pos_embed': torch.zeros(1, 1000, 192)}
    with pytest.raises(CorruptFileError, match=r'mismatched: pos_embed \(1, 1000, 192'):
        load_spectral_earth_weights(vit(), save(broken), interpolate=True)


def test_no_adapter_in_the_file(save: Save) -> None:
    baseline = timm.create_model('vit_tiny_patch16_224', in_chans=202).state_dict()
    with pytest.raises(
        BandMismatchError, match=r'no spectral adapter.*cls_token, pos_'
    ):
        load_spectral_earth_weights(vit(), save(baseline))
    # a layer of that name that is no adapter of ours
    other = {'my_spectral_adapter.0.weight': torch.ones(1)}
    with pytest.raises(BandMismatchError, match='1 keys such as my_spectral'):
        load_spectral_earth_weights(vit(), save(other))


def test_nothing_fits(save: Save) -> None:
    state = {'spectral_adapter.0.weight': torch.zeros(3)}
    with pytest.raises(CorruptFileError, match='nothing was loaded'):
        load_spectral_earth_weights(vit(), save(state), strict=False)


def test_no_adapter_in_the_model(vit_state: State, save: Save) -> None:
    path = save(vit_state)
    with pytest.raises(BandMismatchError, match='found 0 of them in ResNet'):
        load_spectral_earth_weights(timm.create_model('resnet18'), path)
    two = nn.ModuleDict({'backbone': vit(), 'backbone_momentum': vit()})
    with pytest.raises(BandMismatchError, match=r'found 2.*backbone_momentum'):
        load_spectral_earth_weights(two, path)


def test_whole_file_into_an_adapter_in_front_of_another_network(
    vit_state: State, save: Save
) -> None:
    model = timm.create_model('spec_resnet18')
    with pytest.raises(CorruptFileError, match='an adapter in front of another'):
        load_spectral_earth_weights(model, save(vit_state))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='spectral_earth'):
        load_spectral_earth_weights(vit(), tmp_path / 'no.pth')
    with pytest.raises(FileNotFoundError, match='No checkpoint at'):
        load_spectral_earth_weights(vit(), tmp_path)


@pytest.mark.parametrize('share', [0.0, 0.3, 0.99])
def test_truncated_file(vit_state: State, save: Save, share: float) -> None:
    path = save(vit_state)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFileError, match=r'weights\.pth is damaged'):
        load_spectral_earth_weights(vit(), path)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'<html><body>Please log in</body></html>', 'a web page'),
        (b'\n  <!DOCTYPE html><html></html>', 'a web page'),
        (b'<?xml version="1.0"?><error/>', 'an XML page'),
        (b'{"error": "not found"}', 'a JSON text'),
        (
            b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n',
            'git lfs pull',
        ),
        (gzip.compress(b'x' * 99, mtime=0), 'a gzip archive'),
        (bytes(range(256)), 'no file of torch.save'),
        (b'plain text', 'damaged'),
    ],
)
def test_impostors(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / 'spec_rn50_moco.pth'
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=reason):
        load_spectral_earth_weights(vit(), path)


def test_not_a_checkpoint(save: Save) -> None:
    with pytest.raises(CorruptFileError, match='no state dict, but list'):
        load_spectral_earth_weights(vit(), save([1, 2, 3]))
    with pytest.raises(CorruptFileError, match='no state dict, but state_dict, epoch'):
        load_spectral_earth_weights(vit(), save({'state_dict': {}, 'epoch': 1}))


class Grows(list[int]):
    """A list of its own class, which nothing inert can stand for."""


def test_objects_that_only_their_code_can_build(vit_state: State, save: Save) -> None:
    content = {'state_dict': prefixed('model.', vit_state), 'hyper': Grows([1, 2])}
    with pytest.raises(CorruptFileError, match=r'run code.*Grows.*weights_only=False'):
        load_spectral_earth_weights(vit(), save(content))
