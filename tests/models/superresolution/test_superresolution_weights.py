# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints of networks for super-resolution, also networks saved as objects."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models import get_model, load_restoration_weights

type State = dict[str, Tensor]

OPTIONS: dict[str, dict[str, Any]] = {
    'essaformer': {'in_channels': 5, 'dim': 8, 'scale': 2},
    'deepshare': {'in_channels': 9, 'n_feats': 16, 'scale': 4},
}
LAYOUTS: dict[str, Callable[[State], object]] = {
    'plain': lambda s: s,
    'net': lambda s: {'net': s, 'epoch': 3},
    'model': lambda s: {'epoch': 3, 'model': s},
    'state_dict': lambda s: {'state_dict': {f'model.{k}': v for k, v in s.items()}},
    'module.': lambda s: {f'module.{k}': v for k, v in s.items()},
}


def random_model(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(3)
    return get_model(name, **(OPTIONS[name] | options))


def same(model: nn.Module, state: State) -> bool:
    return all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def write(content: object, tmp_path: Path) -> Path:
    path = tmp_path / 'weights.pth'
    torch.save(content, path)
    return path


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', OPTIONS)
def test_layouts(name: str, layout: str, tmp_path: Path) -> None:
    state = random_model(name).state_dict()
    path = write(LAYOUTS[layout](dict(state)), tmp_path)
    assert same(get_model(name, **OPTIONS[name], weights=path), state)


@pytest.mark.parametrize(
    ('name', 'other', 'message'),
    [
        (
            'essaformer',
            {'in_channels': 6},
            (
                r'holds ESSAformer \(in_channels=5, dim=8, scale=2\), and the model is '
                r'ESSAformer \(in_channels=6.*'
                r"Build get_model\('essaformer', in_channels=5, dim=8, scale=2, weights"
            ),
        ),
        ('essaformer', {'scale': 4}, 'scale=2.*scale=4'),
        ('deepshare', {'scale': 8}, 'n_feats=16, scale=4.*scale=8'),
        ('deepshare', {'in_channels': 31}, r"'deepshare', in_channels=9, n_feats=16"),
        ('deepshare', {'n_subs': 5}, 'n_subs=5'),
    ],
)
def test_another_size(
    name: str, other: dict[str, int], message: str, tmp_path: Path
) -> None:
    path = write(random_model(name).state_dict(), tmp_path)
    with pytest.raises(BandMismatchError, match=message):
        get_model(name, **(OPTIONS[name] | other), weights=path)


def test_another_network(tmp_path: Path) -> None:
    path = write(random_model('deepshare').state_dict(), tmp_path)
    with pytest.raises(BandMismatchError, match=r'DeepShare.*model is ESSAformer'):
        get_model('essaformer', weights=path)
    with pytest.raises(CorruptFileError, match='nor ESSAformer or DeepShare'):
        get_model('essaformer', weights=write({'a.weight': torch.ones(2)}, tmp_path))


def test_incomplete(tmp_path: Path) -> None:
    state = random_model('essaformer').state_dict()
    del state['conv_last.bias']
    with pytest.raises(CorruptFileError, match=r'1 missing .*conv_last\.bias'):
        get_model('essaformer', **OPTIONS['essaformer'], weights=write(state, tmp_path))


class Touch:
    """Makes a file where code of a checkpoint runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f'open({str(self.path)!r}, "w").close()',)


@pytest.fixture
def foreign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, State, Path]:
    """Save a network as an object; reading its class, or its object, leaves a trace."""
    tensors = random_model('essaformer').state_dict()
    trace = tmp_path / 'trace'
    code = f"""
from torch import nn
open({str(trace)!r}, 'a').write('imported')
class Part(nn.Module):
    def __setstate__(self, state):
        open({str(trace)!r}, 'a').write('built')
        super().__setstate__(state)
"""
    (tmp_path / 'ESSA.py').write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module('ESSA')
    root = module.Part()
    for key, tensor in tensors.items():
        part: nn.Module = root
        *names, last = key.split('.')
        for name in names:
            if name not in dict(part.named_children()):
                part.add_module(name, module.Part())
            part = part.get_submodule(name)
        part.register_parameter(last, nn.Parameter(tensor))
    root.register_buffer('passing', torch.ones(3), persistent=False)
    path = tmp_path / 'model.pth'
    torch.save({'epoch': 30, 'model': root}, path)
    torch.save(root, tmp_path / 'bare.pth')
    del sys.modules['ESSA']
    trace.unlink()
    return path, tensors, trace


@pytest.mark.parametrize('name', ['model.pth', 'bare.pth'])
def test_network_saved_as_an_object(
    name: str, foreign: tuple[Path, State, Path]
) -> None:
    path, state, trace = foreign
    model = get_model('essaformer', **OPTIONS['essaformer'])
    load_restoration_weights(model, path.with_name(name))
    assert same(model, state)
    assert 'ESSA' not in sys.modules
    assert not trace.exists()


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    model = random_model('essaformer')
    trace = tmp_path / 'trace'
    model.extra = Touch(trace)
    path = write({'model': model, 'beside': Touch(trace)}, tmp_path)
    torch.load(path, weights_only=False)
    assert trace.exists()
    trace.unlink()
    found = get_model('essaformer', **OPTIONS['essaformer'], weights=path)
    assert same(found, model.state_dict())
    assert not trace.exists()


def test_commands_in_a_file_are_refused(tmp_path: Path) -> None:
    class Command(nn.Module):
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f'touch {tmp_path / "trace"}',)

    path = write({'model': Command()}, tmp_path)
    with pytest.raises(CorruptFileError):
        get_model('essaformer', weights=path)
    assert not (tmp_path / 'trace').exists()


def test_network_that_lies_in_itself(tmp_path: Path) -> None:
    loop = nn.Sequential(nn.Linear(2, 2))
    loop._modules['again'] = loop
    with pytest.raises(CorruptFileError, match='lies in itself'):
        get_model('essaformer', weights=write(loop, tmp_path))
