# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of pansharpening runs through torchgeo's own command."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK
from torchgeo.main import main

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.physics import get_sensor

CONFIGS = sorted((FOLDER / 'pansharpening').glob('*.yaml'))
TRAININGS = [config for config in CONFIGS if config.stem != 'method']
METHOD = CONFIGS[0].with_stem('method')

FIT = [
    '--trainer.max_epochs=1',
    '--data.crop_size=8',
    '--data.length=4',
    '--data.batch_size=2',
]
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cube of 202 bands and its PAN."""
    folder = tmp_path_factory.mktemp('pansharpening')
    random = np.random.default_rng(0)
    bands = get_sensor('enmap').bands.select(range(202))
    fine = 1000 + 1000 * random.random((60, 60)).repeat(2, 0).repeat(2, 1)
    spectrum = np.linspace(1, 2, len(bands))[:, None, None]
    cube = spectrum * fine.reshape(20, 6, 20, 6).mean((1, 3))
    words = {'crs': 'EPSG:32633', 'nodata': -32768}
    write_cog(
        folder / 'cube.tif', cube.astype('int16'), transform=PLACE, bands=bands, **words
    )
    place = PLACE @ Affine.scale(1 / 6)
    write_cog(
        folder / 'pan.tif', fine[None].astype('float32'), transform=place, **words
    )
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(stage: str, config: Path, *options: str) -> None:
    content = yaml.safe_load(config.read_text('utf-8'))['data']['init_args']
    sizes = [
        f'--data.{split}.init_args.size={60 if split == "train" else 48}'
        for split in ('train', 'val', 'test')
        if split in content
    ]
    extra = FIT if stage == 'fit' else []
    main([stage, '--config', str(config), *sizes, *QUICK, *extra, *options])


def check_sharp(path: Path) -> None:
    with rasterio.open(path) as src:
        assert src.shape == (120, 120)
        assert src.count == 202
        assert src.dtypes[0] == 'int16'
        assert src.crs.to_epsg() == 32633
        assert src.transform.almost_equals(PLACE @ Affine.scale(1 / 6))
        assert float(src.tags(1)['wavelength']) == pytest.approx(0.42, abs=0.02)
        assert not src.read(1, masked=True).mask.any()


@pytest.mark.parametrize('config', TRAININGS, ids=lambda path: path.stem)
def test_training(config: Path) -> None:
    run('fit', config)
    checkpoint = f'output/pansharpening/{config.stem}/checkpoints/best.ckpt'
    assert Path(checkpoint).exists()
    run('test', config, f'--ckpt_path={checkpoint}')
    scores = read_scores(Path(f'output/pansharpening/{config.stem}/scores.json'))
    assert {'test_ERGAS', 'test_exp_ERGAS', 'test_Q2n'} <= set(scores['test'])


def test_trained_network_predicts() -> None:
    config = TRAININGS[0]
    run('fit', config)
    run(
        'predict',
        config,
        f'--ckpt_path=output/pansharpening/{config.stem}/checkpoints/best.ckpt',
        '--data.predict=cube.tif',
        '--data.pans.predict=pan.tif',
        '--data.tile_size=12',
        '--data.overlap=4',
        '--trainer.callbacks.overlap=12',
    )
    check_sharp(Path(f'output/pansharpening/{config.stem}/sharp.tif'))


def test_method_predicts_as_the_verb_does() -> None:
    run('test', METHOD)
    scores = read_scores(Path('output/pansharpening/method/scores.json'))['test']
    assert scores['test_ERGAS'] < scores['test_exp_ERGAS']
    run('predict', METHOD, '--data.predict=cube.tif', '--data.pans.predict=pan.tif')
    check_sharp(Path('output/pansharpening/method/sharp.tif'))
    from torchgeo_hsi.models import get_model
    from torchgeo_hsi.scenes import sharpen_scene

    sharpen_scene(get_model('mtf_glp_fs'), 'pan.tif', 'cube.tif', 'verb.tif')
    with (
        rasterio.open('verb.tif') as one,
        rasterio.open('output/pansharpening/method/sharp.tif') as other,
    ):
        difference = one.read().astype(int) - other.read()
    assert np.abs(difference).max() <= 1
