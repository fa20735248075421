# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A third-party plugin, installed by pip and used through the command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from torchgeo_hsi.plugins.kinds import KINDS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / 'tests' / 'plugin_example'
OWNER = 'hsi-library:library'

#: Everything that imports torchgeo runs in one process, because that takes long.
SCRIPT = """
    import sys

    import torch

    from torchgeo_hsi.main import main
    from torchgeo_hsi.models import get_model
    from torchgeo_hsi.physics import get_sensor


    def run(name, *words):
        sys.stdout = open(f'{name}.txt', 'w')
        try:
            main(list(words))
        except SystemExit as end:
            assert not end.code, (words, end.code)
        finally:
            sys.stdout.close()
            sys.stdout = sys.__stdout__


    run('library', 'library', 'spectra.csv', '--count', '90')
    short = ['--model', 'LibraryClassification', '--data', 'LibraryDataModule']
    run('config', 'fit', *short, '--print_config')
    trainer = ['--trainer.accelerator', 'cpu', '--trainer.logger', 'false']
    trainer += ['--trainer.max_epochs', '20', '--trainer.enable_progress_bar', 'false']
    run('fit', 'fit', *short, '--data.path', 'spectra.csv', *trainer)
    run('parts', 'plugins', '--parts', '--json')
    run('models', 'models', 'library*', '--json')
    model = get_model('library_mlp', num_classes=5)
    assert model(torch.rand(2, 11, 1, 1)).shape == (2, 5)
    assert len(get_sensor('library').bands) == 11
"""


@pytest.fixture(scope='module')
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the example where only these tests look."""
    folder = tmp_path_factory.mktemp('installed')
    # a build leaves files beside the sources
    source = shutil.copytree(EXAMPLE, folder / 'source')
    site = folder / 'site'
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '--no-index', '--target', str(site)]
    subprocess.run([*command, str(source)], check=True)
    paths = os.pathsep.join([str(site), str(ROOT)])
    return {**os.environ, 'PYTHONPATH': paths, 'TORCHGEO_HSI_PLUGINS': 'hsi-library'}


@pytest.fixture(scope='module')
def outputs(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Run the commands; each leaves its output in a file."""
    folder = tmp_path_factory.mktemp('outputs')
    run = subprocess.run(
        [sys.executable, '-c', dedent(SCRIPT)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return folder


def record(text: str) -> dict[str, Any]:
    (found,) = [entry for entry in json.loads(text) if entry['name'] == OWNER]
    return dict(found)


def test_is_found_by_the_command(environment: dict[str, str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, '-m', 'torchgeo_hsi', 'plugins', '--json'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    entry = record(run.stdout)
    assert entry['version'] == '0.3'
    assert entry['errors'] == []
    # no hook without a plugin that uses it
    assert entry['hooks'] == sorted(kind.hook for kind in KINDS.values())
    assert run.stderr == ''


@pytest.mark.slow
class TestInUse:
    def test_every_hook_registers_something(self, outputs: Path) -> None:
        entry = record((outputs / 'parts.txt').read_text())
        assert entry['errors'] == []
        assert entry['parts'] == {
            'datasets': ['LibrarySpectra'],
            'datamodules': ['LibraryDataModule'],
            'samplers': ['LibraryBalancedSampler'],
            'transforms': ['LibraryUnitNorm'],
            'models': ['library_mlp'],
            'losses': ['LibraryCosineLoss'],
            'metrics': ['LibraryWorstRecall'],
            'tasks': ['LibraryClassification'],
            'sensors': ['library'],
            'commands': ['library'],
        }

    def test_builtin_parts_are_listed_beside_it(self, outputs: Path) -> None:
        entries = json.loads((outputs / 'parts.txt').read_text())
        parts = entries[0]['parts']
        assert entries[0]['name'] == 'torchgeo-hsi:hsi'
        assert {'fit', 'info', 'plugins'} <= set(parts['commands'])
        assert 'enmap' in parts['sensors']
        assert 'EnMAPL2A' in parts['datasets']
        assert 'EnMAPL2ADataModule' in parts['datamodules']
        assert any(name.startswith('spec_') for name in parts['models'])

    def test_command_uses_the_sensor(self, outputs: Path) -> None:
        header, *rows = (outputs / 'spectra.csv').read_text().splitlines()
        assert header.split(',')[:3] == ['class', '0.45', '0.5']
        assert len(rows) == 90
        assert '90 spectra' in (outputs / 'library.txt').read_text()

    def test_short_names_resolve(self, outputs: Path) -> None:
        config = (outputs / 'config.txt').read_text()
        assert 'class_path: hsi_library.learning.LibraryClassification' in config
        assert 'class_path: hsi_library.data.LibraryDataModule' in config

    def test_task_learns(self, outputs: Path) -> None:
        import torch

        (path,) = outputs.rglob('*.ckpt')
        state = torch.load(path, weights_only=True)
        assert state['epoch'] == 19
        weights = state['state_dict']
        table = torch.tensor(
            [
                [float(x) for x in row.split(',')]
                for row in (outputs / 'spectra.csv').read_text().splitlines()[1:]
            ]
        )
        label, spectra = table[:, 0], table[:, 1:]
        # the network, written out
        x = spectra / spectra.norm(dim=1, keepdim=True)
        x = x @ weights['model.1.weight'].T + weights['model.1.bias']
        x = torch.nn.functional.gelu(x)
        x = x @ weights['model.3.weight'].T + weights['model.3.bias']
        assert (x.argmax(1) == label).float().mean() > 0.9

    def test_model_is_listed(self, outputs: Path) -> None:
        (model,) = json.loads((outputs / 'models.txt').read_text())
        assert model['name'] == 'library_mlp'
        # two matrices and two biases
        assert model['parameters'] == 11 * 32 + 32 + 32 * 3 + 3
