# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Configurations by their names, as somebody without a checkout has them."""

from pathlib import Path

import pytest

from torchgeo_hsi.cli import _configs
from torchgeo_hsi.cli._configs import find_config, list_configs
from torchgeo_hsi.errors import UnknownNameError

ROOT = Path(__file__).parents[2]


def test_every_configuration_has_a_name() -> None:
    names = list_configs()
    assert {'demo', 'denoising/hsdt_s_eigen'} <= set(names)
    assert len(names) == len(list((ROOT / 'configs').rglob('*.yaml')))


@pytest.mark.parametrize('word', ['demo', 'demo.yaml', 'configs/demo.yaml'])
def test_name(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(find_config(word)).samefile(ROOT / 'configs' / 'demo.yaml')


def test_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'demo.yaml').touch()
    assert find_config('demo.yaml') == 'demo.yaml'


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match=r'Did you mean demo\?'):
        find_config('demmo')


def test_wheel_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / 'torchgeo_hsi'
    (package / 'cli').mkdir(parents=True)
    monkeypatch.setattr(_configs, '__file__', str(package / 'cli' / '_configs.py'))
    assert _configs.shipped_configs() == tmp_path / 'configs'
    (package / 'configs').mkdir()
    assert _configs.shipped_configs() == package / 'configs'
