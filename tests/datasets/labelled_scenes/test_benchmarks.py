# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The standard benchmarks: files, classes, bands and official splits."""

import hashlib
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.labelled_scenes.data import FILES, SIZE, small, write_benchmark
from scipy.io import savemat
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datasets import labelled_scenes
from torchgeo_hsi.datasets.labelled_scenes import (
    Botswana,
    Houston2013,
    IndianPines,
    PaviaUniversity,
    Salinas,
    WHUHiHongHu,
    WHUHiLongKou,
    load_scene_classes,
)
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
)

NAMES = sorted(FILES)

#: Published number of labelled pixels.
TOTALS = {
    'indian_pines': 10249,
    'salinas': 54129,
    'pavia_university': 42776,
    'ksc': 5211,
    'botswana': 3248,
    'houston_2013': 15029,
    'whu_hi_longkou': 204542,
    'whu_hi_hanchuan': 257530,
    'whu_hi_honghu': 386693,
}


def scene_class(name: str) -> Any:
    return getattr(labelled_scenes, name)


@pytest.mark.parametrize('name', NAMES)
def test_scene(tmp_path: Path, name: str) -> None:
    image, codes = write_benchmark(tmp_path / 'sub', name)
    true = scene_class(name)
    # from the folder above
    scene = small(true)(tmp_path).scene()
    assert scene.image.dtype == np.int16
    assert (scene.image == image.transpose(2, 0, 1)).all()
    assert (scene.labels == codes.astype(int) - 1).all()
    assert scene.num_classes == FILES[name][1] == len(set(scene.class_names))
    assert len(set(scene.class_colors)) == scene.num_classes
    assert scene.name == true.title
    assert true.shape[0] == FILES[name][0]
    assert (scene.bands is None) == (true.spectral_source == 'none')


@pytest.mark.parametrize(('table', 'total'), TOTALS.items())
def test_pixels_are_the_published_ones(table: str, total: int) -> None:
    classes = load_scene_classes(table)
    assert sum(classes.pixels) == total
    assert classes.codes == tuple(range(1, len(classes) + 1))
    assert classes.source


def test_houston_pixels_of_the_contest() -> None:
    classes = load_scene_classes('houston_2013')
    train, test = classes.official['train'], classes.official['test']
    assert (sum(train), sum(test)) == (2832, 12197)
    both = [a + b for a, b in zip(train, test, strict=True)]
    assert both == list(classes.pixels)


def test_honghu_has_its_true_classes() -> None:
    names = WHUHiHongHu.table
    assert load_scene_classes(names).names[-1] == 'Tree'
    assert not any(name.endswith('2') for name in load_scene_classes(names).names)


def test_sample(tmp_path: Path) -> None:
    image, codes = write_benchmark(tmp_path, 'Salinas')
    image[2, 3] = 0
    savemat(tmp_path / 'Salinas_corrected.mat', {'salinas_corrected': image})
    dataset = small(Salinas)(tmp_path)
    sample = dataset[0]
    assert len(dataset) == 1
    assert sample['image'].dtype == torch.float32
    assert sample['image'].shape == (204, *SIZE)
    assert not sample['valid'][2, 3]
    assert sample['valid'].sum() == SIZE[0] * SIZE[1] - 1
    expected = np.where(codes == 0, 255, codes.astype(int) - 1)
    expected[2, 3] = 255
    assert (sample['mask'].numpy() == expected).all()
    assert sample['wavelength'].shape == sample['fwhm'].shape == (204,)
    # samples do not share memory
    sample['image'].zero_()
    assert dataset[0]['image'].any()
    with pytest.raises(IndexError, match='one sample'):
        dataset[1]
    figure = dataset.plot(dataset[0], suptitle='Salinas')
    plt.close(figure)


def test_transforms_and_plot_without_wavelengths(tmp_path: Path) -> None:
    write_benchmark(tmp_path, 'PaviaUniversity')
    dataset = small(PaviaUniversity)(tmp_path, transforms=lambda s: {**s, 'more': 1})
    assert dataset[0]['more'] == 1
    assert 'wavelength' not in dataset[0]
    plt.close(dataset.plot(dataset[0]))


def test_bands_of_botswana() -> None:
    bands = Botswana.bandset(Botswana.__new__(Botswana))
    assert len(bands) == 145
    # channels 10-55, 82-97, 102-119, 134-164 and 187-220 of Hyperion
    numbers = [int(name[1:]) for name in bands.names]
    parts = np.split(np.array(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)
    assert [(part[0], part[-1]) for part in parts] == [
        (10, 55),
        (82, 97),
        (102, 119),
        (134, 164),
        (187, 220),
    ]


def test_bands_of_aviris_leave_out_water_vapour() -> None:
    pines = IndianPines.bandset(IndianPines.__new__(IndianPines))
    salinas = Salinas.bandset(Salinas.__new__(Salinas))
    assert (len(pines), len(salinas)) == (200, 204)
    for bands in (pines, salinas):
        inside = (bands.wavelength > 1.362) & (bands.wavelength < 1.395)
        assert not inside.any()
        inside = (bands.wavelength > 1.83) & (bands.wavelength < 1.92)
        assert not inside.any()
    # the table of 1992: its detectors overlap
    assert pines.wavelength[0] == pytest.approx(0.40002)
    assert pines.fwhm is not None
    assert pines.fwhm[0] == pytest.approx(0.00978)
    assert not pines.is_sorted


def test_houston_official_split(tmp_path: Path) -> None:
    _, codes = write_benchmark(tmp_path, 'Houston2013')
    scene = small(Houston2013)(tmp_path).scene()
    assert list(scene.official) == ['train', 'test']
    train, test = scene.official['train'], scene.official['test']
    assert not (train & test).any()
    assert ((train | test) == (codes > 0)).all()
    # without the map of all labels
    (tmp_path / 'gt.mat').unlink()
    again = small(Houston2013)(tmp_path).scene()
    assert (again.labels == scene.labels).all()
    # and without a test
    (tmp_path / 'TSLabel.mat').unlink()
    with pytest.raises(DatasetNotFoundError, match='TSLabel'):
        small(Houston2013)(tmp_path)


def write_regions(path: Path, codes: np.ndarray, classes: int) -> None:
    lines = ['; ENVI Output of ROIs (4.8) [Tue Oct 31 19:11:26 2023]']
    lines += [f'; Number of ROIs: {classes}']
    lines += [f'; File Dimension: {codes.shape[1]} x {codes.shape[0]}', ';']
    points = [np.argwhere(codes == k + 1) for k in range(classes)]
    for k, part in enumerate(points):
        lines += [f'; ROI name: region {k}', '; ROI rgb value: {0, 205, 0}']
        lines += [f'; ROI npts: {len(part)}', ';']
    lines.append(';    ID     X    Y')
    for part in points:
        lines += [
            f'{i + 1:7d} {column + 1:5d} {row + 1:4d}'
            for i, (row, column) in enumerate(part)
        ]
        lines.append('')
    path.write_text('\n'.join(lines), encoding='utf-8')


def test_houston_regions_count_from_1(tmp_path: Path) -> None:
    _, codes = write_benchmark(tmp_path, 'Houston2013', official=False)
    (tmp_path / 'gt.mat').unlink()
    left = np.arange(SIZE[1]) < 10
    contest = '2013_IEEE_GRSS_DF_Contest_Samples'
    write_regions(tmp_path / f'{contest}_TR.txt', np.where(left, codes, 0), 15)
    write_regions(tmp_path / f'{contest}_VA.txt', np.where(left, 0, codes), 15)
    scene = small(Houston2013)(tmp_path).scene()
    assert (scene.labels == codes.astype(int) - 1).all()
    assert (scene.official['train'] == (left & (codes > 0))).all()
    text = (tmp_path / f'{contest}_VA.txt').read_text()
    (tmp_path / f'{contest}_VA.txt').write_text(text[: len(text) // 2])
    with pytest.raises(CorruptFileError, match='truncated'):
        small(Houston2013)(tmp_path).scene()
    (tmp_path / f'{contest}_VA.txt').write_text(text.replace('20 x 24', '1905 x 349'))
    with pytest.raises(BandMismatchError, match='349'):
        small(Houston2013)(tmp_path).scene()


def test_whu_hi_masks(tmp_path: Path) -> None:
    _, codes = write_benchmark(tmp_path, 'WHUHiHongHu')
    scene = small(WHUHiHongHu)(tmp_path).scene()
    assert list(scene.official) == ['train', 'test']
    assert (
        scene.official['train'].sum() + scene.official['test'].sum()
        == (codes > 0).sum()
    )
    with pytest.raises(DatasetNotFoundError, match='Train25'):
        small(WHUHiHongHu)(tmp_path, official=25)
    (tmp_path / 'Test100.mat').unlink()
    with pytest.raises(MetadataError, match='together'):
        small(WHUHiHongHu)(tmp_path)
    (tmp_path / 'Train100.mat').unlink()
    assert not small(WHUHiHongHu)(tmp_path).scene().official


def test_official_masks_may_not_contradict(tmp_path: Path) -> None:
    _, codes = write_benchmark(tmp_path, 'WHUHiHongHu')
    savemat(tmp_path / 'Train100.mat', {'HHCYtrain100': codes})
    with pytest.raises(BandMismatchError, match='in common'):
        small(WHUHiHongHu)(tmp_path).scene()
    other = np.where(codes > 1, codes - 1, 0)
    savemat(tmp_path / 'Train100.mat', {'HHCYtrain100': other})
    savemat(tmp_path / 'Test100.mat', {'HHCYtest100': np.zeros_like(codes)})
    with pytest.raises(BandMismatchError, match='another class'):
        small(WHUHiHongHu)(tmp_path).scene()


def test_whu_hi_as_envi_has_its_own_wavelengths(tmp_path: Path) -> None:
    image, codes = write_benchmark(tmp_path, 'WHUHiLongKou')
    for file in tmp_path.glob('*.mat'):
        file.unlink()
    listed = [f'{center:.3f}' for center in np.linspace(398.4, 1001.7, 270)]
    for name, cube, more in (
        (
            'WHU-Hi-LongKou',
            image.transpose(2, 0, 1),
            f'wavelength units = nm\nwavelength = {{{", ".join(listed)}}}\n',
        ),
        ('WHU-Hi-LongKou_gt', codes[None].astype(np.int16), ''),
    ):
        np.ascontiguousarray(cube).tofile(tmp_path / f'{name}.bsq')
        (tmp_path / f'{name}.hdr').write_text(
            f'ENVI\nsamples = {SIZE[1]}\nlines = {SIZE[0]}\nbands = {len(cube)}\n'
            f'data type = 2\ninterleave = bsq\nbyte order = 0\n{more}'
        )
    scene = small(WHUHiLongKou)(tmp_path).scene()
    assert (scene.image == image.transpose(2, 0, 1)).all()
    assert (scene.labels == codes.astype(int) - 1).all()
    assert scene.bands is not None
    assert scene.bands.wavelength[0] == pytest.approx(0.3984)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'ehu\.eus'):
        Salinas(tmp_path)
    write_benchmark(tmp_path, 'Salinas')
    (tmp_path / 'Salinas_gt.mat').unlink()
    # ours, too
    with pytest.raises(EmptyDataError, match='Salinas_gt'):
        Salinas(tmp_path)


def test_wrong_files(tmp_path: Path) -> None:
    image, codes = write_benchmark(tmp_path, 'Salinas')
    with pytest.raises(BandMismatchError, match='512 rows'):
        Salinas(tmp_path).scene()
    savemat(tmp_path / 'Salinas_corrected.mat', {'salinas': image[..., :-1]})
    with pytest.raises(MetadataError, match='salinas_corrected'):
        small(Salinas)(tmp_path).scene()
    # another name of the array does no harm
    savemat(tmp_path / 'Salinas_corrected.mat', {'X': image})
    savemat(tmp_path / 'Salinas_gt.mat', {'y': codes})
    assert small(Salinas)(tmp_path).scene().shape == (204, *SIZE)
    savemat(tmp_path / 'Salinas_gt.mat', {'y': codes + 1})
    with pytest.raises(BandMismatchError, match=r'\[17\]'):
        small(Salinas)(tmp_path).scene()
    savemat(tmp_path / 'Salinas_gt.mat', {'salinas_gt': codes[:-1]})
    with pytest.raises(BandMismatchError, match='another scene'):
        small(Salinas)(tmp_path).scene()
    write_benchmark(tmp_path / 'copy', 'Salinas')
    with pytest.raises(MetadataError, match='root='):
        small(Salinas)(tmp_path)


def test_other_counts_are_told(tmp_path: Path) -> None:
    write_benchmark(tmp_path, 'Salinas')
    checked: Any = small(Salinas)
    checked.check_pixels = True
    with pytest.warns(HSIWarning, match='54129'):
        checked(tmp_path).scene()


def test_hash(tmp_path: Path) -> None:
    write_benchmark(tmp_path, 'Salinas')
    with pytest.raises(CorruptFileError, match='SHA-256'):
        small(Salinas)(tmp_path, checksum=True)
    checked: Any = small(Salinas)
    checked.sha256 = {
        file.name.lower(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in tmp_path.glob('*.mat')
    }
    assert checked(tmp_path, checksum=True).scene().shape == (204, *SIZE)
