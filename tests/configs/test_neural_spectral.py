# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of neural spectral methods runs through torchgeo's command."""

import json
from pathlib import Path

import numpy as np
import pytest
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from scipy.io import netcdf_file
from torchgeo.main import main

from torchgeo_hsi.physics.equations import get_equation

CONFIGS = sorted((FOLDER / 'neural_spectral').glob('*.yaml'))

FAST = [
    '--trainer.max_epochs=1',
    *QUICK,
    '--data.batch_size=2',
    '--data.steps_per_epoch=2',
    '--data.test_size=3',
    '--data.val_size=2',
    '--data.resolution=8',
]


def test_equations() -> None:
    found = {load(path)['model']['init_args']['equation'] for path in CONFIGS}
    assert found == {
        'column_plume',
        'dirichlet_poisson',
        'navier_stokes',
        'periodic_poisson',
        'reaction_diffusion',
    }


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_consistent(path: Path) -> None:
    config, text = load(path), path.read_text('utf-8')
    for word in ('fit', 'test', 'predict'):
        assert f'torchgeo {word} --config configs/neural_spectral/{path.name}' in text
    assert (
        config['trainer']['default_root_dir'] == f'output/neural_spectral/{path.stem}'
    )
    model, data = config['model']['init_args'], config['data']['init_args']
    equation = get_equation(model['equation'], **model['equation_options'])
    sizes = [len(line) for line in equation.grid(data['resolution'])]
    # all modes are seen where solutions are compared, except in time
    assert sizes[-1] >= equation.modes[-1]
    assert (model['objective'] == 'data') == ('train_solutions' in data)
    # the norm of what the equation damps, if it damps anything
    if model['objective'] == 'spectral':
        assert model['weights'] == ('dual' if equation.damping else 'parseval')
    # waves of an even number lose one
    periodic = [axis.name == 'fourier' for axis in equation.axes]
    pairs = zip(equation.modes, periodic, strict=True)
    assert all(count % 2 for count, fourier in pairs if fourier)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_page_says_the_same(path: Path) -> None:
    config = load(path)
    steps = (
        config['trainer']['max_epochs'] * config['data']['init_args']['steps_per_epoch']
    )
    page = (path.parents[2] / 'docs/neural_spectral/training.md').read_text('utf-8')
    (line,) = [row for row in page.splitlines() if row.startswith(f'| `{path.name}`')]
    assert line.split('|')[4].strip() == str(steps)
    if '%' in (error := line.split('|')[5].strip()):
        assert error in path.read_text('utf-8')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(path)
    words, data = config['model']['init_args'], config['data']['init_args']
    if words['model'] == 'fourier_neural_operator':
        pytest.importorskip('neuralop')
    modes = [5] * len(words['equation_options']['modes'])
    options = ['--config', str(path), *FAST]
    small = words['model_kwargs'] | {'width': 8, 'depth': 1}
    options.append(f'--model.model_kwargs={small}')
    options.append(
        f'--model.equation_options={words["equation_options"] | {"modes": modes}}'
    )
    if 'resolution' in words:
        options.append('--model.resolution=8')
    if 'train_solutions' in data:
        options += ['--data.train_solutions=4', '--data.train_resolution=8']
    main(['fit', *options])
    output = tmp_path / config['trainer']['default_root_dir']
    last = f'--ckpt_path={output / "checkpoints/last.ckpt"}'
    main(['test', *options, last])
    scores = json.loads((output / 'scores.json').read_text())
    assert {'test_relative_l2', 'test_residual', 'test_loss'} <= set(scores['test'])
    assert 'val_relative_l2' in scores['fit']
    assert (output / 'fields.png').stat().st_size > 5000
    solved = {path.name for path in (tmp_path / data['cache']).iterdir()}
    main(['predict', *options, last])
    # solutions of the test are those to predict
    assert {path.name for path in (tmp_path / data['cache']).iterdir()} == solved
    with netcdf_file(output / 'fields/field_00002.nc', mmap=False) as file:
        prediction = np.array(file.variables['prediction'][:])
        assert prediction.shape == (8,) * len(modes)
        assert file.variables['solution'].shape == prediction.shape
    assert np.isfinite(prediction).all()
