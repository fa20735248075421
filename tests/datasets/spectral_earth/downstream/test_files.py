# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Downstream data that is missing, damaged, or not what it should be; and downloads."""

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from data.spectral_earth_downstream.data import write_downstream, write_tiff
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError

from tests.datasets.spectral_earth.downstream.sets import SIZES, read
from torchgeo_hsi import datasets
from torchgeo_hsi.datasets import DESISCDL, EO1CDL, SpectralEarthCDL, SpectralEarthNLCD
from torchgeo_hsi.datasets.spectral_earth import downstream, splits
from torchgeo_hsi.errors import BandMismatchError, CorruptFileError, HSIWarning


def test_folders_that_share_the_images(tmp_path: Path) -> None:
    for product in ('cdl', 'nlcd'):
        write_downstream(tmp_path, product, layout='shared')
    write_downstream(tmp_path / 'own', 'nlcd')
    shared, own = SpectralEarthNLCD(tmp_path), SpectralEarthNLCD(tmp_path / 'own')
    assert shared.files == own.files
    assert torch.equal(shared[0]['mask'], own[0]['mask'])
    assert SpectralEarthCDL(tmp_path).folder == tmp_path


@pytest.mark.parametrize('as_string', [True, False])
def test_root_may_be_the_folder_itself(tree: Path, as_string: bool) -> None:
    root = tree / 'enmap_cdl'
    dataset = SpectralEarthCDL(str(root) if as_string else root)
    assert dataset.files == SpectralEarthCDL(tree).files


def test_split_dir(cdl: Path, tmp_path: Path) -> None:
    every = SpectralEarthCDL(cdl).files
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'train.txt').write_text('\n'.join(every[:3]))
    assert SpectralEarthCDL(cdl, split_dir=mine).files == every[:3]
    with pytest.raises(FileNotFoundError, match=r'no val\.txt of enmap_cdl in .*mine'):
        SpectralEarthCDL(cdl, 'val', split_dir=mine)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='download=False') as caught:
        SpectralEarthCDL(tmp_path)
    assert 'geoservice.dlr.de' in caught.value.__notes__[0]
    assert 'enmap_cdl' in caught.value.__notes__[0]


def test_no_splits(cdl: Path) -> None:
    for path in (cdl / 'enmap_cdl' / 'splits').rglob('*.txt'):
        path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        SpectralEarthCDL(cdl)
    for word in ('train.txt', 'enmap_cdl', 'download=True', 'split_dir=', 'scene'):
        assert word in str(caught.value)


@pytest.mark.parametrize('part', ['enmap', 'cdl'])
def test_missing_patches(cdl: Path, part: str) -> None:
    gone = SpectralEarthCDL(cdl).files[2:4]
    for file in gone:
        (cdl / 'enmap_cdl' / part / file).unlink()
    with pytest.raises(
        FileNotFoundError, match='2 of 8 patches of the train'
    ) as caught:
        SpectralEarthCDL(cdl)
    assert gone[0] in str(caught.value)
    assert 'split_dir=' in str(caught.value)
    # the other splits are complete
    assert len(SpectralEarthCDL(cdl, 'test')) == 4


@pytest.mark.parametrize('part', ['enmap', 'cdl'])
@pytest.mark.parametrize('damage', ['cut', 'empty', 'text'])
def test_damaged_files(cdl: Path, part: str, damage: str) -> None:
    dataset = SpectralEarthCDL(cdl)
    path = cdl / 'enmap_cdl' / part / dataset.files[5]
    whole = path.read_bytes()
    damaged = {'cut': whole[: len(whole) // 3], 'empty': b'', 'text': b'<html></html>'}
    path.write_bytes(damaged[damage])
    with pytest.raises(CorruptFileError, match=dataset.files[5]):
        dataset[5]
    assert dataset[4]['image'].shape == (202, 16, 16)


def test_other_number_of_bands(cdl: Path) -> None:
    dataset = SpectralEarthCDL(cdl)
    path = cdl / 'enmap_cdl' / 'enmap' / dataset.files[1]
    write_tiff(path, np.ones((224, 16, 16), np.int16), 0, None)
    with pytest.raises(BandMismatchError, match=r'Expected the 202 bands .* got 224'):
        dataset[1]


def test_labels_of_another_size(cdl: Path) -> None:
    dataset = SpectralEarthCDL(cdl)
    path = cdl / 'enmap_cdl' / 'cdl' / dataset.files[1]
    write_tiff(path, np.ones((1, 15, 16), np.uint8), 0, None)
    with pytest.raises(BandMismatchError, match=r'\(16, 16\) .* got \(15, 16\)'):
        dataset[1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'dev'}, "Expected split to be one of .*'dev'"),
        ({'split_by': 'patch'}, 'Expected split_by'),
        ({'fraction': 0}, 'Expected a fraction'),
        ({'fraction': 1.5}, 'Expected a fraction'),
    ],
)
def test_wrong_options(tree: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpectralEarthCDL(tree, **options)


def test_the_base_is_no_data_set(tree: Path) -> None:
    with pytest.raises(TypeError, match='subclasses'):
        datasets.SpectralEarthDownstream(tree)


def test_index_out_of_range(tree: Path) -> None:
    dataset = SpectralEarthCDL(tree)
    with pytest.raises(IndexError):
        dataset[8]


def test_other_nodata_tag(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'cdl', nodata=1500)
    dataset = SpectralEarthCDL(tmp_path)
    sample = dataset[0]
    raw = read(tmp_path / 'enmap_cdl' / 'enmap' / dataset.files[0])
    np.testing.assert_array_equal(sample['valid'], (raw != 1500).all(axis=0))
    assert (sample['mask'][~sample['valid']] == 14).all()


def test_files_without_place(cdl: Path) -> None:
    dataset = SpectralEarthCDL(cdl)

    def bare(file: str) -> None:
        path = cdl / 'enmap_cdl' / 'enmap' / file
        image = read(path)
        path.unlink()
        with rasterio.open(
            path, 'w', 'GTiff', 16, 16, 202, dtype='int16', interleave='pixel'
        ) as dst:
            dst.write(image)

    bare(dataset.files[1])
    # samples have to have the same keys
    batch = next(iter(DataLoader(dataset, batch_size=8)))
    assert batch['bounds'][1].isnan().all()
    assert not batch['bounds'][0].isnan().any()
    for file in dataset.files:
        bare(file)
    sample = SpectralEarthCDL(cdl)[0]
    assert not {'bounds', 'transform'} & sample.keys()


class TestDownload:
    """What is missing is fetched, and nothing else."""

    def test_images(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def fetch(name: str, root: Path) -> None:
            asked.append((name, root))
            write_downstream(root, name)

        monkeypatch.setattr(downstream, 'download_dlr', fetch)
        dataset = DESISCDL(tmp_path, download=True)
        assert asked == [('desis_cdl', tmp_path)]
        assert len(dataset) == 8
        EO1CDL(tmp_path, download=True)
        DESISCDL(tmp_path, download=True)
        assert [name for name, _ in asked] == ['desis_cdl', 'eo1_cdl']

    def test_an_archive_that_is_there(self, cdl: Path, tmp_path: Path) -> None:
        expected = SpectralEarthCDL(cdl)
        root = tmp_path / 'other'
        root.mkdir()
        with tarfile.open(root / 'enmap_cdl.tar.gz', 'w:gz') as archive:
            archive.add(cdl / 'enmap_cdl', 'enmap_cdl')
        with pytest.warns(HSIWarning, match='no checksum'):
            dataset = SpectralEarthCDL(root, download=True)
        assert dataset.files == expected.files
        assert torch.equal(dataset[2]['mask'], expected[2]['mask'])

    def test_an_archive_without_the_folders(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(downstream, 'download_dlr', lambda name, root: None)
        with pytest.raises(DatasetNotFoundError):
            SpectralEarthCDL(tmp_path, download=True)

    def test_an_interrupted_extraction_goes_on(
        self, cdl: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fetch(name: str, root: Path) -> None:
            write_downstream(root, name, sizes=SIZES)

        monkeypatch.setattr(downstream, 'download_dlr', fetch)
        gone = SpectralEarthCDL(cdl).files[2]
        (cdl / 'enmap_cdl' / 'cdl' / gone).unlink()
        # without an archive there is nothing to go on with
        with pytest.raises(FileNotFoundError, match='1 of 8 patches'):
            SpectralEarthCDL(cdl, download=True)
        (cdl / 'enmap_cdl.tar.gz').touch()
        assert gone in SpectralEarthCDL(cdl, download=True).files

    def test_splits(self, cdl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = SpectralEarthCDL(cdl).files
        published = cdl / 'published'
        (cdl / 'enmap_cdl' / 'splits').rename(published)
        known = {}
        for path in published.rglob('*.txt'):
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            known[f'enmap_cdl/{path.name}'] = (0, sha256)
        monkeypatch.setattr(splits, 'official_files', lambda: known)
        monkeypatch.setattr(splits, 'URL', f'{published.as_uri()}/')
        with pytest.raises(FileNotFoundError, match='download=True'):
            SpectralEarthCDL(cdl)
        assert SpectralEarthCDL(cdl, download=True).files == expected
        assert SpectralEarthCDL(cdl).files == expected

    def test_a_named_folder_is_not_filled(self, cdl: Path) -> None:
        with pytest.raises(FileNotFoundError, match='mine'):
            SpectralEarthCDL(cdl, split_dir=cdl / 'mine', download=True)
        assert not (cdl / 'mine').exists()
