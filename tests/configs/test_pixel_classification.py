# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of pixel classification runs through torchgeo's own command."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from data.small_scene.data import COLORS, NAMES, make_scene, write_scene
from torchgeo.main import main

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene

CONFIGS = sorted((FOLDER / 'pixel_classification').glob('*.yaml'))
BANDS = 80
FIT = ['--trainer.max_epochs=1', '--trainer.check_val_every_n_epoch=1']
SMALL = {
    'lola_specvit': '{components: 8, depths: [1, 1], dims: [16, 32]}',
    'lora': '{components: 8, depths: [1, 1], dims: [16, 32]}',
    'hybridsn': '{components: 8}',
    'spectralformer': '{layers: 1}',
    'random_forest': '{trees: 10}',
}


#: What the small scene has in place of the classes of the configurations.
SCENE_OPTIONS = {'class_names': list(NAMES), 'class_colors': list(COLORS)}


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene(BANDS, (48, 40))


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory, scene: LabelledScene) -> Path:
    """Return a folder with a cube and its labels, where all outputs go."""
    folder = tmp_path_factory.mktemp('pixels')
    write_scene(folder, scene)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(stage: str, config: Path, *options: str) -> None:
    words = [
        '--data.scene=cube.tif',
        '--data.labels=labels.tif',
        f'--data.scene_options={SCENE_OPTIONS}',
        '--data.block_size=12',
        '--data.shots=4',
        '--data.tile_size=24',
        f'--model.in_channels={BANDS}',
        '--model.num_classes=3',
    ]
    if config.stem in SMALL:
        words.append(f'--model.model_kwargs={SMALL[config.stem]}')
    if load(config)['data']['init_args'].get('length') and stage == 'fit':
        words.append('--data.length=16')
    extra = FIT if stage == 'fit' else []
    main([stage, '--config', str(config), *QUICK, *words, *extra, *options])


def test_all_configurations_are_tested() -> None:
    names = {'lola_specvit', 'lora', 'hybridsn', 'spectral_cnn', 'spectralformer'}
    names |= {'window_classifier', 'svm', 'random_forest'}
    assert {config.stem for config in CONFIGS} == names


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_whole_run(config: Path, scene: LabelledScene) -> None:
    out = Path('output/pixel_classification') / config.stem
    first = load(config)['model']['init_args'].get('weights')
    if first is not None and not Path(first).exists():
        # low-rank adaptation starts from what another one leaves
        run('fit', config.with_stem('lola_specvit'))
    run('fit', config)
    last = 'last' if config.stem in ('svm', 'random_forest') else 'best'
    weights = ['--ckpt_path', str(out / f'checkpoints/{last}.ckpt')]
    run('test', config, *weights)
    report = json.loads((out / 'report.json').read_text())['test']
    assert report['split'] == 'block'
    assert report['touching'] == [0.0]
    assert report['classes'] == list(NAMES)
    assert 0 <= report['mean']['OA'] <= 1
    assert (out / 'report.png').is_file()
    assert (out / 'split.png').is_file()
    run('predict', config, *weights)
    with rasterio.open(out / 'classes.tif') as src:
        codes = src.read(1)
        assert src.crs.to_epsg() == 32633
        assert src.transform.almost_equals(scene.transform)
        assert json.loads(src.tags(1)['class_names'])['1'] == 'forest'
    assert np.array_equal(codes == 255, ~scene.valid)
    assert set(np.unique(codes)) <= {0, 1, 2, 255}
    assert (out / 'classes.png').is_file()


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_what_the_files_say(config: Path) -> None:
    """Windows, and margins of tiles, fit together."""
    content = load(config)
    task, data = content['model']['init_args'], content['data']['init_args']
    assert task['window'] == data['window']
    options = data['scene_options']
    for word in ('classes', 'class_names', 'class_colors'):
        assert task['num_classes'] == len(options[word])
    words = {c['class_path'].split('.')[-1]: c for c in content['trainer']['callbacks']}
    # the margin follows the window, also one that is given on the command line
    assert 'delta' not in words['GeoTIFFCubeWriter']['init_args']
    # all are as far apart, so that their scores can be compared
    assert data.get('guard', data['window'] // 2) == 4
    assert f'output/pixel_classification/{config.stem}/' in config.read_text('utf-8')
