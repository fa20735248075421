# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of graph contrastive learning runs through torchgeo's command."""

import json
from pathlib import Path
from typing import Any

import pytest
import rasterio
import yaml
from torchgeo.main import main

from tests.small_scene import make_scene, write_scene

CONFIGS = sorted((Path(__file__).parents[1] / 'configs/graph_contrast').glob('*.yaml'))

FAST = [
    '--trainer.max_epochs=1',
    '--trainer.logger=false',
    '--trainer.accelerator=cpu',
    '--trainer.enable_progress_bar=false',
    '--trainer.enable_model_summary=false',
    '--data.steps_per_epoch=2',
    '--data.components=4',
    '--data.least=1',
    '--model.in_channels=4',
    '--model.hidden=12',
    '--model.out=6',
]


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text('utf-8'))
    return content


def test_objectives() -> None:
    found = {load(path)['model']['init_args']['objective'] for path in CONFIGS}
    assert found == {'grace', 'bgrl', 'mvgrl', 'barlow_twins'}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_consistent(path: Path) -> None:
    config, text = load(path), path.read_text('utf-8')
    assert f'configs/graph_contrast/{path.name}' in text
    assert config['trainer']['default_root_dir'] == f'output/graph_contrast/{path.stem}'
    model, data = config['model']['init_args'], config['data']['init_args']
    assert model['in_channels'] == data['components']
    assert model.get('level', 'node') == data.get('level', 'node')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene = make_scene()
    cube, labels = write_scene(tmp_path, scene)
    config = load(path)
    words = config['data']['init_args']
    options = ['--config', str(path), *FAST]
    options += [f'--data.scene={cube}', f'--data.labels={labels}']
    # the small scene has classes of its own
    options.append('--data.scene_options=null')
    if 'tile_size' in words:
        options.append('--data.tile_size=6')
    if 'graph_options' in words:
        options.append('--data.graph_options={segments: 80}')
    main(['fit', *options])
    output = tmp_path / config['trainer']['default_root_dir']
    last = f'--ckpt_path={output / "checkpoints/last.ckpt"}'
    main(['test', *options, last])
    report = json.loads((output / 'report.json').read_text())['test']
    assert report['split'] == 'block'
    assert report['mode'] == words['mode']
    main(['predict', *options, last])
    with rasterio.open(output / 'classes.tif') as src:
        assert src.shape == scene.valid.shape
        shown = src.read(1) != src.nodata
    assert not shown[~scene.valid].any()
    # tiles with few valid pixels have no graph
    assert shown.sum() >= (0.99 if 'tile_size' in words else 1) * scene.valid.sum()
