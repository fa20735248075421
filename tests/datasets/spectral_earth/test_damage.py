# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Damaged files are named, listed and replaced; they stop nothing."""

import csv
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.spectral_earth.data import (
    NODATA,
    TREE,
    damage,
    make_cube,
    write_patch,
    write_tree,
)
from torch.utils.data import DataLoader

from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import pretraining
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIWarning,
    OutputError,
)

SPOTS = list(TREE)
HOW = ('empty', 'truncated', 'garbage', 'bands', 'size', 'gone')
KIND = {'bands': 'unfit', 'size': 'unfit', 'gone': 'unreadable'}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tree(tmp_path)
    return tmp_path


@pytest.fixture
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return write_tree(tmp_path_factory.mktemp('truth'))


def rows(dataset: SpectralEarth) -> list[dict[str, str]]:
    with open(dataset.report, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def which(sample: dict[str, Any], truth: dict[str, np.ndarray]) -> str:
    """Name the file that an image comes from."""
    image = sample['image'].numpy()
    for file, cube in truth.items():
        if np.array_equal(image, np.where(cube == NODATA, 0, cube)):
            return file
    raise AssertionError('the image is in no file')


class TestReading:
    """What happens to a file that cannot be read."""

    @pytest.mark.parametrize('how', HOW)
    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_another_date_takes_its_place(
        self, root: Path, truth: dict[str, np.ndarray], how: str, dtype: Any
    ) -> None:
        dataset = SpectralEarth(root, timestamps='first', dtype=dtype)
        damage(root / 'enmap/0420708/00100.tif', how)
        assert not os.path.exists(dataset.report)
        with pytest.warns(HSIWarning, match=r'0420708/00100\.tif is left out') as seen:
            sample = dataset[3]
        assert len(seen) == 1
        assert which(sample, truth) == '0420708/00200.tif'
        # said once
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert which(dataset[3], truth) == '0420708/00200.tif'
        assert [item.file for item in dataset.damaged] == ['enmap/0420708/00100.tif']
        assert dataset.damaged[0].kind == KIND.get(how, 'damaged')
        (row,) = rows(dataset)
        assert row['file'] == 'enmap/0420708/00100.tif'
        assert row['reason'] == dataset.damaged[0].reason

    def test_the_next_location_takes_the_place_of_the_only_date(
        self, root: Path, truth: dict[str, np.ndarray]
    ) -> None:
        dataset = SpectralEarth(root, timestamps='last')
        damage(root / 'enmap/0420709/00002.tif', 'empty')
        damage(root / 'enmap/0000003/00012.tif', 'truncated')
        with pytest.warns(HSIWarning) as seen:
            # the last location is followed by the first
            sample = dataset[4]
        assert len(seen) == 2
        assert which(sample, truth) == '0000007/00005.tif'

    def test_pairs_and_stacks_shrink(
        self, root: Path, truth: dict[str, np.ndarray]
    ) -> None:
        damage(root / 'enmap/0000007/00001.tif', 'truncated')
        dataset = SpectralEarth(root, timestamps='pair')
        with pytest.warns(HSIWarning):
            samples = [dataset[1] for _ in range(5)]
        sample = samples[-1]
        for image in (sample['image'][:202], sample['image'][202:]):
            assert which({'image': image}, truth) == '0000007/00005.tif'
        damage(root / 'enmap/0420708/00200.tif', 'garbage')
        with pytest.warns(HSIWarning):
            image = SpectralEarth(root, timestamps='all')[3]['image']
        names = [which({'image': date}, truth) for date in image]
        assert names == ['0420708/00100.tif', '0420708/11635.tif']

    def test_patches(self, root: Path, truth: dict[str, np.ndarray]) -> None:
        dataset = SpectralEarth(root, item='patch')
        # files 4 to 6 are those of 0420708
        damage(root / 'enmap/0420708/11635.tif', 'empty')
        with pytest.warns(HSIWarning):
            sample = dataset[6]
        assert which(sample, truth) == '0420708/00100.tif'
        for scene in ('00100', '00200'):
            damage(root / f'enmap/0420708/{scene}.tif', 'empty')
        with pytest.warns(HSIWarning):
            sample = dataset[6]
        assert which(sample, truth) == '0420709/00002.tif'

    def test_parts_do_not_mix(self, root: Path, truth: dict[str, np.ndarray]) -> None:
        damage(root / 'enmap/0000012/11869.tif', 'empty')
        part = SpectralEarth(root, timestamps='first').select([0, 2])
        with pytest.warns(HSIWarning):
            sample = part[1]
        assert which(sample, truth) == '0000003/00012.tif'

    def test_choice_does_not_depend_on_what_is_known(self, root: Path) -> None:
        damage(root / 'enmap/0420708/00100.tif', 'truncated')
        assert len(SpectralEarth(root).check()) == 1
        values = [
            float(SpectralEarth(root, seed=seed, crop_size=3)[3]['image'].sum())
            for seed in range(12)
        ]
        fresh = root.parent / f'{root.name}_fresh'
        write_tree(fresh)
        damage(fresh / 'enmap/0420708/00100.tif', 'truncated')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            dataset = [SpectralEarth(fresh, seed=s, crop_size=3) for s in range(12)]
            assert [float(d[3]['image'].sum()) for d in dataset] == values

    @pytest.mark.parametrize(
        ('how', 'error'),
        [
            ('truncated', CorruptFileError),
            ('bands', BandMismatchError),
            ('gone', FileNotFoundError),
        ],
    )
    def test_strict(self, root: Path, how: str, error: type[Exception]) -> None:
        lenient = SpectralEarth(root)
        damage(root / 'enmap/0420708/00100.tif', how)
        assert len(lenient.check()) == 1
        dataset = SpectralEarth(root, timestamps='first', strict=True)
        for _ in range(2):
            with pytest.raises(error, match=r'0420708/00100\.tif'):
                dataset[3]
        assert dataset[4]['image'].shape[0] == 202

    def test_all_files_are_damaged(self, root: Path) -> None:
        dataset = SpectralEarth(root)
        for path in (root / 'enmap').rglob('*.tif'):
            damage(path, 'empty')
        with pytest.warns(HSIWarning) as seen, pytest.raises(EmptyDataError):
            dataset[0]
        assert len(seen) == 8
        with pytest.raises(EmptyDataError, match='known to be damaged'):
            SpectralEarth(root)

    def test_a_lost_disk_is_not_taken_for_damaged_files(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = SpectralEarth(root)
        monkeypatch.setattr(pretraining, '_MOST_FAILURES', 4)
        (root / 'enmap').rename(root / 'elsewhere')
        with pytest.warns(HSIWarning), pytest.raises(FileNotFoundError):
            dataset[0]
        (root / 'elsewhere').rename(root / 'enmap')
        # what was not reachable is tried again
        assert SpectralEarth(root).damaged == []

    def test_the_first_file_is_damaged(self, root: Path) -> None:
        damage(root / 'enmap/0000003/00012.tif', 'garbage')
        dataset = SpectralEarth(root, timestamps='first')
        with pytest.warns(HSIWarning, match='0000003'):
            assert dataset[0]['image'].shape == (202, 16, 16)

    def test_workers(self, root: Path) -> None:
        for file in ('0420708/00100', '0000012/11869', '0000007/00001'):
            damage(root / f'enmap/{file}.tif', 'truncated')
        dataset = SpectralEarth(root, timestamps='all')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            loader = DataLoader(dataset, batch_size=None, num_workers=2)
            assert len(list(loader)) == 5
        assert dataset.damaged == []
        # but they wrote it down, so the next one knows
        names = sorted(row['file'] for row in rows(dataset))
        assert len(names) >= 3
        again = SpectralEarth(root)
        assert sorted({*names}) == [item.file for item in again.damaged]
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            for i in range(5):
                again[i]

    def test_a_pickled_dataset_still_reports(self, root: Path) -> None:
        damage(root / 'enmap/0420708/00100.tif', 'empty')
        dataset = pickle.loads(pickle.dumps(SpectralEarth(root, timestamps='first')))
        with pytest.warns(HSIWarning):
            dataset[3]
        assert len(rows(dataset)) == 1

    def test_the_report_cannot_be_written(self, root: Path) -> None:
        dataset = SpectralEarth(root, timestamps='first')
        Path(dataset.report).mkdir()
        damage(root / 'enmap/0420708/00100.tif', 'empty')
        with pytest.warns(HSIWarning):
            dataset[3]
        assert len(dataset.damaged) == 1
        with pytest.raises(OutputError, match='manifest='):
            dataset.check()
        assert sorted(os.listdir(Path(dataset.report).parent)) == [
            'manifest.npz',
            'manifest_damaged.csv',
        ]


class TestReport:
    """The list of damaged files."""

    def test_check(self, root: Path) -> None:
        dataset = SpectralEarth(root)
        assert dataset.check() == []
        assert rows(dataset) == []
        files = [
            '0000003/00012',
            '0000007/00001',
            '0000012/11869',
            '0420708/00100',
            '0420708/00200',
            '0420709/00002',
        ]
        for file, how in zip(files, HOW, strict=True):
            damage(root / f'enmap/{file}.tif', how)
        found = dataset.check(num_threads=2)
        assert [item.file for item in found] == [f'enmap/{file}.tif' for file in files]
        assert [item.kind for item in found] == [KIND.get(h, 'damaged') for h in HOW]
        assert all(item.reason for item in found)
        assert [row['file'] for row in rows(dataset)] == [item.file for item in found]
        # nothing is tried in vain afterwards
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            for i in range(5):
                dataset[i]

    def test_full_check_finds_damage_inside(self, tmp_path: Path) -> None:
        write_tree(tmp_path, layout='deflate')
        path = tmp_path / 'enmap/0000012/11869.tif'
        content = bytearray(path.read_bytes())
        content[-2000:-1000] = b'\xff' * 1000
        path.write_bytes(content)
        dataset = SpectralEarth(tmp_path)
        assert dataset.check() == []
        assert [item.file for item in dataset.check(full=True)] == [
            'enmap/0000012/11869.tif'
        ]

    def test_a_repaired_file_is_used_again(self, root: Path) -> None:
        path = root / 'enmap/0420708/00100.tif'
        whole = path.read_bytes()
        damage(path, 'truncated')
        SpectralEarth(root).check()
        assert len(SpectralEarth(root).damaged) == 1
        path.write_bytes(whole)
        assert SpectralEarth(root).damaged == []

    def test_options_do_not_condemn_a_file(self, root: Path) -> None:
        damage(root / 'enmap/0420708/00100.tif', 'size')
        dataset = SpectralEarth(root, timestamps='first')
        assert len(dataset.check()) == 1
        cropped = SpectralEarth(root, timestamps='first', crop_size=16)
        assert cropped.damaged == []
        assert cropped[3]['image'].shape == (202, 16, 16)

    def test_odd_lines_do_no_harm(self, root: Path) -> None:
        dataset = SpectralEarth(root)
        Path(dataset.report).write_text(
            'file,kind\nenmap/9/9.tif,damaged,1,1,gone from the tree\n\n"',
            encoding='utf-8',
        )
        assert SpectralEarth(root).damaged == []

    @pytest.mark.parametrize('noise', [b'\xff\xfe,x\n', b'x' * 200_000 + b'\n'])
    def test_noise_does_no_harm(self, root: Path, noise: bytes) -> None:
        damage(root / 'enmap/0420708/00100.tif', 'truncated')
        dataset = SpectralEarth(root)
        dataset.check()
        report = Path(dataset.report)
        known = report.read_bytes()
        report.write_bytes(known + noise)
        # what is no text costs its line, and what is no table all of them
        found = [] if len(noise) > 99 else ['enmap/0420708/00100.tif']
        assert [item.file for item in SpectralEarth(root).damaged] == found
        dataset.check()
        assert report.read_bytes() == known

    def test_beside_the_manifest(
        self, root: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp('cache') / 'list.npz'
        dataset = SpectralEarth(root, manifest=path, timestamps='first')
        damage(root / 'enmap/0420708/00100.tif', 'empty')
        with pytest.warns(HSIWarning):
            dataset[3]
        assert dataset.report == str(path.with_name('list_damaged.csv'))
        assert len(rows(dataset)) == 1
        assert sorted(item.name for item in root.iterdir()) == ['enmap']

    def test_names_with_commas(self, tmp_path: Path) -> None:
        for scene in ('a, "b"', 'c'):
            write_patch(tmp_path / f'enmap/1/{scene}.tif', make_cube(1))
        damage(tmp_path / 'enmap/1/a, "b".tif', 'empty')
        with pytest.warns(HSIWarning):
            SpectralEarth(tmp_path, timestamps='first')[0]
        assert SpectralEarth(tmp_path).damaged[0].file == 'enmap/1/a, "b".tif'
