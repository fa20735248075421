# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images, labels and splits of the downstream sets."""

import hashlib
import logging
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from data.spectral_earth_downstream.data import HOLE, SETS, write_downstream, write_tiff
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from torchgeo_hsi import datasets
from torchgeo_hsi.datasets import (
    DESISCDL,
    EO1CDL,
    SpectralEarthBNETD,
    SpectralEarthCDL,
    SpectralEarthCORINE,
    SpectralEarthEuroCrops,
    SpectralEarthNLCD,
)
from torchgeo_hsi.datasets.spectral_earth import downstream, splits
from torchgeo_hsi.datasets.spectral_earth.classes import load_classes
from torchgeo_hsi.datasets.spectral_earth.splits import scene_leakage
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
    UnknownNameError,
)

CLASSES = {
    'enmap_cdl': 'SpectralEarthCDL',
    'enmap_nlcd': 'SpectralEarthNLCD',
    'enmap_corine': 'SpectralEarthCORINE',
    'enmap_eurocrops': 'SpectralEarthEuroCrops',
    'enmap_bdforet': 'SpectralEarthBDForet',
    'enmap_treemap': 'SpectralEarthTreeMap',
    'enmap_bnetd': 'SpectralEarthBNETD',
    'desis_cdl': 'DESISCDL',
    'eo1_cdl': 'EO1CDL',
}
SIZES = (8, 4, 4)


@pytest.fixture(scope='session')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make all data sets once; tests that change files make their own."""
    root = tmp_path_factory.mktemp('downstream') / 'data'
    for name in SETS:
        write_downstream(root, name, sizes=SIZES)
    return root


@pytest.fixture
def cdl(tmp_path: Path) -> Path:
    """Make a data set that a test may change."""
    write_downstream(tmp_path / 'data', 'cdl', sizes=SIZES)
    return tmp_path / 'data'


def dataset_of(name: str) -> Any:
    return getattr(datasets, CLASSES[name])


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        array: np.ndarray = src.read()
        return array


def classes_by_hand(codes: np.ndarray, listed: tuple[int, ...]) -> np.ndarray:
    lookup = {code: i for i, code in enumerate(listed)}
    ignored = len(listed)
    flat = [lookup.get(int(code), ignored) for code in codes.ravel()]
    return np.array(flat).reshape(codes.shape)


@pytest.mark.parametrize('name', [name for name in SETS if name != 'enmap_corine'])
def test_samples(name: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the default root is the folder "data"
    monkeypatch.chdir(tree.parent)
    sensor, product = name.split('_')
    folder = tree / name
    for split, size in zip(('train', 'val', 'test'), SIZES, strict=True):
        dataset = dataset_of(name)(split=split)
        listed = (folder / 'splits' / name / f'{split}.txt').read_text().split()
        assert dataset.files == listed
        assert len(dataset) == size
        for i in (0, size - 1):
            sample = dataset[i]
            raw = read(folder / sensor / listed[i])
            codes = read(folder / product / listed[i])[0]
            hole = (raw == -32768).any(axis=0)
            assert sample['image'].dtype == torch.float32
            assert sample['image'].is_contiguous()
            np.testing.assert_array_equal(sample['image'], np.where(hole, 0, raw))
            np.testing.assert_array_equal(sample['valid'], ~hole)
            expected = classes_by_hand(codes, dataset.codes)
            expected[hole] = dataset.ignore_index
            assert sample['mask'].dtype == torch.int64
            np.testing.assert_array_equal(sample['mask'], expected)
            assert sample['wavelength'].shape == sample['fwhm'].shape == raw.shape[:1]
            assert sample['bounds'].shape == sample['transform'].shape == (9,)


@pytest.mark.parametrize('name', SETS)
def test_attributes(name: str) -> None:
    cls = dataset_of(name)
    assert (cls.sensor, cls.product) == tuple(name.split('_'))
    assert cls.num_bands == {'enmap': 202, 'desis': 235, 'eo1': 198}[cls.sensor]
    assert cls.ignore_index == len(cls.classes) == len(cls.class_colors)
    if name != 'enmap_corine':
        assert len(cls.codes) == len(cls.classes)
    assert list(cls.split_sizes) == ['train', 'val', 'test']


@pytest.mark.parametrize(
    ('name', 'count', 'known'),
    [
        ('enmap_cdl', 202, {0: 0.418416, 43: 0.641294, 144: 1.72807, 201: 2.4453}),
        ('desis_cdl', 235, {0: 0.402, 234: 0.9995}),
        ('eo1_cdl', 198, {0: 0.42682, 49: 0.92541, 50: 0.91245, 197: 2.3955}),
    ],
)
def test_wavelengths(
    tree: Path, name: str, count: int, known: dict[int, float]
) -> None:
    sample = dataset_of(name)(tree)[0]
    wavelength = sample['wavelength']
    assert wavelength.shape == (count,)
    for index, expected in known.items():
        assert wavelength[index].item() == pytest.approx(expected, abs=5e-4)
    assert (sample['fwhm'] > 0.002).all()
    assert (sample['fwhm'] < 0.02).all()
    # Hyperion comes in the order of its detectors
    assert bool((wavelength.diff() > 0).all()) == (name != 'eo1_cdl')


def test_place(tree: Path) -> None:
    dataset = SpectralEarthCDL(tree)
    with rasterio.open(tree / 'enmap_cdl' / 'enmap' / dataset.files[2]) as src:
        bounds, transform = src.bounds, src.transform
    sample = dataset[2]
    expected = [bounds.left, bounds.right, 30, bounds.bottom, bounds.top, 30]
    assert sample['bounds'][:6].tolist() == expected
    assert sample['transform'].tolist() == list(transform)


def test_wavelengths_of_the_files_win(cdl: Path) -> None:
    dataset = SpectralEarthCDL(cdl)
    for number, file in enumerate(dataset.files):
        path = cdl / 'enmap_cdl' / 'enmap' / file
        with rasterio.open(path, 'r+') as dst:
            for i in range(202):
                # made-up centers in nm, another set in each file
                tags = {'wavelength': 500 + 5 * i + number, 'fwhm': 7.5}
                dst.update_tags(i + 1, wavelength_units='Nanometers', **tags)
    sample = SpectralEarthCDL(cdl, bands=[4, 0])[3]
    assert sample['wavelength'].tolist() == pytest.approx([0.523, 0.503])
    assert sample['fwhm'].tolist() == pytest.approx([0.0075, 0.0075])


def test_bands_in_any_order(tree: Path) -> None:
    every = SpectralEarthCDL(tree)
    names = every.bandset.names
    few = SpectralEarthCDL(tree, bands=[names[150], 0.641, 3])
    whole, part = every[1], few[1]
    index = [150, 43, 3]
    assert few.bandset.names == tuple(names[i] for i in index)
    assert torch.equal(part['image'], whole['image'][index])
    assert torch.equal(part['wavelength'], whole['wavelength'][index])
    assert torch.equal(part['fwhm'], whole['fwhm'][index])
    assert torch.equal(part['mask'], whole['mask'])
    with pytest.raises(UnknownNameError, match='band'):
        # B130 is one of those in the water vapour
        SpectralEarthCDL(tree, bands=['B130'])


@pytest.mark.parametrize('dtype', ['float64', 'int64', 'int32'])
@pytest.mark.parametrize('product', ['eurocrops', 'treemap'])
def test_labels_of_other_types(tmp_path: Path, product: str, dtype: str) -> None:
    own, other = tmp_path / 'own', tmp_path / 'other'
    write_downstream(own, product)
    if (product, dtype) == ('eurocrops', 'int32'):
        # numbers that wrapped around, as a careless conversion leaves them
        write_downstream(other, product, dtype='int64')
        for path in (other / 'enmap_eurocrops' / 'eurocrops').rglob('*.tif'):
            write_tiff(path, read(path).astype(np.int32), 0, None)
    else:
        write_downstream(other, product, dtype=dtype)
    cls = dataset_of(f'enmap_{product}')
    first, second = cls(own), cls(other)
    assert all(torch.equal(first[i]['mask'], second[i]['mask']) for i in range(8))
    assert any((first[i]['mask'] < first.ignore_index).any() for i in range(8))


def test_labels_without_enough_digits_are_refused(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'eurocrops', dtype='float32')
    with pytest.raises(MetadataError, match='float32 cannot tell apart'):
        SpectralEarthEuroCrops(tmp_path)[0]


def test_labels_with_holes(cdl: Path) -> None:
    dataset = SpectralEarthCDL(cdl)
    path = cdl / 'enmap_cdl' / 'cdl' / dataset.files[3]
    codes = np.full((16, 16), 210.0)
    codes[0, :4] = np.nan, -1, 1e20, np.inf
    write_tiff(path, codes[None], 3, None)
    mask = dataset[3]['mask']
    assert mask[0].tolist() == [14] * 4 + [13] * 12
    assert (mask[1:] == 13).all()


#: Codes, and a prediction in class indices, of a patch of two by four pixels.
HAND_CODES = [[1, 1, 6, 21], [9, 9, 4, 0]]
HAND_PREDICTION = [[0, 3, 3, 9], [4, 0, 2, 5]]


def test_codes_through_to_the_metric(tmp_path: Path) -> None:
    # BNETD: 1, 6, 9 and 21 are classes 0, 3, 4 and 9; 4 and 0 are none
    write_downstream(tmp_path, 'bnetd', sizes=(1, 1, 1), scenes=3)
    dataset = SpectralEarthBNETD(tmp_path)
    for part, bands in (('enmap', 202), ('bnetd', 1)):
        array = np.ones((bands, 2, 4), np.int16)
        array = np.array([HAND_CODES], np.int16) if part == 'bnetd' else array
        write_tiff(tmp_path / 'enmap_bnetd' / part / dataset.files[0], array, 0, None)
    mask = dataset[0]['mask']
    assert mask.tolist() == [[0, 0, 3, 9], [4, 4, 10, 10]]
    assert dataset.ignore_index == 10
    arguments = {'num_classes': len(dataset.classes), 'ignore_index': 10}
    prediction = torch.tensor(HAND_PREDICTION)
    score = MulticlassJaccardIndex(average='none', **arguments)(prediction, mask)
    # per class: one hit; class 0 has a miss and a false alarm, 3 a false alarm,
    # 4 a miss, 9 neither. The two ignored pixels count for nothing.
    by_hand = {0: 1 / 3, 3: 1 / 2, 4: 1 / 2, 9: 1.0}
    assert score.tolist() == pytest.approx([by_hand.get(k, 0.0) for k in range(10)])
    accuracy = MulticlassAccuracy(average='micro', **arguments)(prediction, mask)
    assert accuracy.item() == pytest.approx(4 / 6)


def corine_by_hand(codes: np.ndarray, num_classes: int) -> list[int]:
    """Follow the two stages pixel by pixel."""
    groups = [
        *((111, 112), (121,), (211, 212, 213), (221, 222, 223, 241), (231,), (242,)),
        *((243,), (244,), (311,), (312,), (313,), (321, 333), (322, 323), (324,)),
        *((331,), (411, 412), (421, 422), (511, 512), (521, 522, 523)),
    ]
    label = [0] * num_classes
    for code in codes.ravel().tolist():
        if num_classes == 43:
            every = load_classes('corine_43').codes
            if code in every:
                label[every.index(code)] = 1
        else:
            for i, group in enumerate(groups):
                label[i] |= code in group
    return label


@pytest.mark.parametrize('num_classes', [19, 43])
def test_corine(tree: Path, num_classes: int) -> None:
    dataset = SpectralEarthCORINE(tree, num_classes=num_classes)
    assert len(dataset.classes) == dataset.ignore_index == num_classes
    for i in range(len(dataset)):
        sample = dataset[i]
        codes = read(tree / 'enmap_corine' / 'corine' / dataset.files[i])[0]
        assert 'mask' not in sample
        assert sample['label'].dtype == torch.int64
        assert sample['label'].tolist() == corine_by_hand(codes, num_classes)
    # the attributes of the class are those of 19 classes whatever was made
    assert SpectralEarthCORINE.ignore_index == 19


def test_corine_mask(tree: Path) -> None:
    dataset = SpectralEarthCORINE(tree, return_mask=True)
    first = '0000001/00001.tif'
    split = next(
        s
        for s in ('train', 'val', 'test')
        if first in SpectralEarthCORINE(tree, s).files
    )
    dataset = SpectralEarthCORINE(tree, split, return_mask=True)
    sample = dataset[dataset.files.index(first)]
    assert (sample['mask'][HOLE] == 19).all()
    shown = set(sample['mask'].unique().tolist()) - {19}
    # a class that only lies in the hole is still in the label
    assert shown <= set(sample['label'].nonzero().flatten().tolist())
    table = load_classes('corine_19')
    codes = read(tree / 'enmap_corine' / 'corine' / first)
    assert sample['label'].tolist() == corine_by_hand(codes, 19)
    outside = np.ones((16, 16), bool)
    outside[HOLE] = False
    np.testing.assert_array_equal(
        sample['mask'].numpy()[outside], table.encode(codes[0])[outside]
    )


def test_corine_refuses_other_numbers(tree: Path) -> None:
    with pytest.raises(ValueError, match='19 or 43, got 44'):
        SpectralEarthCORINE(tree, num_classes=44)


def test_label_efficiency(tree: Path) -> None:
    whole = {s: SpectralEarthCDL(tree, s) for s in ('train', 'val', 'test')}
    part = {s: SpectralEarthCDL(tree, s, fraction=0.5) for s in whole}
    # int(12 * 0.5) = 6 labels, of which int(6 * 0.7) = 4 train
    assert {s: len(d) for s, d in part.items()} == {'train': 4, 'val': 2, 'test': 4}
    assert part['test'].files == whole['test'].files
    assert set(part['train'].files) < set(whole['train'].files)
    with pytest.raises(EmptyDataError, match='leaves no sample'):
        SpectralEarthCDL(tree, fraction=0.01)


@pytest.mark.parametrize('name', SETS)
def test_splits_by_scene(name: str, tmp_path: Path) -> None:
    write_downstream(tmp_path, name, sizes=(20, 5, 5), scenes=12)
    cls = dataset_of(name)
    official = {s: cls(tmp_path, s) for s in ('train', 'val', 'test')}
    parts = {s: cls(tmp_path, s, split_by='scene') for s in official}
    assert scene_leakage(official['train'].files, official['test'].files) > 0
    assert scene_leakage(parts['train'].files, parts['test'].files) == 0
    assert scene_leakage(parts['train'].files, parts['val'].files) == 0
    assert scene_leakage(parts['val'].files, parts['test'].files) == 0
    assert not set(parts['train'].scenes) & set(parts['test'].scenes)
    together = sorted(file for part in parts.values() for file in part.files)
    assert together == sorted(f for part in official.values() for f in part.files)
    assert len(parts['train']) > 15
    # every class that is in three scenes or more is in each split
    for part in parts.values():
        present = set()
        for sample in part:
            got = sample.get('mask', sample.get('label'))
            found = got if 'mask' in sample else got.nonzero()
            present |= set(found.unique().tolist())
        assert set(range(part.ignore_index)) - present == set()
    again = cls(tmp_path, 'test', split_by='scene')
    assert again.files == parts['test'].files


def test_splits_by_scene_need_no_lists(cdl: Path) -> None:
    for path in (cdl / 'enmap_cdl' / 'splits').rglob('*.txt'):
        path.unlink()
    dataset = SpectralEarthCDL(cdl, split_by='scene', fraction=0.5)
    assert 0 < len(dataset) < 8
    # an image without labels, and labels without an image, are in no split
    folder = cdl / 'enmap_cdl'
    gone, lone = sorted((folder / 'cdl').rglob('*.tif'))[:2]
    gone.unlink()
    (folder / 'enmap' / lone.relative_to(folder / 'cdl')).unlink()
    parts = [
        SpectralEarthCDL(cdl, s, split_by='scene') for s in ('train', 'val', 'test')
    ]
    assert sum(map(len, parts)) == 14


def test_classes_are_counted_once(cdl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = SpectralEarthCDL(cdl, split_by='scene').files
    path = cdl / 'enmap_cdl' / 'class_counts_cdl.csv'
    counted = path.read_text()
    dataset = SpectralEarthCDL(cdl)
    rows = dict(line.split(',', 1) for line in counted.splitlines())
    for file in dataset.files:
        codes = read(cdl / 'enmap_cdl' / 'cdl' / file)
        by_hand = [int((codes == code).sum()) for code in dataset.codes]
        assert rows[file] == ','.join(map(str, by_hand))

    def unused(*args: Any) -> None:
        raise AssertionError('the labels were read again')

    with monkeypatch.context() as patch:
        patch.setattr(SpectralEarthCDL, '_read_codes', unused)
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
    for damaged in (
        '',
        'file,1\n',
        counted[:-20],
        counted.replace('0000001', '0000099'),
    ):
        path.write_text(damaged)
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
        assert path.read_text() == counted
    assert not list(path.parent.glob('*.part'))


def test_counts_in_a_folder_that_is_read_only(
    cdl: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(30, 'Read-only file system')

    expected = SpectralEarthCDL(cdl, split_by='scene').files
    path = cdl / 'enmap_cdl' / 'class_counts_cdl.csv'
    path.unlink()
    monkeypatch.setattr(os, 'replace', refuse)
    with caplog.at_level(logging.WARNING):
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
    assert 'Class counts are not kept' in caplog.text
    assert not list(path.parent.glob('class_counts*'))


def test_one_scene_is_too_few(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'cdl', scenes=1)
    with pytest.raises(EmptyDataError, match='at least 3 scenes'):
        SpectralEarthCDL(tmp_path, split_by='scene')


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


def test_transforms(tree: Path) -> None:
    dataset = SpectralEarthCDL(tree, transforms=lambda sample: {'keys': sorted(sample)})
    expected = ['bounds', 'fwhm', 'image', 'mask', 'transform', 'valid', 'wavelength']
    assert dataset[0] == {'keys': expected}


def test_loader_with_workers(tree: Path) -> None:
    dataset = SpectralEarthCDL(tree)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.files == dataset.files
    loader = DataLoader(dataset, batch_size=4, num_workers=1)
    masks = torch.cat([batch['mask'] for batch in loader])
    assert torch.equal(masks, torch.stack([sample['mask'] for sample in dataset]))


@pytest.mark.parametrize('name', SETS)
def test_plot(tree: Path, name: str) -> None:
    dataset = dataset_of(name)(tree)
    sample = dataset[0]
    figure = dataset.plot(sample, suptitle='A patch')
    assert figure.get_suptitle() == 'A patch'
    titles = [ax.get_title() for ax in figure.axes]
    assert ('Mask' in titles) == (name != 'enmap_corine')
    plt.close(figure)


def test_plot_shows_the_classes(tree: Path) -> None:
    dataset = SpectralEarthCDL(tree)
    sample = dataset[0] | {'prediction': dataset[1]['mask']}
    figure = dataset.plot(sample)
    titles = [ax.get_title() for ax in figure.axes]
    axes = figure.axes[titles.index('Mask')]
    picture = axes.get_images()[0].get_array()
    row, column = (sample['mask'] < 14).nonzero()[0].tolist()
    code = int(sample['mask'][row, column])
    color = [int(dataset.class_colors[code][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    np.testing.assert_allclose(picture[row, column], color, atol=1e-3)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert dataset.classes[code] in words
    assert 'Prediction' in titles
    plt.close(figure)


def test_plot_lists_the_labels(tree: Path) -> None:
    dataset = SpectralEarthCORINE(tree)
    sample = dataset[0]
    figure = dataset.plot(sample)
    shown = figure.get_suptitle().replace('\n', ' ').split(' · ')
    present = sample['label'].nonzero().flatten().tolist()
    assert len(shown) == len(present) > 3
    for short, index in zip(shown, present, strict=True):
        assert dataset.classes[index].startswith(short.removesuffix(' …'))
    plt.close(figure)
    sample['label'][:] = 0
    figure = dataset.plot(sample)
    assert figure.get_suptitle() == 'No class'
    plt.close(figure)


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
