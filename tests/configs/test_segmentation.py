# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration runs through torchgeo's own command, on small data."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from configs.quick import QUICK
from data.spectral_earth_downstream.data import write_downstream
from data.tiles.data import SIZE, TILES, holes, make_tiles
from rasterio.coords import disjoint_bounds
from torchgeo.main import main

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.main import main as hsi_main

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / 'configs').glob('*.yaml'))

FAST = ['--trainer.max_epochs=1', '--trainer.check_val_every_n_epoch=1', *QUICK]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder: configurations write to relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stages(config: Path, *options: str) -> None:
    for stage in ('fit', 'test', 'predict'):
        last = () if stage == 'fit' else ('--ckpt_path=last',)
        main([stage, '--config', str(config), *FAST, *options, *last])


def check(output: Path, classes: int) -> np.ndarray:
    """Check what a run left behind; return the map."""
    scores = read_scores(output / 'scores.json')
    for stage, name in (('fit', 'val'), ('test', 'test')):
        assert 0 <= scores[stage][f'{name}_AverageJaccardIndex'] <= 1
        assert np.isfinite(scores[stage][f'{name}_loss'])
    with rasterio.open(output / 'land_cover.tif') as src:
        assert src.crs.to_epsg() == 32633
        assert src.res == (30, 30)
        assert src.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert len(json.loads(src.tags(1)['class_names'])) == classes
        assert src.colormap(1)
        codes = src.read(1, masked=True)
    assert (output / 'land_cover.png').stat().st_size > 10_000
    return codes


def test_all_configurations_are_tested() -> None:
    tested = {'demo.yaml', 'potsdam_segmentation.yaml', 'store_segmentation.yaml'}
    assert {config.name for config in CONFIGS} == tested


def test_demo(folder: Path) -> None:
    stages(ROOT / 'configs' / 'demo.yaml', '--data.size=128', '--data.length=8')
    codes = check(folder / 'output' / 'demo', 9)
    # the swath is tilted: corners without data, but most of the raster has some
    assert 0.2 < codes.mask.mean() < 0.8
    assert set(np.unique(codes.compressed())) <= set(range(9))


def test_potsdam_on_made_up_tiles(folder: Path) -> None:
    images, labels = make_tiles(folder / 'tiles')
    stages(
        ROOT / 'configs' / 'potsdam_segmentation.yaml',
        f'--data.paths={images}',
        f'--data.mask_paths={labels}',
        '--data.val=[tile_b]',
        '--data.batch_size=2',
        '--data.length=4',
    )
    codes = check(folder / 'output' / 'potsdam', 6)
    shape = (3 * SIZE, 6 * SIZE)
    want = np.ones(shape, dtype=bool)
    size = SIZE
    for name, (column, row) in TILES.items():
        window = (
            slice(row * size, (row + 1) * size),
            slice(column * size, (column + 1) * size),
        )
        want[window] = holes(name)
    assert np.array_equal(codes.mask, want)
    assert set(np.unique(codes.compressed())) <= set(range(1, 7))


def test_training_from_a_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_downstream(folder / 'data', 'cdl')
    config = ROOT / 'configs' / 'store_segmentation.yaml'
    # the command that the configuration tells
    lines = config.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith('#   torchgeo-hsi convert'))
    with pytest.raises(SystemExit) as stop:
        hsi_main([*line.split()[2:], '--workers', '1'])
    assert stop.value.code in (0, None), capsys.readouterr()
    # eight training patches are two batches
    small = folder / 'small.yaml'
    text = config.read_text()
    assert 'every_n_train_steps: 100' in text
    small.write_text(text.replace('every_n_train_steps: 100', 'every_n_train_steps: 2'))
    options = ['--data.num_workers=1', '--data.batch_size=4', '--data.image_size=32']
    options = ['--config', str(small), *FAST, *options]
    main(['fit', *options])
    running = folder / 'output' / 'store' / 'running.ckpt'
    state = torch.load(running, weights_only=True)
    (loader,) = state['loops']['fit_loop']['state_dict']['combined_loader']
    assert (loader['samples'], loader['batches']) == (8, 2)
    main(['fit', *options, '--trainer.max_epochs=2', f'--ckpt_path={running}'])
    assert torch.load(running, weights_only=True)['global_step'] == 4
    main(['test', *options, '--ckpt_path=last'])
    scores = read_scores(folder / 'output' / 'store' / 'scores.json')
    assert np.isfinite(scores['fit']['val_loss'])
    assert np.isfinite(scores['test']['test_loss'])


@pytest.mark.realdata
def test_potsdam(
    folder: Path, potsdam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        hsi_main(
            [
                'run',
                '--config',
                str(ROOT / 'configs' / 'potsdam_segmentation.yaml'),
                f'--data.paths={potsdam / "images"}',
                f'--data.mask_paths={potsdam / "labels"}',
                *FAST,
            ]
        )
    assert stop.value.code in (0, None)
    said = capsys.readouterr().out
    assert 'land_cover.tif' in said
    assert 'Scores of test' in said
    codes = check(folder / 'output' / 'potsdam', 6)
    inside = 0
    with rasterio.open(folder / 'output' / 'potsdam' / 'land_cover.tif') as src:
        for path in (potsdam / 'images').glob('*.tif'):
            with rasterio.open(path) as tile:
                assert not disjoint_bounds(src.bounds, tile.bounds)
                window = src.window(*tile.bounds).round_offsets().round_lengths()
                rows, columns = window.toslices()
                assert not codes.mask[rows, columns].any()
                inside += tile.width * tile.height
    assert (~codes.mask).sum() == inside
