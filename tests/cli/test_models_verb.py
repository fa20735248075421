# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from torchgeo_hsi.cli.models import describe, models, no_numbers
from torchgeo_hsi.main import main
from torchgeo_hsi.models import api, list_models, register_model
from torchgeo_hsi.plugins import get_plugin_manager


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    get_plugin_manager.cache_clear()
    yield
    get_plugin_manager.cache_clear()


def by_signature(in_channels: int = 7) -> nn.Module:
    return nn.Conv2d(in_channels, 2, 3)


def by_timm(**kwargs: object) -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 2))
    model.pretrained_cfg = {'input_size': (5, 1, 1)}
    return model


def by_nothing() -> nn.Module:
    return nn.ReLU()


def not_alone(bands: int) -> nn.Module:
    raise AssertionError('is not called')


@pytest.mark.parametrize(
    ('builder', 'parameters', 'bands'),
    [
        (by_signature, 7 * 2 * 9 + 2, 7),
        (by_timm, 5 * 2 + 2, 5),
        (by_nothing, 0, None),
        (not_alone, None, None),
    ],
)
def test_describe(
    builder: Callable[..., nn.Module], parameters: int | None, bands: int | None
) -> None:
    expected = {'name': 'x', 'kind': None, 'parameters': parameters, 'bands': bands}
    assert describe('x', builder) == expected


def test_published_sizes() -> None:
    result = CliRunner().invoke(models, ['spec_*', '--json'], catch_exceptions=False)
    rows = {row['name']: row for row in json.loads(result.output)}
    assert list(rows) == list_models('spec_*')
    # counted on the published networks of SpectralEarth, without their heads
    published = {
        'spec_resnet50': 24_202_624,
        'spec_vit_tiny': 5_985_344,
        'spec_vit_small': 22_531_328,
        'spec_vit_base': 87_473_792,
        'spec_vit_large': 305_516_416,
        'spec_vit_huge': 633_672_832,
        'spec_vit_giant': 1_138_043_264,
    }
    assert {name: rows[name]['parameters'] for name in published} == published
    assert all(row['bands'] == 202 for row in rows.values())


def test_table() -> None:
    result = CliRunner().invoke(models, ['spec_vit_[bs]*'], catch_exceptions=False)
    header, *lines = result.output.splitlines()
    assert header.split() == ['model', 'kind', 'parameters', 'bands']
    kinds = ('', '_series', '_wl')
    names = [f'spec_vit_{size}{kind}' for size in ('base', 'small') for kind in kinds]
    assert [line.split()[0] for line in lines] == names
    assert all(line.split()[1] == 'backbone' for line in lines)
    assert all(line.split()[3] == '202' for line in lines)


def with_weights(weights: str | None = 'shipped') -> nn.Module:
    assert weights is None, 'no numbers are loaded'
    return nn.Linear(3, 2)


def test_no_weights_are_loaded() -> None:
    assert describe('x', with_weights)['parameters'] == 8


def test_all_models(recwarn: pytest.WarningsRecorder) -> None:
    result = CliRunner().invoke(models, [], catch_exceptions=False)
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert set(rows) == {'model', *list_models()}
    assert not [w for w in recwarn if 'meta' in str(w.message)]
    # HSDT-S with a noise map
    assert rows['pretrained_subspace'] == ['denoiser', '134,446', 'any']
    assert rows['fasthyde'] == ['denoiser', '0', 'any']
    assert rows['hsdt_s'][0] == rows['man_s'][0] == rows['bm4d'][0] == 'denoiser'
    assert rows['man_s'][2] == 'any'
    assert rows['spectral_mlp'][0] == '-'


def not_here() -> nn.Module:
    raise ImportError('The package bm5d is not installed.')


@pytest.mark.parametrize('builder', [not_alone, not_here])
def test_model_that_cannot_be_built(builder: Callable[..., nn.Module]) -> None:
    """It needs arguments, or a package."""
    name = builder.__name__
    register_model(builder, owner='tests')
    try:
        result = CliRunner().invoke(models, [name], catch_exceptions=False)
    finally:
        del api._MODELS._entries[name]
    assert result.output.splitlines()[1].split() == [name, '-', '?', '?']


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['models', 'Spec_Vit_Smal'])
    assert end.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == ''
    assert "Unknown model 'Spec_Vit_Smal'" in captured.err
    assert 'Did you mean spec_vit_small' in captured.err


def test_no_match() -> None:
    result = CliRunner().invoke(models, ['nothing*', '--json'], catch_exceptions=False)
    assert json.loads(result.output) == []


def test_no_weight_is_drawn_without_memory() -> None:
    """Drawing takes most of the time that a large network needs to be built there."""
    drawn: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            drawn.append(func.__name__.partition('.')[0])
            return func(*args, **(kwargs or {}))

    there = torch.zeros(2)
    with Watch(), no_numbers(), torch.device('meta'):
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4), nn.Embedding(3, 2))
        nn.init.trunc_normal_(nn.Linear(3, 4).weight)
        assert not {name for name in drawn if name.endswith('_')}
        there.fill_(1)
    assert there.tolist() == [1, 1]
