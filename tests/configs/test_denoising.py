# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of denoising runs through torchgeo's own command."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.io
import torch
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from data.stand_in_cubes.data import write_stand_ins
from jsonargparse import ArgumentParser
from torchgeo.datamodules import BaseDataModule
from torchgeo.main import main

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.models import get_model

CONFIGS = sorted((FOLDER / 'denoising').glob('*.yaml'))
USERS = [c for c in CONFIGS if c.stem.startswith(('hsdt_s', 'man_s'))]
TRAININGS = [c for c in CONFIGS if c.stem.endswith(('_gaussian', '_mixture'))]

GAUSSIAN = CONFIGS[0].with_stem('hsdt_s_gaussian')

FIT = [
    '--trainer.max_epochs=1',
    '--data.patch_size=16',
    '--data.length=4',
    '--data.batch_size=2',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which scenes are simulated once."""
    return tmp_path_factory.mktemp('denoising')


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(stage: str, config: Path, *options: str, small: bool = True) -> None:
    sizes = []
    for split in ('train', 'val', 'test') if small else ():
        if split in load(config)['data']['init_args']:
            sizes.append(f'--data.{split}.init_args.size=48')
            sizes.append(f'--data.{split}.init_args.bands={list(range(0, 80, 2))}')
    extra = FIT if stage == 'fit' else []
    if small:
        # one window of four
        extra = [*extra, *(f'--trainer.limit_{s}_batches=0.3' for s in ('val', 'test'))]
    quick = [*QUICK, '--data.eval_patch_size=24']
    main([stage, '--config', str(config), *sizes, *quick, *extra, *options])


def check_output(path: Path) -> None:
    with rasterio.open(path) as src:
        assert src.count > 200
        assert src.dtypes[0] == 'int16'
        assert src.crs.to_epsg() == 32633
        assert float(src.tags(1)['wavelength']) == pytest.approx(0.42, abs=0.02)
        assert not src.read(1, masked=True).mask[:32, :32].all()


def test_all_configurations_are_tested() -> None:
    tested = {f'{net}_{noise}' for net in ('hsdt_s', 'man_s') for noise in KINDS}
    tested |= {'hsdt_s_eigen', 'man_s_eigen', 'method', 'self_supervised'}
    assert {c.stem for c in CONFIGS} == tested


KINDS = ('gaussian', 'mixture')


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_each_run_has_its_own_output(config: Path) -> None:
    assert f'output/denoising/{config.stem}' in config.read_text('utf-8')


@pytest.mark.parametrize('config', TRAININGS, ids=lambda path: path.stem)
def test_training(config: Path, folder: Path) -> None:
    output = folder / 'output' / 'denoising' / config.stem
    best = f'--ckpt_path={output / "checkpoints" / "best.ckpt"}'
    run('fit', config)
    scores = read_scores(output / 'scores.json')['fit']
    assert np.isfinite([scores['val_MPSNR'], scores['val_loss']]).all()
    # one of each noise: the rest differs in names that fit has looked at
    if config.stem in ('hsdt_s_gaussian', 'man_s_mixture'):
        run('test', config, best)
        scores = read_scores(output / 'scores.json')['test']
        assert np.isfinite([scores['test_MPSNR'], scores['test_loss']]).all()
        assert list((output / 'figures').glob('test_*.png'))
    if config.stem == 'hsdt_s_gaussian':
        run('predict', config, best)
        check_output(output / 'denoised.tif')


@pytest.mark.parametrize('name', ['hsdt_s', 'man_s'])
def test_training_of_eigen_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights that ship: as it stands, but for the cubes and the size."""
    folder = tmp_path
    monkeypatch.chdir(folder)
    write_stand_ins(folder)
    config = GAUSSIAN.with_stem(f'{name}_eigen')
    run('fit', config, '--data.num_bands=20', small=False)
    options = ['--ckpt_path=last', '--data.eval_patch_size=100']
    run('test', config, *options, small=False)
    scores = read_scores(folder / 'output' / 'denoising' / config.stem / 'scores.json')
    assert np.isfinite(scores['fit']['val_MPSNR'])
    assert np.isfinite(scores['test']['test_MPSNR'])
    # what was trained is what the methods load
    last = folder / 'output' / 'denoising' / config.stem / 'checkpoints' / 'last.ckpt'
    model = get_model('robust_subspace', denoiser=name, weights=last).eval()
    image = torch.rand(1, 25, 16, 16)
    with torch.no_grad():
        assert model(image).isfinite().all()


@pytest.mark.realdata
@pytest.mark.parametrize('config', USERS, ids=lambda path: path.stem)
def test_commands_find_the_real_data(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_data: Path
) -> None:
    """The links that the comments make, and the cubes that are read through them."""
    lines = [line[4:] for line in config.read_text('utf-8').splitlines()]
    links = [line for line in lines if line.startswith(('mkdir', 'ln -s'))]
    assert len(links) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCHGEO_HSI_DATA', str(real_data))
    subprocess.run(['sh', '-ec', '\n'.join(links)], check=True)
    assert len(list(Path('data/aviris').glob('abu-*.mat'))) == 9
    assert list(Path('data/enmap').glob('*_tile_96_0.tif'))
    if not config.stem.endswith('_eigen'):
        return
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument('--data', type=BaseDataModule)
    parsed = parser.parse_object({'data': load(config)['data']})
    # renamed in jsonargparse 4.49
    new = hasattr(parser, 'instantiate')
    data = (parser.instantiate if new else parser.instantiate_classes)(parsed).data
    data.setup('test')
    shapes = [tuple(sample['image'].shape) for sample in data.test_dataset]
    assert shapes == [(205, 100, 100)] * 2 + [(198, 100, 100)] + [(218, 32, 32)] * 2


def test_cubes_on_the_command_line(folder: Path) -> None:
    """The command that the configurations tell."""
    rng = np.random.default_rng(0)
    (folder / 'data' / 'aviris').mkdir(parents=True, exist_ok=True)
    for name in ('abu-urban-1', 'abu-urban-4'):
        cube = rng.integers(0, 3000, (24, 24, 34)).astype(np.int16)
        scipy.io.savemat(folder / 'data' / 'aviris' / f'{name}.mat', {'data': cube})
    run(
        'fit',
        GAUSSIAN,
        '--data.train=["data/aviris/abu-*.mat"]',
        '--data.exclude=["abu-urban-4"]',
        '--data.val=data/aviris/abu-urban-4.mat',
        '--data.test=null',
        small=False,
    )
    last = folder / 'output' / 'denoising' / GAUSSIAN.stem / 'checkpoints' / 'last.ckpt'
    assert last.exists()
    # the best of a Gaussian training is where that of a mixture begins
    mixture = GAUSSIAN.with_stem('hsdt_s_mixture')
    run('fit', mixture, f'--model.weights={last}')


def test_method(folder: Path) -> None:
    config = GAUSSIAN.with_stem('method')
    output = folder / 'output' / 'denoising' / 'method'
    run('test', config)
    scores = read_scores(output / 'scores.json')['test']
    assert scores['test_MPSNR'] > scores['test_noisy_MPSNR'] + 3
    run('predict', config)
    check_output(output / 'denoised.tif')


def test_method_on_pairs_in_files(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / 'data' / 'icvl_512_50').mkdir(parents=True)
    clean = rng.random((1, 1, 8)) * np.ones((20, 20, 1))
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    path = folder / 'data' / 'icvl_512_50' / 'a.mat'
    scipy.io.savemat(path, {'input': noisy, 'gt': clean})
    run(
        'test',
        GAUSSIAN.with_stem('method'),
        '--data.test=torchgeo_hsi.datasets.MatPairs',
        '--data.test.paths=data/icvl_512_50',
        '--data.test_noise=null',
        '--data.scaling=1.0',
        '--data.eval_patch_size=null',
        small=False,
    )
    scores = read_scores(folder / 'output' / 'denoising' / 'method' / 'scores.json')[
        'test'
    ]
    assert scores['test_noisy_MPSNR'] == pytest.approx(20, abs=0.3)


def test_prediction_with_the_bands_of_weights(folder: Path) -> None:
    """Weights choose the number of bands; a checkpoint brings it along."""
    weights = folder / 'twelve.pth'
    torch.save(get_model('hsdt_s', num_bands=12).state_dict(), weights)
    config = GAUSSIAN.with_stem('self_supervised')
    run('fit', config, '--model.model=hsdt_s', f'--model.weights={weights}')
    weights.unlink()
    output = folder / 'output' / 'denoising' / 'self_supervised'
    last = output / 'checkpoints' / 'last.ckpt'
    state = torch.load(last, weights_only=True)
    assert state['hyper_parameters']['model_kwargs'] == {'num_bands': 12}
    run('predict', config, f'--ckpt_path={last}')
    check_output(output / 'denoised.tif')


def test_self_supervised(folder: Path) -> None:
    config = GAUSSIAN.with_stem('self_supervised')
    output = folder / 'output' / 'denoising' / 'self_supervised'
    run('fit', config)
    run('predict', config, f'--ckpt_path={output / "checkpoints" / "last.ckpt"}')
    check_output(output / 'denoised.tif')
