# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples of the downstream data sets: labels, places and figures."""

import pickle
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from data.spectral_earth_downstream.data import HOLE, SETS, write_downstream, write_tiff
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from tests.datasets.spectral_earth.downstream.sets import SIZES, dataset_of, read
from torchgeo_hsi.datasets import (
    SpectralEarthBNETD,
    SpectralEarthCDL,
    SpectralEarthCORINE,
    SpectralEarthEuroCrops,
)
from torchgeo_hsi.datasets.spectral_earth.classes import load_classes
from torchgeo_hsi.errors import MetadataError, UnknownNameError


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
