# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Lists of the authors, and splits that share no scene."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from torchgeo_hsi.datasets.spectral_earth import splits
from torchgeo_hsi.datasets.spectral_earth.splits import (
    download_splits,
    find_split,
    label_efficient,
    official_files,
    read_split,
    scene_leakage,
    scene_of,
    scene_splits,
)
from torchgeo_hsi.errors import CorruptFileError, DownloadError, EmptyDataError

#: Number of samples in the lists of the authors.
SIZES = {
    'enmap_cdl': (1200, 160, 240),
    'enmap_nlcd': (10125, 1350, 2025),
    'enmap_corine': (8250, 1100, 1650),
    'enmap_eurocrops': (1260, 180, 360),
    'enmap_bdforet': (1912, 255, 383),
    'enmap_treemap': (7500, 1000, 1500),
    'enmap_bnetd': (1575, 210, 315),
    'desis_cdl': (750, 100, 150),
    'eo1_cdl': (357, 82, 111),
}
SHARES = {'train': 0.75, 'val': 0.1, 'test': 0.15}


def patches(sizes: list[int]) -> list[str]:
    """Name patches of scenes of these sizes."""
    scenes = [scene for scene, size in enumerate(sizes) for _ in range(size)]
    return [f'{i:07d}/{scene:05d}.tif' for i, scene in enumerate(scenes)]


def test_official_files() -> None:
    known = official_files()
    for name, sizes in SIZES.items():
        for split, size in zip(('train', 'val', 'test'), sizes, strict=True):
            assert known[f'{name}/{split}.txt'][0] == size
    assert known['hyperview/train.csv'][0] == 1385
    assert known['hyperview/val.csv'][0] == 347
    assert len(known) == 3 * len(SIZES) + 2
    assert all(len(sha256) == 64 for _, sha256 in known.values())


def test_leakage() -> None:
    train = ['0000001/00001.tif', '0000002/00002.tif']
    test = ['0000003/00001.tif', '0000004/00002.tif', '0000005/00003.tif']
    assert scene_leakage(train, test) == pytest.approx(2 / 3)
    assert scene_leakage(train, train) == 1
    assert scene_leakage(train, test[2:]) == 0
    assert scene_leakage(['a1'], ['a2', 'b1'], scene=lambda file: file[0]) == 0.5
    with pytest.raises(EmptyDataError, match='at least one test sample'):
        scene_leakage(train, [])


@pytest.mark.parametrize('seed', range(4))
def test_scenes_are_whole_and_shares_are_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    files = patches(rng.integers(1, 30, 60).tolist())
    parts = scene_splits(files, SHARES)
    assert list(parts) == ['train', 'val', 'test']
    assert sorted(file for part in parts.values() for file in part) == sorted(files)
    scenes = [{scene_of(file) for file in part} for part in parts.values()]
    assert sum(len(part) for part in scenes) == len(set.union(*scenes)) == 60
    for split, share in SHARES.items():
        assert len(parts[split]) / len(files) == pytest.approx(share, abs=0.01)
    assert scene_leakage(parts['train'], parts['test']) == 0


def test_the_order_of_the_files_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    files = patches(rng.integers(1, 30, 40).tolist())
    counts = rng.integers(0, 50, (len(files), 5)) * (rng.random((len(files), 5)) < 0.1)
    order = rng.permutation(len(files))
    shuffled = [files[i] for i in order]
    expected = scene_splits(files, SHARES, counts)
    assert scene_splits(shuffled, SHARES, counts[order]) == expected
    assert expected['train'] == sorted(expected['train'])


def test_no_class_is_lost() -> None:
    # class 0 is in three of forty scenes of different sizes, class 1 in all
    rng = np.random.default_rng(1)
    sizes = rng.integers(5, 30, 40).tolist()
    files = patches(sizes)
    rare = {3, 17, 31}
    counts = np.array([[int(scene_of(f)) in rare, 9] for f in files])
    parts = scene_splits(files, SHARES, counts)
    for split, share in SHARES.items():
        found = {int(scene_of(file)) for file in parts[split]}
        assert len(found & rare) == 1
        assert len(parts[split]) / len(files) == pytest.approx(share, abs=0.03)
    # without the counts it is lost, so it was not luck
    alone = scene_splits(files, SHARES)
    assert any(
        not rare & {int(scene_of(file)) for file in alone[split]} for split in SHARES
    )


def test_rare_classes_leave_scenes_for_every_split() -> None:
    files = patches([4, 4, 4])
    counts = np.eye(3, dtype=int).repeat(4, axis=0)
    parts = scene_splits(files, SHARES, counts)
    assert [len(part) for part in parts.values()] == [4, 4, 4]


def test_a_class_in_one_scene_is_for_training() -> None:
    files = patches([5] * 20)
    counts = np.array([[scene_of(f) == '00011'] for f in files])
    parts = scene_splits(files, SHARES, counts)
    assert '00011' in {scene_of(file) for file in parts['train']}


def test_too_few_scenes() -> None:
    with pytest.raises(EmptyDataError, match='at least 3 scenes'):
        scene_splits(patches([4, 4]), SHARES)
    parts = scene_splits(patches([1, 50, 1]), SHARES)
    assert sorted(map(len, parts.values())) == [1, 1, 50]


@pytest.mark.parametrize(
    ('fraction', 'train', 'val'),
    [(0.1, 108, 28), (0.01, 10, 3), (0.49, 532, 134), (0.5, 475, 160), (0.9, 856, 160)],
)
def test_label_efficiency(fraction: float, train: int, val: int) -> None:
    # 1360 labels; the share of training drops from 0.8 to 0.7 at one half
    lists = {
        'train': [f't{i}' for i in range(1200)],
        'val': [f'v{i}' for i in range(160)],
    }
    for split, count in (('train', train), ('val', val)):
        got = label_efficient(split, lists['train'], lists['val'], fraction)
        assert got == random.Random(42).sample(lists[split], count)


def test_label_efficiency_leaves_the_global_seed_alone() -> None:
    state = random.getstate()
    label_efficient('train', ['a', 'b', 'c', 'd'], ['e'], 0.6)
    assert random.getstate() == state


def test_label_efficiency_refuses() -> None:
    with pytest.raises(EmptyDataError, match='leaves no sample'):
        label_efficient('train', ['a', 'b'], ['c'], 0.1)
    for split, fraction in (('test', 0.5), ('train', 0.0), ('train', 1.0)):
        with pytest.raises(ValueError, match='fraction between 0 and 1'):
            label_efficient(split, ['a'], ['b'], fraction)


@pytest.mark.parametrize(
    'text',
    [
        '0000001/00002.tif\n0000003/00002.tif\n',
        '0000001/00002.tif\n0000003/00002.tif',
        '0000001/00002.tif\r\n\r\n0000003/00002.tif\r\n',
        '\ufeff0000001\\00002.tif\n  0000003/00002.tif  \n',
    ],
)
def test_read_split(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'train.txt'
    path.write_bytes(text.encode())
    assert read_split(path) == ['0000001/00002.tif', '0000003/00002.tif']


@pytest.mark.parametrize(
    'line', ['<html>', '../0000001.tif', 'a/b/c.tif', '0000001/00002.txt', '00002.tif']
)
def test_read_split_refuses_other_lines(tmp_path: Path, line: str) -> None:
    path = tmp_path / 'train.txt'
    path.write_text(f'0000001/00002.tif\n{line}\n')
    with pytest.raises(CorruptFileError, match=r'Expected lines such as .*train\.txt'):
        read_split(path)


def test_read_split_refuses_empty_and_double(tmp_path: Path) -> None:
    path = tmp_path / 'train.txt'
    path.write_text('\n')
    with pytest.raises(EmptyDataError, match='lists no patches'):
        read_split(path)
    path.write_text('1/2.tif\n1/2.tif\n')
    with pytest.raises(CorruptFileError, match='more than once'):
        read_split(path)


@pytest.mark.parametrize(
    'place',
    [
        'root/splits/enmap_cdl',
        'root/splits/cdl',
        'root/splits',
        'splits/enmap_cdl',
        'splits/cdl',
    ],
)
def test_find_split(tmp_path: Path, place: str) -> None:
    root = tmp_path / 'root'
    assert find_split(root, 'enmap_cdl', 'val.txt') is None
    path = tmp_path / place / 'val.txt'
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_split(root, 'enmap_cdl', 'val.txt') == path
    assert find_split(root, 'enmap_nlcd', 'train.txt') is None


def test_lists_of_another_sensor_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / 'splits' / 'cdl' / 'val.txt'
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_split(tmp_path, 'enmap_cdl', 'val.txt') == path
    assert find_split(tmp_path, 'desis_cdl', 'val.txt') is None
    assert find_split(tmp_path, 'eo1_cdl', 'val.txt', path.parents[1]) is None


@pytest.mark.parametrize('part', ['', 'enmap_cdl', 'cdl'])
def test_split_dir_comes_first(tmp_path: Path, part: str) -> None:
    usual = tmp_path / 'root' / 'splits' / 'enmap_cdl'
    mine = tmp_path / 'mine' / part
    for folder in (usual, mine):
        folder.mkdir(parents=True)
        (folder / 'val.txt').touch()
    found = find_split(tmp_path / 'root', 'enmap_cdl', 'val.txt', tmp_path / 'mine')
    assert found == mine / 'val.txt'
    # a folder that was named is not replaced by another one in silence
    (mine / 'val.txt').unlink()
    args = (tmp_path / 'root', 'enmap_cdl', 'val.txt', tmp_path / 'mine')
    assert find_split(*args) is None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Publish lists in a folder instead of the authors' repository."""
    folder = tmp_path / 'server'
    known = {}
    for name in ('enmap_cdl', 'enmap_nlcd'):
        for split in ('train', 'val', 'test'):
            path = folder / name / f'{split}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'0000001/{split}.tif\n')
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            known[f'{name}/{split}.txt'] = (1, sha256)
    monkeypatch.setattr(splits, 'URL', f'{folder.as_uri()}/')
    monkeypatch.setattr(splits, 'official_files', lambda: known)
    return folder


def test_download(server: Path, tmp_path: Path) -> None:
    got = download_splits(tmp_path / 'root', 'enmap_cdl')
    folder = tmp_path / 'root' / 'splits' / 'enmap_cdl'
    assert Counter(got) == Counter(folder.iterdir())
    assert read_split(folder / 'val.txt') == ['0000001/val.tif']
    # what is there is not fetched again
    for path in (server / 'enmap_cdl').iterdir():
        path.unlink()
    assert download_splits(tmp_path / 'root', 'enmap_cdl') == got


def test_download_of_another_file_is_refused(server: Path, tmp_path: Path) -> None:
    (server / 'enmap_cdl' / 'val.txt').write_text('0000009/00009.tif\n')
    with pytest.raises(CorruptFileError, match=r'val\.txt has not the checksum'):
        download_splits(tmp_path / 'root', 'enmap_cdl')


def test_no_connection(server: Path, tmp_path: Path) -> None:
    (server / 'enmap_cdl' / 'val.txt').unlink()
    with pytest.raises(DownloadError, match=r'val\.txt cannot be read.*by hand'):
        download_splits(tmp_path / 'root', 'enmap_cdl')


def test_the_commit_is_fixed() -> None:
    assert splits.URL.startswith('https://')
    assert '/5084a29411945bdd0872fad93d98b48f41e1f3eb/' in splits.URL
