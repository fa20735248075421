# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The list of files of a pretraining tree."""

import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from data.spectral_earth.data import (
    TREE,
    make_cube,
    write_large_tree,
    write_patch,
    write_tree,
)

from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import manifest as module
from torchgeo_hsi.datasets.spectral_earth.manifest import (
    Manifest,
    build_manifest,
    default_path,
    find_bases,
    open_manifest,
)
from torchgeo_hsi.errors import HSIWarning

FILES = [f'{spot}/{scene}.tif' for spot, scenes in TREE.items() for scene in scenes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tree(tmp_path)
    return tmp_path


def listed(manifest: Manifest) -> list[str]:
    """Return the files of a manifest without their base."""
    names = [manifest.name(patch) for patch in range(len(manifest.files))]
    return ['/'.join(name.split('/')[-2:]) for name in names]


def forbid_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError('the tree was listed')

    monkeypatch.setattr(module, 'build_manifest', fail)


@pytest.mark.parametrize(
    ('where', 'bases'),
    [
        ('enmap', ('enmap',)),
        ('', ('',)),
        ('parts', ('spectral_earth_part_1/enmap', 'spectral_earth_part_2/enmap')),
        ('bare parts', ('spectral_earth_part_1', 'spectral_earth_part_2')),
    ],
)
def test_every_layout(tmp_path: Path, where: str, bases: tuple[str, ...]) -> None:
    write_tree(tmp_path, where=where, stray=True)
    # downstream sets in the same folder are no parts
    for other in ('enmap_cdl', 'spectral_earth_downstream'):
        write_patch(tmp_path / other / 'enmap/0000001/00001.tif', make_cube(0, bands=1))
    assert find_bases(tmp_path) == bases
    manifest = open_manifest(tmp_path)
    assert listed(manifest) == FILES
    assert [os.fsdecode(name) for name in manifest.locations] == list(TREE)
    counts = [len(manifest.patches(i)) for i in range(len(TREE))]
    assert counts == [len(scenes) for scenes in TREE.values()]
    for patch, file in enumerate(FILES):
        assert Path(manifest.path(patch)).is_file()
        spot = list(TREE).index(file.split('/')[0])
        assert manifest.location_of(patch) == spot
        assert patch in manifest.patches(spot)
        assert manifest.find(manifest.name(patch)) == patch


def test_a_location_in_two_parts_is_one(tmp_path: Path) -> None:
    write_tree(tmp_path, where='parts')
    parts = [tmp_path / f'spectral_earth_part_{i}/enmap' for i in (1, 2)]
    # part 2 has another date of a location of part 1, and one file a second time
    extra = parts[1] / '0000003/00044.tif'
    extra.parent.mkdir()
    shutil.copy(parts[0] / '0000003/00012.tif', extra)
    shutil.copy(extra, parts[1] / '0000003/00012.tif')
    manifest = open_manifest(tmp_path)
    assert len(manifest.locations) == len(TREE)
    assert [manifest.path(patch) for patch in manifest.patches(0)] == [
        str(parts[0] / '0000003/00012.tif'),
        str(extra),
    ]


@pytest.mark.parametrize('name', ['', 'x', 'enmap/0000003/9.tif', 'a/0000099/1.tif'])
def test_unknown_names_are_not_found(root: Path, name: str) -> None:
    assert open_manifest(root).find(name) is None


def test_other_names_and_suffixes(tmp_path: Path) -> None:
    for file in ('12/a_long_name_of_a_scene.TIF', '12/b.tiff', '3/ü.tif'):
        path = tmp_path / 'enmap' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    manifest = open_manifest(tmp_path)
    assert listed(manifest) == ['12/a_long_name_of_a_scene.TIF', '12/b.tiff', '3/ü.tif']


def test_opened_without_listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_manifest(root)
    forbid_listing(monkeypatch)
    second = open_manifest(root)
    assert listed(second) == listed(first) == FILES
    assert second.files.dtype == first.files.dtype


def test_moved_tree_is_not_listed_again(
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_manifest(root)
    target = tmp_path_factory.mktemp('other') / 'tree'
    root.rename(target)
    forbid_listing(monkeypatch)
    manifest = open_manifest(target)
    assert manifest.path(0) == str(target / 'enmap' / FILES[0])
    target.rename(root)


@pytest.mark.parametrize(
    ('where', 'change'),
    [
        (where, change)
        for where in ('enmap', '', 'parts')
        for change in ('added', 'removed', 'part')
        # a folder of locations has no parts
        if (where, change) != ('', 'part')
    ],
)
def test_changes_are_noticed(tmp_path: Path, where: str, change: str) -> None:
    write_tree(tmp_path, where=where)
    before = open_manifest(tmp_path)
    base = tmp_path / before.bases[-1]
    expected = len(TREE)
    if change == 'added':
        write_patch(base / '0999999/00001.tif', make_cube(9))
        expected += 1
    elif change == 'removed':
        shutil.rmtree(base / '0420709')
        expected -= 1
    else:
        write_patch(tmp_path / 'part_9/enmap/0888888/00001.tif', make_cube(9))
        expected += 1
    assert len(open_manifest(tmp_path).locations) == expected


def test_what_is_not_noticed_can_be_listed_again(root: Path) -> None:
    open_manifest(root)
    shutil.copy(root / 'enmap' / FILES[0], root / 'enmap/0000003/00099.tif')
    assert len(open_manifest(root).files) == len(FILES)
    assert len(open_manifest(root, rebuild=True).files) == len(FILES) + 1
    assert len(open_manifest(root).files) == len(FILES) + 1


def test_trusted_without_a_look(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match='rebuild=False'):
        open_manifest(root, rebuild=False)
    open_manifest(root)
    (root / 'enmap').rename(root / 'elsewhere')
    forbid_listing(monkeypatch)
    assert listed(open_manifest(root, rebuild=False)) == FILES


@pytest.mark.parametrize('content', [b'', b'garbage', b'PK\x03\x04 cut'])
def test_a_damaged_manifest_is_written_again(root: Path, content: bytes) -> None:
    open_manifest(root)
    path = default_path(root)
    whole = path.read_bytes()
    path.write_bytes(content or whole[: len(whole) // 2])
    assert listed(open_manifest(root)) == FILES
    assert listed(open_manifest(root, rebuild=False)) == FILES


@pytest.mark.parametrize(
    'change',
    [
        {'header': np.array('[1]')},
        {'header': np.array('null')},
        {'header': np.array('[' * 100_000)},
        {'header': np.array('{"version": 1, "bases": [1]}')},
        {'header': np.array('{"version": 1, "bases": {"enmap": [1]}}')},
        {'header': np.array('{"version": 1, "bases": {"enmap": 1e999}}')},
        {'header': np.array('{"version": 1, "bases": {}}')},
        {'starts': np.array([0, 1])},
        {'starts': np.array(7)},
        {'starts': np.zeros(0, np.int64)},
        {'locations': np.arange(5)},
        {'files': np.array(['a', 'b'])},
        {'base': np.array([-1])},
    ],
)
def test_a_manifest_that_makes_no_sense_is_written_again(
    root: Path, change: dict[str, np.ndarray]
) -> None:
    open_manifest(root)
    path = default_path(root)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | change))
    with pytest.raises(FileNotFoundError, match='it is damaged'):
        open_manifest(root, rebuild=False)
    assert listed(open_manifest(root)) == FILES


def test_a_manifest_of_another_version_is_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_manifest(root)
    monkeypatch.setattr(module, '_VERSION', 2)
    with pytest.raises(FileNotFoundError):
        open_manifest(root, rebuild=False)


def test_kept_elsewhere(
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path_factory.mktemp('cache') / 'new' / 'list.npz'
    open_manifest(root, path)
    assert path.is_file()
    assert not default_path(root).parent.exists()
    forbid_listing(monkeypatch)
    assert listed(open_manifest(root, path)) == FILES


def test_a_folder_that_cannot_be_written_to(root: Path) -> None:
    # a file where the folder should be: fails for every user, also for root
    (root / '.torchgeo_hsi').touch()
    with pytest.warns(HSIWarning, match='manifest='):
        manifest = open_manifest(root)
    assert listed(manifest) == FILES


def test_a_full_disk_leaves_no_half_manifest(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, **arrays: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez_compressed', full)
    with pytest.warns(HSIWarning, match='No space left'):
        manifest = open_manifest(root)
    assert listed(manifest) == FILES
    assert list(default_path(root).parent.iterdir()) == []


def test_folders_that_cannot_be_listed_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if str(path).endswith('0420708'):
            raise PermissionError(13, 'Permission denied')
        return listdir(path)

    monkeypatch.setattr(os, 'listdir', refuse)
    with pytest.warns(HSIWarning, match='1 folders .*0420708'):
        manifest = open_manifest(root)
    assert len(manifest.locations) == len(TREE) - 1


def test_nothing_there(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / 'missing'):
        manifest = open_manifest(root)
        assert len(manifest.files) == len(manifest.locations) == 0
    # no folder of ours in what is not a tree
    assert list(tmp_path.iterdir()) == []
    (tmp_path / 'enmap' / '0000001').mkdir(parents=True)
    assert len(open_manifest(tmp_path).files) == 0


def test_threads_find_the_same(tmp_path: Path) -> None:
    count = write_large_tree(tmp_path, 1500, size=2, sources=2)
    one, many = (build_manifest(tmp_path, ('enmap',), threads) for threads in (1, 16))
    assert len(one.files) == len(many.files) == count
    for name in ('locations', 'files', 'base', 'starts'):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    found = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob('*/0*/*.tif'))
    assert [one.name(i) for i in range(count)] == [path.as_posix() for path in found]


def synthetic(root: Path, locations: int) -> Manifest:
    """Make a manifest as large as that of SpectralEarth, of names alone."""
    rng = np.random.default_rng(0)
    dates = 1 + (rng.random(locations) < 0.3)
    starts = np.append(0, np.cumsum(dates)).astype(np.int64)
    count = int(starts[-1])
    names = np.array([b'%07d' % i for i in range(locations)])
    files = np.array([b'%05d.tif' % i for i in rng.integers(0, 11636, count)])
    base = np.zeros(count, dtype=np.uint16)
    return Manifest(str(root), ('enmap',), names, files, base, starts)


def test_large_trees_open_at_once_and_are_small(tmp_path: Path) -> None:
    manifest = synthetic(tmp_path, 400_000)
    write_patch(Path(manifest.path(0)), make_cube(0, size=4))
    path = default_path(tmp_path)
    path.parent.mkdir()
    fingerprint = module._fingerprint(str(tmp_path), ('enmap',))
    assert module._save(path, manifest, fingerprint) is None
    start = time.process_time()
    dataset = SpectralEarth(tmp_path)
    seconds = time.process_time() - start
    assert seconds < 2
    assert len(dataset) == 400_000
    assert path.stat().st_size < 5e6
    # what each worker gets: names in arrays, not in lists of strings
    assert len(pickle.dumps(dataset)) < 16e6
    arrays = [manifest.locations, manifest.files, manifest.base, manifest.starts]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert sum(array.nbytes for array in arrays) < 16e6
