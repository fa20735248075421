# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Completion in shells, and what is imported for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from torchgeo_hsi.cli import _names
from torchgeo_hsi.cli.models import _kind
from torchgeo_hsi.main import cli
from torchgeo_hsi.plugins import builtin
from torchgeo_hsi.plugins.manager import PluginHost


def complete(*words: str) -> list[str]:
    """Return what is offered for the last word."""
    shell = ShellComplete(cli, {}, 'torchgeo-hsi', '_TORCHGEO_HSI_COMPLETE')
    *typed, last = words
    return [item.value for item in shell.get_completions(typed, last)]


@pytest.mark.parametrize(
    ('words', 'wanted'),
    [
        (('sim',), ['simulate']),
        (('restore', 'de'), ['denoise']),
        (('gas', '--dry'), ['--dry-run']),
        (
            ('restore', 'denoise', '--method', 'man_v1_'),
            ['man_v1_b', 'man_v1_m', 'man_v1_s'],
        ),
        (('restore', 'superresolve', '--method', 'bi'), ['bicubic']),
        (('benchmark', 'pansharpening', '--method', 'rho'), ['rho_pnn']),
        (('classify', '--method', 'sv'), ['svm']),
        (
            ('probe', '--model', 'spec_vit_t'),
            ['spec_vit_tiny', 'spec_vit_tiny_series', 'spec_vit_tiny_wl'],
        ),
        (('models', 'hsdt_l'), ['hsdt_l']),
        (('stats', '--dataset', 'EnM'), ['EnMAPL2A']),
        (('gas', '--gas', 'm'), ['methane']),
        (('gas', '--device', 'cu'), ['cuda']),
        (('completion', 'z'), ['zsh']),
    ],
)
def test_words(words: tuple[str, ...], wanted: list[str]) -> None:
    assert complete(*words) == wanted


def test_names_are_those_of_the_registries() -> None:
    host = PluginHost()
    host.register(builtin, builtin.OWNER)
    models = host.registry('models')
    found: dict[str, list[str]] = {}
    for name in sorted(models):
        kind = _kind(name, models.get(name)) or 'other'
        found.setdefault(kind, []).append(name)
    assert {k: list(v) for k, v in _names.MODELS.items()} == found
    assert list(_names.DATASETS) == sorted(host.registry('datasets'))


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_script(shell: str) -> None:
    result = CliRunner().invoke(cli, ['completion', shell])
    assert result.exit_code == 0
    assert '_TORCHGEO_HSI_COMPLETE' in result.output
    assert 'torchgeo-hsi' in result.output


def test_unknown_shell() -> None:
    result = CliRunner().invoke(cli, ['completion', 'cmd'])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "'bash', 'zsh', 'fish'" in result.output


#: Imports that a user would notice, of which a quick verb needs none.
HEAVY = ('torch', 'torchgeo', 'lightning', 'timm', 'pandas', 'scipy.interpolate')


@pytest.mark.parametrize(
    ('words', 'allowed'),
    [
        ([['--help'], ['gas', '--help'], ['plugins'], ['completion', 'bash']], ()),
        # arrays and files, and nothing that learns
        ([['info', '{scene}'], ['info', '{scene}', '--json']], ('numpy', 'rasterio')),
    ],
)
def test_what_quick_verbs_import(
    words: list[list[str]], allowed: tuple[str, ...], tmp_path: Path
) -> None:
    """By what is imported and not by time, which depends on the machine."""
    scene = str(tmp_path / 'scene.tif')
    heavy = [*HEAVY, *(name for name in ('numpy', 'rasterio') if name not in allowed)]
    script = f"""
import sys
if {bool(allowed)}:
    import numpy, rasterio
    with rasterio.open({scene!r}, 'w', driver='GTiff', width=4, height=4, count=2,
                       dtype='int16') as dst:
        dst.write(numpy.ones((2, 4, 4), 'int16'))
from torchgeo_hsi.main import main
for words in {words!r}:
    try:
        main([word.format(scene={scene!r}) for word in words])
    except SystemExit as end:
        assert not end.code, (words, end.code)
    found = [name for name in {heavy!r} if name in sys.modules]
    assert not found, (words, found)
"""
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
