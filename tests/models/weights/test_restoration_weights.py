# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError, UnknownNameError
from torchgeo_hsi.models import get_model, list_weights, load_restoration_weights
from torchgeo_hsi.models.weights import restoration as module

type Save = Callable[[object], Path]
type State = dict[str, Tensor]


def random_model(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(7)
    model = get_model(name, **options)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor)
    return model


def same(model: nn.Module, state: State) -> bool:
    return all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


LAYOUTS: dict[str, Callable[[State], object]] = {
    'plain': lambda s: s,
    'net': lambda s: {'net': s, 'optimizer': {'step': 3}, 'epoch': 80, 'iteration': 1},
    'model': lambda s: {'model': s, 'epoch': 3},
    'state_dict': lambda s: {'state_dict': {f'model.{k}': v for k, v in s.items()}},
    'module.': lambda s: {'net': {f'module.{k}': v for k, v in s.items()}},
    'compiled': lambda s: {
        'state_dict': {f'model._orig_mod.{k}': v for k, v in s.items()}
        | {'criterion.weight': torch.ones(3)}
    },
    'average beside it': lambda s: {
        'state_dict': {f'model.{k}': v for k, v in s.items()}
        | {f'average.model.{k}': torch.zeros_like(v) for k, v in s.items()}
    },
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', ['hsdt_s', 'man_s', 'man_v1_s'])
def test_layouts(name: str, layout: str, save: Save) -> None:
    state = random_model(name).state_dict()
    assert same(get_model(name, weights=save(LAYOUTS[layout](dict(state)))), state)


def test_number_of_bands_follows_from_the_weights(save: Save) -> None:
    path = save(random_model('hsdt_s', num_bands=9).state_dict())
    model = get_model('hsdt_s', weights=path)
    assert model.num_bands == 9
    with pytest.raises(BandMismatchError, match=r"'hsdt_s', num_bands=9, weights"):
        get_model('hsdt_s', num_bands=31, weights=path)


@pytest.mark.parametrize(
    ('saved', 'options', 'wanted', 'message'),
    [
        ('hsdt_s', {}, 'hsdt_m', r"holds HSDT \(hsdt_s.*Build get_model\('hsdt_s'"),
        ('man_s', {}, 'man_v1_s', r"holds MAN \(man_s.*Build get_model\('man_s'"),
        ('man_v1_s', {}, 'man_s', r"holds MANv1 \(man_v1_s.*get_model\('man_v1_s'"),
        ('hsdt_pnp', {}, 'hsdt_m', 'num_bands=31, noise_map=True, weights'),
        ('man_s', {'noise_map': True}, 'man_s', 'with a noise map'),
    ],
)
def test_another_network(
    saved: str, options: dict[str, Any], wanted: str, message: str, save: Save
) -> None:
    path = save(random_model(saved, **options).state_dict())
    with pytest.raises(BandMismatchError, match=message):
        get_model(wanted, weights=path)


def test_linear_layers_stored_as_convolutions(save: Save) -> None:
    state = random_model('hsdt_s').state_dict()
    stored = {
        k: v[..., None, None, None] if 'value_proj' in k or '.fc.' in k else v
        for k, v in state.items()
        if not k.endswith('num_batches_tracked')
    }
    model = get_model('hsdt_s', weights=save(stored))
    kept = {k: v for k, v in state.items() if k in stored}
    assert all(torch.equal(model.state_dict()[k], v) for k, v in kept.items())


def test_incomplete(save: Save) -> None:
    state = dict(random_model('man_s').state_dict())
    del state['tail.bias']
    state['extra.weight'] = torch.ones(1)
    with pytest.raises(CorruptFileError, match=r'1 missing .*tail\.bias.* 1 unknown'):
        get_model('man_s', weights=save(state))


def test_something_else(save: Save) -> None:
    with pytest.raises(CorruptFileError, match='no HSDT and no MAN'):
        get_model('man_s', weights=save({'conv1.weight': torch.ones(3)}))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='Zeqiang-Lai/HSDT'):
        get_model('man_s', weights=tmp_path / 'missing.pth')


def test_damaged(tmp_path: Path) -> None:
    for name in ('weights.pth', 'weights.safetensors'):
        (tmp_path / name).write_bytes(b'\x80\x02 not what it seems')
        with pytest.raises(CorruptFileError, match='damaged'):
            get_model('man_s', weights=tmp_path / name)


def test_into_a_model(tmp_path: Path) -> None:
    state = random_model('man_s').state_dict()
    save_file(state, tmp_path / 'weights.safetensors')
    model = get_model('man_s')
    load_restoration_weights(model, tmp_path / 'weights.safetensors')
    assert same(model, state)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """Put weights where those of the package are."""
    monkeypatch.setattr(module, '_FOLDER', tmp_path)
    state = random_model('man_v1_s').state_dict()
    half = {k: v.half() for k, v in state.items()}
    path = tmp_path / 'man_v1_s_gaussian.safetensors'
    save_file(half, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / 'SHA256SUMS').write_text(f'{digest}  {path.name}\n')
    return {k: v.float() for k, v in half.items()}


def test_weights_by_name(shipped: State) -> None:
    assert list_weights('man_v1_s') == ['gaussian']
    assert list_weights('man_v1') == []
    model = get_model('man_v1_s', weights='gaussian')
    assert same(model, shipped)
    assert next(model.parameters()).dtype == torch.float32


def test_unknown_weights(shipped: State) -> None:
    with pytest.raises(UnknownNameError, match=r'man_v1_s.*Did you mean gaussian'):
        get_model('man_v1_s', weights='gausian')
    with pytest.raises(UnknownNameError, match='Known: none'):
        get_model('man_v1_m', weights='gaussian')


def test_changed_weights(shipped: State, tmp_path: Path) -> None:
    path = tmp_path / 'man_v1_s_gaussian.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match='Install torchgeo-hsi again'):
        get_model('man_v1_s', weights='gaussian')


def test_weights_of_the_package() -> None:
    for path in module._FOLDER.glob('*.safetensors'):
        owner = module._owner(path.stem)
        name = path.stem.removeprefix(f'{owner}_')
        assert name in list_weights(owner)
        assert path.with_suffix('.md').is_file(), f'{path.name} has no card'
        assert path.stat().st_size <= 3 << 20
        module._check_sum(path)
