# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of graph contrastive learning runs through torchgeo's command."""

import json
from pathlib import Path

import pytest
import rasterio
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from data.small_scene.data import make_scene, write_scene
from torchgeo.main import main

CONFIGS = sorted((FOLDER / 'graph_contrast').glob('*.yaml'))

FAST = [
    '--trainer.max_epochs=1',
    *QUICK,
    '--data.steps_per_epoch=2',
    '--data.components=4',
    '--data.least=1',
    '--model.in_channels=4',
    '--model.hidden_dim=12',
    '--model.output_dim=6',
]


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
