# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The tutorials run for everybody, and their stored outputs are fit to be shown.

All cells run on small simulated scenes; stored outputs may be of real ones.
"""

import base64
import copy
import io
import json
import re
import runpy
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

TUTORIALS = Path(__file__).parents[2] / 'docs' / 'tutorials'
RUN = runpy.run_path(str(TUTORIALS / 'run.py'))
NOTEBOOKS = {path.stem: path for path in sorted(TUTORIALS.glob('*.ipynb'))}

#: What changes so that a notebook takes seconds.
SMALL: dict[str, dict[str, Any]] = {
    'simulated_scene': {'EPOCHS': 6},
    'denoise_enmap': {'DATA': None, 'SIZE': 48, 'METHODS': ['svd', 'hyres']},
    'pansharpen': {'DATA': None, 'SIZE': 64, 'METHODS': ['exp', 'mtf_glp_fs']},
    'pretrain_and_probe': {
        'DATA': None,
        'SIZE': 64,
        'STEPS': 15,
        'DRAWS': 1,
        'SHOTS': 5,
    },
    'few_labels': {'DATA': None, 'SIZE': 96, 'SHOTS': 10, 'DRAWS': 1, 'FOLDS': 2},
}

#: Paths of a machine: of a user, a temporary folder, a drive.
ELSEWHERE = re.compile(r'(/(home|root|Users|tmp|work|mnt|opt|usr|var)/|[A-Z]:\\\\)')


def check_map(found: Mapping[str, Any]) -> None:
    with rasterio.open('map.tif') as src:
        assert src.crs.to_epsg() == 32633
        assert src.shape == (128, 128)
    assert found['results']['test_OverallAccuracy'] > found['baseline']


def check_denoised(found: Mapping[str, Any]) -> None:
    assert Path('denoised.tif').exists()
    scores = found['scores']
    plain = max(scores['noisy'], scores['mean of 3 x 3'])
    assert all(scores[name][0] > plain[0] + 3 for name in ('svd', 'hyres'))
    assert all(scores[name][1] < plain[1] for name in ('svd', 'hyres'))


def check_sharpened(found: Mapping[str, Any]) -> None:
    with rasterio.open('sharp.tif') as src:
        assert src.shape == (64, 64)
    assert found['scores']['mtf_glp_fs'][0] < 0.8 * found['scores']['exp'][0]
    assert np.abs(np.subtract(found['found'], (2, -1))).max() < 0.1


def check_probed(found: Mapping[str, Any]) -> None:
    assert Path('pretrained.ckpt').exists()
    assert np.isfinite(found['losses'].values).all()
    features = found['features']
    before, after = (features[k].features for k in ('random weights', 'pretrained'))
    assert not torch.allclose(before, after, atol=1e-3)
    assert found['scores']['pretrained'][0] > 2 / found['scene'].num_classes
    # what was seen without labels is a window away from the test
    rows, columns = np.nonzero(found['test'])
    near = np.zeros_like(found['test'])
    near[(rows + 5).clip(max=63), columns] = True
    assert not (near & found['shown']).any()


def check_few_labels(found: Mapping[str, Any]) -> None:
    with rasterio.open('map.tif') as src:
        assert src.shape == (96, 96)
        assert 1 <= src.read(1).max() <= 9
    scores = found['scores']
    assert max(scores['block'].touching) == 0
    assert min(scores['random'].touching) > 0.5
    assert scores['block'].average_accuracy.min() > 3 / found['scene'].num_classes


CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    'simulated_scene': check_map,
    'denoise_enmap': check_denoised,
    'pansharpen': check_sharpened,
    'pretrain_and_probe': check_probed,
    'few_labels': check_few_labels,
}


def cells(name: str, kind: str) -> list[dict[str, Any]]:
    return [c for c in RUN['read'](NOTEBOOKS[name])['cells'] if c['cell_type'] == kind]


def commands(name: str) -> Iterator[list[str]]:
    """Find the commands that the text shows."""
    for cell in cells(name, 'markdown'):
        blocks = re.findall(
            r'```(?:bash|sh)\n(.*?)```', ''.join(cell['source']), re.DOTALL
        )
        for line in '\n'.join(blocks).replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] in ('torchgeo', 'torchgeo-hsi')
            yield words


def understands(words: list[str]) -> None:
    """Check verbs and options of one of our commands, without running it."""
    from torchgeo_hsi.main import cli

    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group):
        verb = group.get_command(context, words[0])
        assert verb is not None, words
        group, words = verb, words[1:]
        context = click.Context(group, parent=context)
    known = {name for option in group.params for name in (*option.opts, '--help')}
    assert {word for word in words if word.startswith('--')} <= known


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_notebook_is_tested() -> None:
    assert set(NOTEBOOKS) == set(SMALL) == set(CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
def test_notebook_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('TORCHGEO_HSI_DATA', raising=False)
    before = files(TUTORIALS)
    notebook = copy.deepcopy(RUN['read'](NOTEBOOKS[name]))
    with torch.random.fork_rng():
        found = RUN['run'](notebook, name, SMALL[name])
    CHECKS[name](found)
    shown = json.dumps([cell.get('outputs') for cell in notebook['cells']])
    assert str(tmp_path) not in shown
    assert files(TUTORIALS) == before
    for words in commands(name):
        if words[0] == 'torchgeo-hsi':
            understands(words[1:])


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_parameters_can_be_changed(name: str) -> None:
    first = cells(name, 'code')[0]
    assert first['metadata'] == {'tags': [RUN['PARAMETERS']]}
    for variable in SMALL[name]:
        assert re.search(rf'^{variable} = ', ''.join(first['source']), re.MULTILINE)


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_stored_outputs(name: str) -> None:
    path = NOTEBOOKS[name]
    assert path.stat().st_size <= RUN['LIMIT']
    codes = cells(name, 'code')
    # as if it had run from top to bottom
    assert [cell['execution_count'] for cell in codes] == [*range(1, len(codes) + 1)]
    outputs = [output for cell in codes for output in cell['outputs']]
    assert sum('image/png' in output.get('data', ()) for output in outputs) >= 3
    for output in outputs:
        assert output['output_type'] in ('stream', 'display_data', 'execute_result')
        # neither warnings nor progress
        assert output.get('name', 'stdout') == 'stdout'
        text = ''.join(output.get('text', output.get('data', {}).get('text/plain', '')))
        assert not ELSEWHERE.search(text), text
        assert not re.search(r'Warning|Traceback|\r|it/s|<matplotlib', text), text
        if 'image/png' in output.get('data', ()):
            picture = base64.b64decode(output['data']['image/png'])
            with Image.open(io.BytesIO(picture)) as image:
                assert image.width <= 1000


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_text(name: str) -> None:
    notebook = RUN['read'](NOTEBOOKS[name])
    assert notebook['metadata']['kernelspec']['name'] == 'python3'
    ids = [cell['id'] for cell in notebook['cells']]
    assert len(set(ids)) == len(ids)
    text = '\n'.join(''.join(cell['source']) for cell in cells(name, 'markdown'))
    assert not ELSEWHERE.search(text)
    for part in ('**You learn**', '**Time:**', '## Limits', '## Next'):
        assert part in text
    # real scenes are named where they are shown, and whose they are
    simulated = "DATA = os.environ.get('TORCHGEO_HSI_DATA')" not in json.dumps(notebook)
    assert simulated or re.search('© DLR 2022|NASA/JPL', text)
    for target in re.findall(r'\{doc\}`(?:[^`<]*<)?([^`>]+)>?`', text):
        page = TUTORIALS.parent / target[1:] if target[0] == '/' else TUTORIALS / target
        assert any(
            page.with_name(page.name + ending).exists()
            for ending in ('.md', '.rst', '.ipynb')
        ), target
