# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of super-resolution runs through torchgeo's own command."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from data.stand_in_cubes.data import write_stand_ins
from torchgeo.main import main

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.models import get_model
from torchgeo_hsi.physics import get_sensor

CONFIGS = sorted((FOLDER / 'superresolution').glob('*.yaml'))
METHOD = CONFIGS[0].with_stem('method')
#: Those of the weights that ship, which learn from real cubes.
WEIGHTS = [METHOD.with_stem(name) for name in ('deepshare_windows', 'essaformer_eigen')]
TRAININGS = [config for config in CONFIGS if config not in (METHOD, *WEIGHTS)]

#: Neighboring visible bands of EnMAP, by their wavelengths.
BANDS = get_sensor('enmap').bands.select(range(2, 56, 2)).wavelength.round(4).tolist()
FIT = [
    '--trainer.max_epochs=1',
    '--data.patch_size=8',
    '--data.length=16',
    '--data.batch_size=2',
]
SMALL = [
    f'--data.bands={BANDS}',
    f'--model.model_kwargs.in_channels={len(BANDS)}',
    '--data.eval_patch_size=32',
]
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cube of 202 bands; scenes are simulated there once."""
    folder = tmp_path_factory.mktemp('superresolution')
    random = np.random.default_rng(0)
    bands = get_sensor('enmap').bands.select(range(202))
    plane = 1000 + 1000 * random.random((20, 20)).repeat(2, 0).repeat(2, 1)
    cube = np.linspace(1, 2, len(bands))[:, None, None] * plane
    cube[:, :5, :7] = -32768
    words = {'crs': 'EPSG:32633', 'nodata': -32768}
    write_cog(
        folder / 'cube.tif', cube.astype('int16'), transform=PLACE, bands=bands, **words
    )
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(stage: str, config: Path, *options: str) -> None:
    content = load(config)['data']['init_args']
    sizes = [
        f'--data.{split}.init_args.size=48'
        for split in ('train', 'val', 'test', 'coarse')
        if split in content
    ]
    width = {'essaformer': 'dim', 'deepshare': 'n_feats'}
    name = width.get(load(config)['model']['init_args']['model'])
    small = [*SMALL, f'--model.model_kwargs.{name}=16'] if name else []
    extra = FIT if stage == 'fit' else []
    main([stage, '--config', str(config), *sizes, *QUICK, *small, *extra, *options])


def check_fine(path: Path, count: int) -> None:
    with rasterio.open(path) as src:
        assert src.shape == (80, 80)
        assert src.count == count
        assert src.dtypes[0] == 'int16'
        assert src.crs.to_epsg() == 32633
        assert src.transform.almost_equals(PLACE @ Affine.scale(1 / 2))
        assert float(src.tags(1)['wavelength']) == pytest.approx(0.43, abs=0.02)
        missing = src.read(1, masked=True).mask
    assert missing[:10, :14].all()
    assert missing.sum() == 140


def test_all_configurations_are_tested() -> None:
    names = {'essaformer', 'deepshare', 'deepshare_mixup', 'deepshare_rgb'}
    names |= {'deepshare_semisupervised'}
    assert {config.stem for config in TRAININGS} == names


@pytest.mark.parametrize('config', WEIGHTS, ids=lambda path: path.stem)
def test_training_of_weights(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, but for the cubes and the size."""
    monkeypatch.chdir(tmp_path)
    write_stand_ins(tmp_path)
    small = ['--data.num_bands=20']
    if config.stem == 'deepshare_windows':
        small += ['--data.eval_num_bands=20', '--model.model_kwargs.in_channels=20']
    main(['fit', '--config', str(config), *QUICK, *FIT, *small])
    main(['test', '--config', str(config), *QUICK, *small, '--data.eval_patch_size=24'])
    scores = read_scores(Path(f'output/superresolution/{config.stem}/scores.json'))[
        'test'
    ]
    assert np.isfinite([scores['test_MPSNR'], scores['test_bicubic_MPSNR']]).all()


@pytest.mark.parametrize('config', TRAININGS, ids=lambda path: path.stem)
def test_training(config: Path) -> None:
    run('fit', config)
    checkpoint = f'output/superresolution/{config.stem}/checkpoints/best.ckpt'
    assert Path(checkpoint).exists()
    if config.stem not in ('deepshare', 'essaformer'):
        # the other helps of DeepShare are for the training
        return
    run('test', config, f'--ckpt_path={checkpoint}')
    scores = read_scores(Path(f'output/superresolution/{config.stem}/scores.json'))[
        'test'
    ]
    names = ('MPSNR', 'MSSIM', 'SAM_deg', 'ERGAS', 'CC', 'RMSE')
    expected = {f'test_{kind}{name}' for kind in ('', 'bicubic_') for name in names}
    assert expected <= set(scores)
    assert np.isfinite([scores[name] for name in expected]).all()
    options = ['--data.predict=cube.tif', '--data.tile_size=24', '--data.overlap=8']
    blend = ['--trainer.callbacks.overlap=8', '--trainer.callbacks.delta=4']
    run('predict', config, f'--ckpt_path={checkpoint}', *options, *blend)
    check_fine(Path(f'output/superresolution/{config.stem}/fine.tif'), len(BANDS))


def test_help_can_be_left_out() -> None:
    """The options that the comments of the configuration name."""
    config = METHOD.with_stem('deepshare_rgb')
    run('fit', config, '--data.mixup=false', '--data.coarse=null', '--data.cycle.rgb=1')
    (folder := Path('photographs')).mkdir()
    profile = {'driver': 'PNG', 'width': 40, 'height': 40, 'count': 3, 'dtype': 'uint8'}
    with rasterio.open(folder / 'one.png', 'w', **profile) as dst:
        dst.write(np.random.default_rng(0).integers(0, 256, (3, 40, 40), 'uint8'))
    run('fit', config, '--data.rgb=photographs', '--data.cycle.spectral=0')


def test_method() -> None:
    run('test', METHOD)
    scores = read_scores(Path('output/superresolution/method/scores.json'))['test']
    assert scores['test_MPSNR'] == scores['test_bicubic_MPSNR']
    assert scores['test_MPSNR'] > 20
    options = ['--model.scale=4', '--data.scale=4', '--data.degradation=mtf']
    run('test', METHOD, *options, '--data.noise=gaussian_10')
    other = read_scores(Path('output/superresolution/method/scores.json'))['test']
    assert other['test_MPSNR'] < scores['test_MPSNR']
    run('predict', METHOD, '--data.predict=cube.tif')
    check_fine(Path('output/superresolution/method/fine.tif'), 202)


def test_method_predicts_as_the_verb_does() -> None:
    from torchgeo_hsi.scenes import superresolve_scene

    # over the edge of a tile, where the way to blend it matters
    run('predict', METHOD, '--data.predict=cube.tif')
    superresolve_scene(get_model('bicubic', scale=2), 'cube.tif', 'verb.tif')
    with (
        rasterio.open('verb.tif') as one,
        rasterio.open('output/superresolution/method/fine.tif') as other,
    ):
        difference = one.read().astype(int) - other.read()
    assert np.abs(difference).max() <= 1


@pytest.mark.realdata
@pytest.mark.parametrize('config', TRAININGS[:2], ids=lambda path: path.stem)
def test_commands_find_the_real_data(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_data: Path
) -> None:
    """The links that the comments make."""
    lines = [line[4:] for line in config.read_text('utf-8').splitlines()]
    links = [line for line in lines if line.startswith(('mkdir', 'ln -s'))]
    assert len(links) == 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCHGEO_HSI_DATA', str(real_data))
    subprocess.run(['sh', '-ec', '\n'.join(links)], check=True)
    assert len(list(Path('data/aviris').glob('abu-*.mat'))) == 9
