# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of ``torchgeo-hsi benchmark pansharpening``."""

import csv
import json
import math
import time
from pathlib import Path

import pytest
import torch
from cli.sharpening import RATIO, SIZE, call, write_pair

from torchgeo_hsi.cli import _sharpening_runs
from torchgeo_hsi.cli._sharpening_runs import SCORES, PeakMemory, score
from torchgeo_hsi.datasets import PanPairs
from torchgeo_hsi.metrics import d_rho, ergas
from torchgeo_hsi.models import EXP, GSA


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_pair(tmp_path)


def compare(*words: str | Path) -> tuple[int, str, str]:
    return call('benchmark', 'pansharpening', *words)


def test_both_protocols(files: tuple[Path, Path], tmp_path: Path) -> None:
    pan, cube = files
    out = tmp_path / 'report'
    words = ['--method', 'gsa', '--method', 'mtf_glp_fs:gain=0.25', '--border', '3']
    code, text, err = compare(cube, '--pan', pan, '--output', out, *words)
    assert code == 0, err
    content = json.loads((out / 'results.json').read_text())
    runs = content['runs']
    assert [run['method'] for run in runs] == 2 * ['exp', 'gsa', 'mtf_glp_fs:gain=0.25']
    assert [run['protocol'] for run in runs] == 3 * ['reduced'] + 3 * ['full']
    assert all(run['error'] is None and run['seconds'] > 0 for run in runs)
    reduced = PanPairs(cube, pan, 'reduced')[0]
    shape = reduced['target'].shape
    assert shape == (5, SIZE, SIZE)
    valid = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    valid[3:-3, 3:-3] = True
    for number, model in enumerate((EXP(), GSA())):
        image = model(reduced['image'][None], reduced['pan'][None])[0]
        expected = ergas(image, reduced['target'], RATIO, valid)
        assert runs[number]['ERGAS'] == pytest.approx(float(expected), rel=1e-4)
        full = PanPairs(cube, pan, 'full')[0]
        image = model(full['image'][None], full['pan'][None])[0]
        expected = d_rho(image, full['image'], full['pan'])
        assert runs[3 + number]['D_rho'] == pytest.approx(float(expected), rel=1e-4)
    with open(out / 'results.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]['ERGAS']) == runs[1]['ERGAS']
    page = (out / 'index.html').read_text()
    for kind in SCORES:
        assert f'cube_{kind}.png' in page
        assert (out / f'cube_{kind}.png').stat().st_size > 10_000
    assert 'gsa' in text


def test_simulated_pan(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, cube = files
    words = ['--ratio', '3', '--size', '15', '--method', 'brovey', '--json']
    words += ['--output', str(tmp_path / 'report')]
    code, text, err = compare(cube, *words)
    # the border leaves nothing of so small a cube
    assert (code, text) == (1, '')
    assert 'leaves none of the 15 x 15 pixels of cube' in err
    assert '--border 3' in err
    assert not (tmp_path / 'report').exists()
    code, text, err = compare(cube, *words, '--border', '3')
    assert code == 0, err
    runs = json.loads(text)
    assert len(runs) == 4
    assert 'ERGAS' in runs[0]
    assert 'ERGAS' not in runs[2]
    assert all(math.isfinite(run['D_rho']) for run in runs[2:])
    # there is no block of which a half counts
    for said in (text, (tmp_path / 'report' / 'results.json').read_text()):
        content = json.loads(said, parse_constant=pytest.fail)
        run = content[0] if isinstance(content, list) else content['runs'][0]
        assert run['Q2n'] is None
        assert run['missing'] == (
            'no Q2n: less than a half of each block of 32 x 32 pixels counts'
        )
        assert run['ERGAS'] > 0
    assert 'nan' not in (tmp_path / 'report' / 'results.csv').read_text()
    page = (tmp_path / 'report' / 'index.html').read_text()
    assert '<td>-</td>' in page
    assert '<p>no Q2n: ' in page


def test_a_method_that_refuses(files: tuple[Path, Path], tmp_path: Path) -> None:
    words = ['--pan', files[0], '--protocol', 'full', '--json']
    code, text, err = compare(
        files[1],
        *words,
        '--output',
        tmp_path / 'report',
        '--method',
        'r_pnn:in_channels=9',
        '--method',
        'gsa',
    )
    assert code == 0, err
    runs = {run['method']: run for run in json.loads(text)}
    assert runs['gsa']['error'] is None
    assert '9' in (runs['r_pnn:in_channels=9']['error'] or '9')


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['--method', 'fasthyde'], 'no pansharpener'),
        (['--method', 'gsa:gian=1'], 'no argument gian'),
        (['--pan', 'a.tif', '--pan', 'b.tif'], 'one --pan for each of 1 cubes'),
    ],
)
def test_what_cannot_be(
    files: tuple[Path, Path], tmp_path: Path, words: list[str], expected: str
) -> None:
    code, _, err = compare(files[1], '--output', tmp_path / 'report', *words)
    assert code != 0
    assert expected in ' '.join(err.split())


def test_scores_look_at_valid_pixels_only(files: tuple[Path, Path]) -> None:
    pair = dict(PanPairs(files[1], files[0], 'reduced')[0])
    image = EXP()(pair['image'][None], pair['pan'][None])[0]
    pair['pan_valid'] = torch.ones(SIZE, SIZE, dtype=torch.bool)
    pair['pan_valid'][10:12] = False
    found = score(image, pair, 'reduced', 0, 0.3)
    image[:, 10:12] = torch.nan
    assert score(image, pair, 'reduced', 0, 0.3) == found


def test_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [100 << 20]
    # what a system says of a process changes whenever it likes
    monkeypatch.setattr(_sharpening_runs, '_resident', lambda: held[0])
    with PeakMemory('cpu') as memory:
        held[0] = 164 << 20
        time.sleep(0.2)
        held[0] = 90 << 20
    assert memory.mebibytes == 64
    monkeypatch.setattr(_sharpening_runs, '_resident', lambda: None)
    with PeakMemory('cpu') as memory:
        pass
    assert memory.mebibytes is None
