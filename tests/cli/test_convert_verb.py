# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patches and scenes become stores through the real command line."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from data.spectral_earth.data import damage, write_tree
from data.spectral_earth_downstream.data import write_downstream

from torchgeo_hsi.cli import _convert_scene
from torchgeo_hsi.datasets import (
    EnMAPL2A,
    SimulatedEnMAP,
    SpectralEarth,
    SpectralEarthCDL,
    StoredPatches,
)
from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.store import StoreReader
from torchgeo_hsi.main import main


def call(*words: str | Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(['convert', *(str(word) for word in words)])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes')
    for seed in (1, 2):
        SimulatedEnMAP(folder / str(seed), size=48, seed=seed, cloud_cover=0.2)
    return folder


def test_scenes(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / 'stores'
    code, text, err = call(scenes, out, '--workers', '1', '--verify')
    assert code == 0, err
    assert text.startswith(f'2 scenes verified or written: {out} (')
    folders = sorted(path for path in out.iterdir() if path.suffix == '.zarr')
    assert len(folders) == 2
    image = next((scenes / '1').glob('*SPECTRAL_IMAGE.TIF'))
    with open_cube(image) as before, open_cube(folders[0]) as after:
        for one, other in zip(before.read(), after.read(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert before.info.crs == after.info.crs
        assert before.info.bands is not None
        assert after.info.bands is not None
        assert before.info.bands.names == after.info.bands.names
    # run again: nothing to do; one that is damaged is written anew
    state = {path: path.stat().st_mtime_ns for path in out.rglob('*') if path.is_file()}
    code, text, _ = call(scenes, out, '--workers', '1')
    assert code == 0
    assert text.startswith(f'0 scenes written, 2 there already: {out} (')
    assert {p: p.stat().st_mtime_ns for p in out.rglob('*') if p.is_file()} == state
    large = max(folders[1].rglob('*'), key=lambda path: path.stat().st_size)
    content = large.read_bytes()
    large.write_bytes(content[:-100] + bytes(100))
    assert call(scenes, out, '--workers', '1', '--verify')[0] == 0
    assert large.read_bytes() == content


def test_a_scene_that_fails_or_changes(scenes: Path, tmp_path: Path) -> None:
    inputs = tmp_path / 'in'
    shutil.copytree(scenes / '1', inputs / 'good')
    (inputs / 'broken.tif').write_bytes(b'II*\0nothing')
    out = tmp_path / 'out'
    words = ('--workers', '1', '--retries', '0', '--json')
    code, text, err = call(inputs, out, *words)
    assert code == 3
    result = json.loads(text)
    assert (len(result['written']), result['skipped']) == (1, 0)
    assert [failure['name'] for failure in result['failed']] == ['broken']
    assert 'Failed scenes, which were left out: 1' in err
    # mended, and the other one replaced by another scene of the same name
    (inputs / 'broken.tif').unlink()
    image = next((inputs / 'good').glob('*SPECTRAL_IMAGE.TIF'))
    shutil.copy(next((scenes / '2').glob('*SPECTRAL_IMAGE.TIF')), image)
    code, text, _ = call(inputs, out, *words)
    assert code == 0
    (store,) = json.loads(text)['written']
    with open_cube(image) as before, open_cube(store) as after:
        np.testing.assert_array_equal(before.read()[0], after.read()[0])


def test_a_source_that_is_damaged_later(scenes: Path, tmp_path: Path) -> None:
    image = tmp_path / 'in' / 'a.tif'
    image.parent.mkdir()
    shutil.copy(next((scenes / '1').glob('*SPECTRAL_IMAGE.TIF')), image)
    out = tmp_path / 'out'
    words = (image.parent, out, '--workers', '1', '--retries', '0', '--overwrite')
    assert call(*words)[0] == 0
    with open_cube(out / 'a.zarr') as reader:
        before = reader.read()[0]
    image.write_bytes(b'II*\0nothing')
    code, _, err = call(*words)
    assert code == 3
    assert 'a: CorruptFileError' in err
    with open_cube(out / 'a.zarr') as reader:
        np.testing.assert_array_equal(reader.read()[0], before)


def test_a_missing_line_of_a_list(scenes: Path, tmp_path: Path) -> None:
    image = next((scenes / '1').glob('*SPECTRAL_IMAGE.TIF'))
    listed = tmp_path / 'scenes.txt'
    listed.write_text(f'{image}\nnowhere.tif\n')
    code, text, err = call(listed, tmp_path / 'out', '--workers', '1', '--retries', '0')
    assert code == 3
    assert text.startswith('1 scene written')
    assert 'nowhere' in err


@pytest.mark.parametrize('where', ['', 'stores'])
def test_stores_among_their_scenes(scenes: Path, where: str) -> None:
    folder = scenes / '1'
    before = sorted(folder.rglob('*'))
    code, _, err = call(folder, folder / where, '--workers', '1')
    assert code == 1
    assert 'Choose a folder elsewhere' in err
    assert sorted(folder.rglob('*')) == before


def test_full_disk_ends_the_work(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fill(*args: object) -> None:
        calls.append(args)
        raise OutputError('The disk is full: free some space.')

    monkeypatch.setattr(_convert_scene, 'write_stored_scene', fill)
    code, _, err = call(scenes, tmp_path / 'out', '--workers', '0')
    assert (code, len(calls)) == (1, 1)
    assert 'free some space' in err


def test_a_store_into_itself(patches: Path, tmp_path: Path) -> None:
    store = tmp_path / 'store'
    words = ('--dataset', 'SpectralEarthCDL', '--splits', 'train', '--workers', '0')
    assert call(patches, store, *words)[0] == 0
    words = ('--dataset', 'StoredPatches', '--overwrite', '--workers', '0')
    code, _, err = call(store, store, *words)
    assert code == 1
    assert 'where the dataset itself lies' in err
    assert len(StoredPatches(store)) > 0


def test_a_dataset_takes_the_store_of_a_scene(scenes: Path, tmp_path: Path) -> None:
    assert call(scenes / '1', tmp_path / 'out', '--workers', '1')[0] == 0
    before, after = (EnMAPL2A(path) for path in (scenes / '1', tmp_path / 'out'))
    one, other = (dataset[dataset.bounds] for dataset in (before, after))
    np.testing.assert_array_equal(one['image'], other['image'])
    np.testing.assert_array_equal(one['valid'], other['valid'])


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    root = tmp_path / 'data'
    write_downstream(root, 'cdl')
    return root


def test_splits_of_a_dataset(patches: Path, tmp_path: Path) -> None:
    out = tmp_path / 'store'
    words = ('--dataset', 'SpectralEarthCDL', '--splits', 'train,val', '--workers', '1')
    code, text, err = call(patches, out, *words, '--shard-size', '0.5')
    assert code == 0, err
    assert f'12 samples in 3 shards, 3 written now: {out} (' in text
    reader = StoreReader(out)
    assert text.startswith(f'sha256 {reader.checksum}\n')
    for split, count in (('train', 8), ('val', 4)):
        dataset = SpectralEarthCDL(patches, split=split)
        assert len(dataset) == count
        places = [i for i, item in enumerate(reader.items) if item['split'] == split]
        for index, place in enumerate(places):
            sample, stored = dataset[index], reader.read(place)
            np.testing.assert_array_equal(stored['image'], sample['image'])
            np.testing.assert_array_equal(stored['mask'], sample['mask'])
            assert reader.items[place]['name'] == dataset.files[index]
    code, text, _ = call(patches, out, *words, '--shard-size', '0.5', '--json')
    assert code == 0
    assert json.loads(text)['written'] == 0
    code, _, err = call(patches, out, *words, '--dataset.bands', '[0.64]')
    assert code == 1
    assert 'Pass --overwrite to begin anew' in err


def test_plan_of_patches(patches: Path, tmp_path: Path) -> None:
    out = tmp_path / 'store'
    words = ('--dataset', 'SpectralEarthCDL', '--splits', 'train,val', '--workers', '1')
    code, text, err = call(patches, out, *words, '--dry-run')
    assert code == 0, err
    assert 'train: 8 of SpectralEarthCDL' in text
    assert 'val: 4 of SpectralEarthCDL' in text
    code, text, err = call(patches, out, *words, '--dry-run', '--json')
    assert code == 0, err
    plan = json.loads(text)
    assert not out.exists()
    assert call(patches, out, *words)[0] == 0
    size = sum(f.stat().st_size for f in out.rglob('*') if f.is_file())
    (written,) = plan['writes']
    # an upper bound, but no wild one: what is measured here hardly packs
    assert written['path'] == str(out)
    assert size <= written['most_bytes'] < 4 * size


def test_every_file_of_spectral_earth(tmp_path: Path) -> None:
    write_tree(tmp_path / 'data')
    out = tmp_path / 'store'
    words = (tmp_path / 'data', out, '--dataset', 'SpectralEarth', '--workers', '1')
    code, _, err = call(*words)
    assert code == 0, err
    reader = StoreReader(out)
    files = sorted((tmp_path / 'data').rglob('*.tif'))
    assert len(reader) == len(files)
    assert reader.spec.fields['image'].dtype == 'int16'
    assert {item['group'] for item in reader.items} == {f.parent.name for f in files}
    # as stored, with their places
    source = SpectralEarth(tmp_path / 'data', item='patch', georeference=True)
    stored = StoredPatches(out, item='patch')
    assert len(stored) == len(source)
    for index in range(len(source)):
        one, other = source[index], stored[index]
        assert one.keys() == other.keys()
        for key in one:
            torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)


def test_damaged_files_of_spectral_earth_are_named(tmp_path: Path) -> None:
    write_tree(tmp_path / 'data')
    files = sorted((tmp_path / 'data').rglob('*.tif'))
    damage(files[4], 'truncated')
    out = tmp_path / 'store'
    words = (tmp_path / 'data', out, '--dataset', 'SpectralEarth', '--retries', '0')
    code, _, err = call(*words, '--workers', '1')
    assert code == 3
    assert f'{files[4].parent.name}/{files[4].name}' in err
    assert [item is None for item in StoreReader(out).items].count(True) == 1


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        ([], 2, "Missing argument 'OUT'"),
        (['out'], 2, 'Missing INPUT'),
        (['in', 'out', '--splits', 'train'], 2, '--splits belong to patches'),
        (['in', 'out', '--dataset.x', '1'], 2, 'belong to patches'),
        (['/nowhere', 'out'], 1, 'There is nothing at /nowhere'),
        (['d', 'out', '--dataset', 'SpectralErth'], 1, 'Did you mean SpectralEarth'),
        (['d', 'out', '--dataset', 'EnMAPL2A', '--splits', 'a'], 1, 'has no splits'),
        (['in', 'out', '--shard-size', '0'], 2, '--shard-size'),
    ],
)
def test_wrong_use(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, err = call(*words)
    assert found == code
    assert message in ' '.join(err.split())
    assert not (tmp_path / 'out').exists()
