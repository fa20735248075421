# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of pretraining runs through torchgeo's own command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from configs.quick import CONFIGS as FOLDER
from configs.quick import load
from data.spectral_earth.data import write_tree
from torchgeo.main import main

from torchgeo_hsi.models.backbones._features import make_backbone

CONFIGS = sorted((FOLDER / 'pretraining').glob('*.yaml'))
SMALL = [path for path in CONFIGS if path.stem.endswith('_small')]
PAPER = [path for path in CONFIGS if path not in SMALL]

FAST = [
    '--trainer.max_epochs=1',
    '--trainer.logger=false',
    '--trainer.accelerator=cpu',
    '--trainer.devices=1',
    '--trainer.strategy=auto',
    '--trainer.enable_progress_bar=false',
    '--trainer.enable_model_summary=false',
    '--trainer.limit_train_batches=2',
    '--trainer.limit_val_batches=1',
    '--data.num_workers=0',
]
#: Wide layers of heads, and what goes in their place.
WIDE = {'hidden_dim': 32, 'output_dim': 48, 'bottleneck_dim': 16, 'queue_size': 8}


def narrow(config: dict[str, Any]) -> list[str]:
    """Make the layers of a head narrow, where there are such layers."""
    words = config['model']['init_args']
    return [f'--model.{name}={size}' for name, size in WIDE.items() if name in words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder: configurations write to relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the simulated scene stays from test to test."""
    return tmp_path_factory.mktemp('scene')


def check_checkpoint(folder: Path, path: Path) -> Path:
    """Check that what was trained can be taken out of the checkpoint."""
    config = load(path)
    output = folder / config['trainer']['default_root_dir']
    checkpoint = output / 'checkpoints' / 'last.ckpt'
    content = torch.load(checkpoint, weights_only=True)
    words = content['hyper_parameters']
    prefix = 'backbone.'
    state = {
        key.removeprefix(prefix): value
        for key, value in content['state_dict'].items()
        if key.startswith(prefix)
    }
    backbone = make_backbone(
        words['model'], words['in_channels'], words['model_kwargs']
    )
    backbone.load_state_dict(state)
    assert all(value.isfinite().all() for value in state.values())
    classes = [part['class_path'] for part in config['trainer']['callbacks']]
    if any(name.endswith('.ReconstructionFigures') for name in classes):
        assert list((output / 'figures').glob('*.png'))
    return checkpoint


def test_each_recipe_has_a_small_one() -> None:
    assert {path.stem for path in PAPER} == {
        path.stem.removesuffix('_small') for path in SMALL
    }
    assert {'dino', 'moco'} <= {path.stem for path in PAPER}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configuration_is_consistent(path: Path) -> None:
    config = load(path)
    assert f'configs/pretraining/{path.name}' in path.read_text('utf-8')
    output = config['trainer']['default_root_dir']
    assert output == f'output/pretraining/{path.stem}'
    assert 'seed_everything' in config
    saver = config['trainer']['callbacks'][0]['init_args']
    assert saver['dirpath'] == f'{output}/checkpoints'
    assert saver['save_last'] is True
    model = config['model']['init_args']
    assert model['in_channels'] == 202
    if path in PAPER:
        assert config['data']['class_path'].endswith('.SpectralEarthDataModule')
        # the published batch
        size = config['data']['init_args']['batch_size']
        assert size * config['trainer'].get('devices', 4) == 256
    else:
        assert config['data']['init_args']['patch_size'] >= model['size']


@pytest.mark.slow
@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_small(path: Path, folder: Path, scene: Path) -> None:
    data = ['--data.size=128', '--data.batch_size=4', '--data.length=8']
    data.append(f'--data.root={scene}')
    options = ['--config', str(path), *FAST, *data, *narrow(load(path))]
    main(['fit', *options])
    checkpoint = check_checkpoint(folder, path)
    state = torch.load(checkpoint, weights_only=True)
    assert state['global_step'] == 2
    # and on from there
    main(['fit', *options, '--trainer.max_epochs=2', f'--ckpt_path={checkpoint}'])
    state = torch.load(checkpoint, weights_only=True)
    assert state['global_step'] == 4


@pytest.mark.parametrize('path', PAPER, ids=lambda path: path.stem)
def test_paper(path: Path, folder: Path) -> None:
    write_tree(folder / 'data')
    tiny = ['--model.model=spec_vit_tiny', '--model.model_kwargs={depth: 1}']
    size = ['--model.size=16', '--data.batch_size=2', '--trainer.precision=bf16-mixed']
    options = [*FAST, *tiny, *size, *narrow(load(path))]
    main(['fit', '--config', str(path), *options, f'--data.root={folder / "data"}'])
    check_checkpoint(folder, path)
