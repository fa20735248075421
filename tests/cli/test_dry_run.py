# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``--dry-run`` of every verb that writes much, and mistakes that all verbs can meet."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.sharpening import call, write_pair


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a PAN, a cube, labels and a checkpoint."""
    folder = tmp_path_factory.mktemp('data')
    pan, cube = write_pair(folder)
    pan.rename(folder / 'pan.tif')
    cube.rename(folder / 'cube.tif')
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    np.save(folder / 'labels.npy', labels)
    (folder / 'last.ckpt').write_bytes(b'x' * 2000)
    (folder / 'map.yaml').write_text('model: {}\ndata: {}\n')
    return folder


#: Words of each verb; {out} is what would be written.
VERBS = {
    'restore denoise': '{data}/cube.tif {out}.tif --method svd',
    'restore superresolve': '{data}/cube.tif {out}.tif --method bicubic --scale 3',
    'restore pansharpen': '{data}/pan.tif {data}/cube.tif {out}.tif --method gsa',
    'benchmark pansharpening': '{data}/cube.tif -o {out} --method gsa',
    'classify': '{data}/cube.tif {data}/labels.npy {out}.tif --classes 1,2',
    'gas': '{data}/cube.tif {out}.tif',
    'convert': '{data}/cube.tif {out}',
    'stats': '{data}/cube.tif -o {out}.json',
    'split': '{data}/labels.npy {out}.tif --window 3',
    'export': '{data}/last.ckpt {out}.pth',
    'simulate': '{out} --size 64',
    'map': '--config {data}/map.yaml --ckpt_path {data}/last.ckpt -o {out} {data}/cube.tif',
}


def run(verb: str, data: Path, out: Path, *more: str) -> tuple[int, str, str]:
    words = VERBS[verb].format(data=data, out=out).split()
    return call(*verb.split(), *words, *more)


@pytest.mark.parametrize('verb', VERBS)
def test_plan(verb: str, data: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob('*')}
    folder = tmp_path / 'new' / 'out'
    code, text, err = run(verb, data, folder, '--dry-run')
    assert code == 0, err
    assert 'would write' in text
    assert str(folder) in text
    assert text.splitlines()[-1] == 'Dry run: nothing was written.'
    code, text, err = run(verb, data, folder, '--dry-run', '--json', '--quiet')
    assert code == 0, err
    plan = json.loads(text)
    assert plan['dry_run']
    assert plan['has_room']
    assert plan['writes']
    assert all(entry['path'].startswith(str(folder)) for entry in plan['writes'])
    assert not any(entry['replaces'] for entry in plan['writes'])
    # nothing is written, and nothing is read to its end
    assert not list(tmp_path.iterdir())
    assert before == {path: path.stat().st_mtime_ns for path in data.rglob('*')}


def test_sizes(data: Path, tmp_path: Path) -> None:
    def most(verb: str) -> Any:
        text = run(verb, data, tmp_path / 'out', '--dry-run', '--json')[1]
        return [entry['most_bytes'] for entry in json.loads(text)['writes']]

    (plain,) = most('restore denoise')
    assert most('restore superresolve') == [9 * plain]
    with_pan = most('restore pansharpen')
    assert with_pan[0] > plain
    map_size, probabilities = most('classify')
    assert probabilities == 2 * map_size
    assert most('gas') == [8 * map_size]


@pytest.mark.parametrize(
    'verb', ['restore denoise', 'classify', 'gas', 'split', 'export', 'stats']
)
def test_output_that_exists(verb: str, data: Path, tmp_path: Path) -> None:
    """The dry run refuses what the run refuses, and tells what would be replaced."""
    for suffix in ('.tif', '.pth', '.json'):
        (tmp_path / f'out{suffix}').write_text('{}')
    for words in ((), ('--dry-run',)):
        code, _, err = run(verb, data, tmp_path / 'out', *words)
        assert code == 1
        assert 'exists already' in err
        assert '--overwrite' in err
    code, text, err = run(verb, data, tmp_path / 'out', '--dry-run', '--overwrite')
    assert code == 0, err
    assert 'would replace' in text


def test_simulated_scene_that_exists(tmp_path: Path) -> None:
    """As the run: another scene is refused, and the same one is not written again."""
    out = tmp_path / 'scene'
    words = ('simulate', str(out), '--size', '16')
    _, text, _ = call(*words, '--dry-run', '--json')
    (plan,) = json.loads(text)['writes']
    assert call(*words)[0] == 0
    assert sum(file.stat().st_size for file in out.iterdir()) <= plan['most_bytes']
    code, text, _ = call(*words, '--dry-run', '--json')
    assert code == 0
    assert json.loads(text)['writes'] == []
    code, _, err = call(*words, '--seed', '2', '--dry-run')
    assert code == 1
    assert 'pass --overwrite' in err
    assert call(*words, '--seed', '2', '--dry-run', '--overwrite')[0] == 0
    code, _, err = call('simulate', str(tmp_path), '--overwrite', '--dry-run')
    assert code == 1
    assert 'holds no simulated scene' in err


REFUSED = [
    ('restore denoise {data}/cube.tif {data}/cube.tif --overwrite', 'the scene itself'),
    ('restore denoise {data}/cube.tif {tmp}/x.png', 'Name a .tif file'),
    ('restore superresolve {data}/cube.tif {tmp}/x --method bicubic', 'a .tif file'),
    ('restore denoise {data}/cube.tif {tmp}/x.tif --compress best', "'best'"),
    ('restore denoise {data}/cube.tif {tmp}/x.tif --scaling nan', 'a scaling'),
    ('restore denoise {data}/cube.tif {tmp}/x.tif --overlap 12', 'multiples of 8'),
    ('restore pansharpen - {data}/cube.tif {tmp}/x.tif', 'no panchromatic'),
    ('gas {data}/cube.tif {tmp}/x --sun-zenith 30', 'is no .tif file'),
    ('convert {data}/cube.tif {data}/labels.npy', 'labels.npy'),
    ('split {data}/labels.npy {tmp}/x.tif --window 3 --gap nan', 'finite'),
    ('stats {data}/cube.tif -o {tmp}/x.json --accuracy nan', 'finite'),
    (
        'restore pansharpen {data}/pan.tif {data}/cube.tif {tmp}/x.tif --ratio 7',
        'Pass --ratio ',
    ),
    (
        'restore pansharpen {data}/pan.tif {data}/cube.tif {tmp}/x.tif --shift nan,0',
        'two numbers',
    ),
    (
        'restore pansharpen {data}/pan.tif {data}/cube.tif {data}/pan.tif --overwrite',
        'pan.tif is ',
    ),
]


@pytest.mark.parametrize(('line', 'told'), REFUSED)
def test_refused_as_by_the_run(
    line: str, told: str, data: Path, tmp_path: Path
) -> None:
    words = line.format(data=data, tmp=tmp_path).split()
    for more in ([], ['--dry-run']):
        code, text, err = call(*words, *more)
        assert code in (1, 2), text
        assert told in err
        assert text == ''
    assert not list(tmp_path.iterdir())


def test_unknown_method_names_those_of_its_kind(data: Path, tmp_path: Path) -> None:
    code, _, err = call(
        *f'restore denoise {data}/cube.tif {tmp_path}/x.tif --method sv'.split()
    )
    assert code == 1
    assert 'Unknown denoiser' in err
    assert 'Did you mean svd' in err
    assert 'spec_vit' not in err


def test_full_disk(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    code, _, err = run('restore denoise', data, tmp_path / 'out', '--dry-run')
    assert code == 1
    assert 'has room for 10 bytes' in err


#: Verbs with a word that is wrong, the exit code, and what is said.
MISTAKES = [
    ('info {tmp}/no.tif', 1, 'no.tif'),
    ('info {data}/labels.npy', 1, 'labels.npy'),
    ('info {data}/cube.tif --open nodta=3', 1, 'nodata'),
    ('restore denoise {tmp}/no.tif {tmp}/x.tif', 1, 'no.tif'),
    (
        'restore denoise {data}/cube.tif {tmp}/x.tif --method mann_s',
        1,
        'Did you mean man_s',
    ),
    ('restore denoise {data}/cube.tif {tmp}/x.tif --device cuda:99', 2, '--device'),
    ('restore superresolve {tmp}/no.tif {tmp}/x.tif --method bicubic', 1, 'no.tif'),
    ('restore pansharpen {tmp}/no.tif {data}/cube.tif {tmp}/x.tif', 1, 'no.tif'),
    ('benchmark pansharpening {tmp}/no.tif -o {tmp}/x --method gsa', 1, 'no.tif'),
    ('classify {tmp}/no.tif {data}/labels.npy {tmp}/x.tif', 1, 'no.tif'),
    ('classify {data}/cube.tif {tmp}/no.npy {tmp}/x.tif', 1, 'no.npy'),
    ('gas {tmp}/no.tif {tmp}/x.tif', 1, 'no.tif'),
    ('gas {data}/cube.tif {tmp}/x.tif --gas methan', 1, 'Did you mean methane'),
    ('convert {tmp}/no.tif {tmp}/x', 1, 'no.tif'),
    ('convert {tmp} {tmp}/x --dataset SpectralEart', 1, 'Did you mean SpectralEarth'),
    ('stats {tmp}/no.tif -o {tmp}/x.json', 1, 'no.tif'),
    ('split {tmp}/no.npy {tmp}/x.tif --window 3', 1, 'no.npy'),
    ('leaks {tmp}/no.tif', 1, 'no.tif'),
    ('leaks --config {tmp}/no.yaml', 2, 'does not exist'),
    ('probe --config {tmp}/no.yaml', 2, 'does not exist'),
    ('run --config {tmp}/no.yaml', 2, 'does not exist'),
    ('export {tmp}/no.ckpt {tmp}/x.pth', 1, 'no.ckpt'),
    ('export {data}/last.ckpt {tmp}/x.pth', 1, 'last.ckpt'),
    (
        'map --config {data}/map.yaml --ckpt_path {data}/last.ckpt -o {tmp}/x {tmp}/no',
        1,
        'no',
    ),
    ('models hsdt_x', 1, 'Did you mean hsdt_s'),
    ('simulate {data}/cube.tif --size 16', 1, 'cube.tif'),
    ('restor denoise', 2, 'Did you mean restore'),
    ('gas {data}/cube.tif {tmp}/x.tif --overwite', 2, '--overwrite'),
]


@pytest.mark.parametrize(('line', 'code', 'told'), MISTAKES)
def test_mistakes(line: str, code: int, told: str, data: Path, tmp_path: Path) -> None:
    """One line and no traceback, and nothing is written."""
    found, text, err = call(*line.format(data=data, tmp=tmp_path).split())
    assert found == code, err
    assert told in err
    assert text == ''
    assert 'Traceback' not in err
    last = err.splitlines()[-1]
    assert last.startswith('Error: ')
    assert code == 2 or len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == 'nt', reason='folders of Windows have other rights')
@pytest.mark.parametrize('verb', ['restore superresolve', 'split', 'convert', 'export'])
def test_output_below_a_file(verb: str, data: Path, tmp_path: Path) -> None:
    """A folder that cannot be made is our error, and not that of the system."""
    (tmp_path / 'file').write_text('')
    code, _, err = run(verb, data, tmp_path / 'file' / 'out')
    assert code == 1
    assert 'Traceback' not in err
    assert err.splitlines()[-1].startswith('Error: ')


def test_json_is_all_that_is_printed(data: Path, tmp_path: Path) -> None:
    for verb in ('restore superresolve', 'split', 'convert', 'simulate', 'stats'):
        out = tmp_path / verb.replace(' ', '_')
        code, text, err = run(verb, data, out, '--json')
        assert code == 0, err
        assert isinstance(json.loads(text), dict)
    for verb in ('restore superresolve', 'split', 'stats'):
        out = tmp_path / verb.replace(' ', '_')
        code, text, err = run(verb, data, out, '--quiet', '--overwrite')
        assert (code, text) == (0, ''), err
