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
import timm
import torch
from cli.sharpening import call, write_pair

from torchgeo_hsi.cli._output import size_of
from torchgeo_hsi.cli._sizes import geotiff_bytes, stored_bytes
from torchgeo_hsi.io import open_cube, write_cog
from torchgeo_hsi.io.store import write_stored_scene


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a PAN, a cube, labels and a checkpoint."""
    folder = tmp_path_factory.mktemp('data')
    pan, cube = write_pair(folder)
    pan.rename(folder / 'pan.tif')
    cube.rename(folder / 'cube.tif')
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    np.save(folder / 'labels.npy', labels)
    (folder / 'bad.ckpt').write_bytes(b'x' * 2000)
    words = {'img_size': 32, 'depth': 1}
    network = timm.create_model(
        'vit_tiny_patch16_224', in_chans=3, num_classes=0, **words
    )
    state = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    hparams = {'model': 'vit_tiny_patch16_224', 'model_kwargs': words, 'in_channels': 3}
    torch.save({'state_dict': state, 'hyper_parameters': hparams}, folder / 'last.ckpt')
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
    assert most('restore superresolve')[0] > plain
    with_pan = most('restore pansharpen')
    assert with_pan[0] > plain
    map_size, probabilities = most('classify')
    assert probabilities > map_size > 24 * 24


@pytest.mark.parametrize(
    'verb', ['restore superresolve', 'restore pansharpen', 'convert', 'export']
)
def test_most_is_enough(verb: str, data: Path, tmp_path: Path) -> None:
    """A tiny file is headers for the most part, and may be no larger than told."""
    text = run(verb, data, tmp_path / 'out', '--dry-run', '--json')[1]
    (plan,) = json.loads(text)['writes']
    code, text, err = run(verb, data, tmp_path / 'out', '--json')
    assert code == 0, err
    assert json.loads(text)['bytes'] <= plan['most_bytes'] < 300_000 + 2**23


@pytest.mark.parametrize('compress', ['deflate', 'zstd', 'lzw', 'none'])
@pytest.mark.parametrize('shape', [(1, 8, 8), (5, 17, 300), (224, 8, 20), (2, 600, 9)])
@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'float32'])
def test_noise_fits(
    compress: str, shape: tuple[int, int, int], dtype: str, tmp_path: Path
) -> None:
    """Noise becomes larger by being compressed, and small rasters fill no block."""
    random = np.random.default_rng(0)
    cube = random.integers(0, 2**8, (*shape, np.dtype(dtype).itemsize), dtype='uint8')
    numbers = cube.view(dtype)[..., 0]
    file = write_cog(tmp_path / 'a.tif', numbers, 'EPSG:32633', compress=compress)
    assert file.stat().st_size <= geotiff_bytes(*shape, dtype, compress)
    if compress == 'zstd':
        most = stored_bytes(file, {'wavelength': np.linspace(0.4, 2.4, shape[0])})
        with open_cube(file) as reader:
            write_stored_scene(reader, tmp_path / 'store')
        assert size_of(tmp_path / 'store') <= most


def test_export_looks_into_the_checkpoint(data: Path, tmp_path: Path) -> None:
    """What the run refuses is refused before anything is said."""
    for words in (['{data}/bad.ckpt'], ['{data}/last.ckpt', '--branch', 'teacher']):
        line = [word.format(data=data) for word in words]
        for more in ([], ['--dry-run']):
            code, text, err = call('export', *line, tmp_path / 'x.pth', *more)
            assert (code, text) == (1, '')
            assert '.ckpt' in err or '--branch' in err
    assert not list(tmp_path.iterdir())


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
    ('restore denoise {data}/cube.tif {tmp}/x.tif --compress best', '--compress'),
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
    ('export {data}/bad.ckpt {tmp}/x.pth', 1, 'bad.ckpt'),
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


#: Modules whose functions do the work of verbs, or find out what there is to do.
WORK = (
    'torchgeo_hsi.io.simulate_enmap',
    'torchgeo_hsi.io.open_cube',
    'torchgeo_hsi.workflows.classify_scene',
    'torchgeo_hsi.workflows.map_gas',
    'torchgeo_hsi.models.backbone_from_checkpoint',
    'torchgeo_hsi.cli.split.read_labels',
    'torchgeo_hsi.cli.leaks.read_split',
    'torchgeo_hsi.cli.probe.make_datamodule',
)

#: Verbs that write, and their options that do.
WRITERS = {
    **VERBS,
    'split --figure': '{data}/labels.npy {tmp}/a.tif --window 3 --figure {out}.png',
    'gas --figure': '{data}/cube.tif {tmp}/a.tif --figure {out}.png',
    'leaks --report': '{data}/labels.npy --window 3 --report {out}.json',
    'probe --report': '--config {data}/map.yaml --report {out}.json',
}


@pytest.mark.parametrize('place', ['file/out', 'locked/out', 'locked/new/out'])
@pytest.mark.parametrize('verb', WRITERS)
def test_places_are_looked_at_before_the_work(
    verb: str, place: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the way, or a folder where nobody may write."""
    (tmp_path / 'file').write_text('')
    (tmp_path / 'locked').mkdir()
    access = os.access
    # an administrator may write everywhere
    monkeypatch.setattr(
        os,
        'access',
        lambda path, mode: 'locked' not in str(path) and access(path, mode),
    )

    def work(*_: Any, **__: Any) -> None:
        raise AssertionError('work was done')

    for name in WORK:
        monkeypatch.setattr(name, work)
    words = WRITERS[verb].format(data=data, out=tmp_path / place, tmp=tmp_path).split()
    code, text, err = call(*verb.partition(' --')[0].split(), *words)
    assert (code, text) == (1, '')
    assert err.startswith('Error: ')
    assert str(tmp_path / place.partition('/')[0]) in err
    assert not list((tmp_path / 'locked').iterdir())


@pytest.mark.parametrize('verb', ['split', 'export', 'gas', 'stats'])
def test_a_folder_in_the_place_of_a_file(verb: str, data: Path, tmp_path: Path) -> None:
    for suffix in ('.tif', '.pth', '.json'):
        (tmp_path / f'out{suffix}').mkdir()
    words = [] if verb == 'stats' else ['--overwrite']
    code, text, err = run(verb, data, tmp_path / 'out', *words)
    assert code in (1, 2)
    assert text == ''
    assert 'folder' in err or 'directory' in err


SAME = [
    ('split {data}/labels.npy {tmp}/a.tif --window 3 --figure {tmp}/a.tif', 'OUT and'),
    ('gas {data}/cube.tif {tmp}/a.tif --figure {tmp}/b/../a.tif', 'OUT and --figure'),
    (
        'classify {data}/cube.tif {data}/labels.npy {tmp}/a.tif --figure '
        + '{tmp}/a_probabilities.tif',
        'the probabilities beside OUT and --figure',
    ),
    (
        'split {data}/labels.npy {tmp}/a.tif --window 3 --report {tmp}/x --figure {tmp}/x',
        '--report and --figure',
    ),
    (
        'split {data}/labels.npy {tmp}/a.tif --window 3 --figure {tmp}/a.foo',
        'a picture with one of the suffixes',
    ),
]


@pytest.mark.parametrize(('line', 'told'), SAME)
def test_outputs_that_cannot_be(
    line: str, told: str, data: Path, tmp_path: Path
) -> None:
    code, text, err = call(*line.format(data=data, tmp=tmp_path).split())
    assert (code, text) == (1, '')
    assert told in err
    assert not list(tmp_path.iterdir())


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
