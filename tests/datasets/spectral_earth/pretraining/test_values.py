# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patches of SpectralEarth: values, selections, figures and errors."""

import gc
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import psutil
import pytest
import rasterio
import torch
from data.spectral_earth.data import (
    HOLE,
    LAYOUTS,
    NODATA,
    SIZE,
    SPECK,
    TREE,
    make_cube,
    write_large_tree,
    write_patch,
    write_tree,
)
from torchgeo.datasets import DatasetNotFoundError, HySpecNet11k

from tests.datasets.spectral_earth.pretraining.patches import (
    SPOTS,
    THREE,
    cubes,
    cubes_of,
    hole,
)
from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnknownNameError


class TestValues:
    """Numbers are those of the files, as rasterio reads them."""

    @pytest.mark.parametrize('layout', LAYOUTS)
    @pytest.mark.parametrize('nodata', [NODATA, None])
    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_layouts(
        self, tmp_path: Path, layout: str, nodata: int | None, dtype: Any
    ) -> None:
        truth = write_tree(tmp_path, layout=layout, nodata=nodata)
        dataset = SpectralEarth(tmp_path, timestamps='first', dtype=dtype)
        assert len(dataset) == dataset.num_locations == len(TREE)
        for i in range(len(dataset)):
            sample = dataset[i]
            with rasterio.open(dataset.files(i)[0]) as src:
                stored = src.read()
            assert np.array_equal(stored, next(iter(cubes_of(truth, i))))
            expected = np.where(stored == NODATA, 0, stored)
            assert sample['image'].dtype == getattr(torch, dtype)
            assert np.array_equal(sample['image'].numpy(), expected)
            valid = hole() if i == 0 else np.ones((SIZE, SIZE), dtype=bool)
            assert sample['valid'].dtype == torch.bool
            assert np.array_equal(sample['valid'].numpy(), valid)

    def test_another_nodata_value(self, tmp_path: Path) -> None:
        cube = make_cube(3)
        cube[7, 2, 5] = -9999
        write_patch(tmp_path / 'enmap/0000001/00001.tif', cube, nodata=-9999)
        sample = SpectralEarth(tmp_path)[0]
        assert sample['valid'].sum() == SIZE * SIZE - 1
        assert not sample['valid'][2, 5]
        assert sample['image'][7, 2, 5] == 0

    def test_axis_is_that_of_the_kept_bands(self, tree: Path) -> None:
        dataset = SpectralEarth(tree)
        sample = dataset[1]
        # torchgeo lists the same bands, in the order of the detectors
        names = HySpecNet11k.default_bands
        assert set(dataset.bandset.names) == {name.replace('B0', 'B') for name in names}
        assert len(dataset.bandset) == 202
        center, width = sample['wavelength'].numpy(), sample['fwhm'].numpy()
        assert center.dtype == width.dtype == np.float32
        assert (np.diff(center) > 0).all()
        # spectralearth.md: gaps of the two water vapour windows, and the ends
        assert center[0] == pytest.approx(0.4184, abs=1e-4)
        assert center[[125, 126]] == pytest.approx([1.2829, 1.5303], abs=1e-3)
        assert center[[144, 145]] == pytest.approx([1.7281, 1.9771], abs=1e-3)
        assert center[-1] == pytest.approx(2.4453, abs=1e-4)
        assert ((width > 0.004) & (width < 0.02)).all()

    def test_bands_by_name_wavelength_and_position(
        self, tree: Path, truth: dict[str, np.ndarray]
    ) -> None:
        dataset = SpectralEarth(tree, bands=['B224', 0.6413, 0], timestamps='first')
        sample = dataset[2]
        # 641.3 nm is number 43 of the processed bands
        assert np.array_equal(sample['image'], cubes(truth, 2)[0][[201, 43, 0]])
        assert sample['wavelength'] == pytest.approx([2.4453, 0.6413, 0.4184], abs=1e-4)
        assert dataset.bandset.names == ('B224', 'B44', 'B1')

    def test_nodata_counts_in_the_selected_bands_only(self, tree: Path) -> None:
        sample = SpectralEarth(tree, bands=[0, 1])[0]
        assert sample['valid'][SPECK[1:]]
        assert not sample['valid'][HOLE].any()

    def test_wavelengths_of_the_files_win(self, tmp_path: Path) -> None:
        paths = write_tree(tmp_path)
        for path in (tmp_path / 'enmap').rglob('*.tif'):
            with rasterio.open(path, 'r+') as dst:
                for i in range(202):
                    center = f'{400 + 10 * i + len(paths)}'
                    dst.update_tags(
                        i + 1, wavelength=center, wavelength_units='Nanometers'
                    )
        sample = SpectralEarth(tmp_path, bands=[3, 1], timestamps='pair')[THREE]
        expected = [(430 + len(paths)) / 1e3, (410 + len(paths)) / 1e3] * 2
        assert sample['wavelength'] == pytest.approx(expected)
        assert sample['fwhm'].shape == (4,)

    def test_georeference(self, tree: Path) -> None:
        assert 'bounds' not in SpectralEarth(tree)[2]
        dataset = SpectralEarth(tree, timestamps='first', georeference=True)
        sample = dataset[2]
        with rasterio.open(dataset.files(2)[0]) as src:
            assert sample['transform'].tolist() == list(src.transform)
            left, bottom, right, top = src.bounds
        bounds = sample['bounds'].tolist()
        assert bounds[:6] == [left, right, 30, bottom, top, 30]

    def test_transforms(self, tree: Path) -> None:
        dataset = SpectralEarth(tree, transforms=lambda s: {'n': s['image'].sum()})
        assert list(dataset[0]) == ['n']


class TestSelect:
    """Parts of a tree."""

    def test_locations(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        dataset = SpectralEarth(tree, timestamps='first')
        part = dataset.select([3, 1])
        assert len(part) == part.num_locations == 2
        assert [part.files(i) for i in range(2)] == [dataset.files(i) for i in (1, 3)]
        assert np.array_equal(part[1]['image'], cubes(truth, 3)[0])
        assert part.select([1]).files(0) == dataset.files(3)
        assert len(dataset) == len(TREE)

    def test_patches(self, tree: Path) -> None:
        part = SpectralEarth(tree, item='patch').select([1, 4])
        names = [Path(part.files(i)[0]).stem for i in range(len(part))]
        assert names == TREE[SPOTS[1]] + TREE[SPOTS[4]]

    def test_wrong_numbers(self, tree: Path) -> None:
        dataset = SpectralEarth(tree)
        with pytest.raises(IndexError, match='from 0 to 4'):
            dataset.select([5])
        with pytest.raises(IndexError):
            dataset.select([-1])
        with pytest.raises(ValueError, match='at least one'):
            dataset.select([])


def test_memory_is_flat(tmp_path: Path) -> None:
    write_large_tree(tmp_path, 500, size=4)
    # float32 is int16 and one step more
    dataset = SpectralEarth(tmp_path, timestamps='pair', crop_size=3)
    process = psutil.Process()
    used = []
    for number in range(10_000):
        dataset[number % len(dataset)]
        if number % 2_500 == 2_499:
            gc.collect()
            used.append(process.memory_info().rss)
    assert max(used) - used[0] < 2e6
    assert process.num_fds() < 200


class TestBadInput:
    """What a user may get wrong."""

    @pytest.mark.parametrize('name', ['item', 'timestamps', 'dtype'])
    def test_options(self, tree: Path, name: str) -> None:
        with pytest.raises(ValueError, match=f'Expected {name} to be one of'):
            SpectralEarth(tree, **{name: 'some'})

    def test_dates_of_a_patch(self, tree: Path) -> None:
        with pytest.raises(ValueError, match='timestamps='):
            SpectralEarth(tree, item='patch', timestamps='pair')

    def test_crop_size(self, tree: Path) -> None:
        with pytest.raises(ValueError, match='crop_size of 1'):
            SpectralEarth(tree, crop_size=0)

    def test_bands(self, tree: Path) -> None:
        with pytest.raises(UnknownNameError, match='B130'):
            SpectralEarth(tree, bands=['B130'])

    def test_no_tree(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetNotFoundError) as caught:
            SpectralEarth(tmp_path)
        assert 'spectral_earth_part_1' in caught.value.__notes__[0]
        assert 'geoservice.dlr.de' in caught.value.__notes__[0]

    def test_a_tree_of_something_else(self, tmp_path: Path) -> None:
        write_patch(tmp_path / 'enmap/0000001/00001.tif', make_cube(0, bands=224))
        with pytest.raises(BandMismatchError, match=r'202 bands .* got 224'):
            SpectralEarth(tmp_path)

    def test_other_numbers(self, tmp_path: Path) -> None:
        cube = make_cube(0).astype(np.float32)
        cube[3, 0, 0] = np.nan
        write_patch(tmp_path / 'enmap/0000001/00001.tif', cube)
        with pytest.raises(MetadataError, match=r"float32.*dtype='float32'"):
            SpectralEarth(tmp_path, dtype='int16')
        sample = SpectralEarth(tmp_path)[0]
        assert (~sample['valid']).nonzero().tolist() == [[0, 0]]
        assert sample['image'][3, 0, 0] == 0

    @pytest.mark.parametrize('index', [len(TREE), -len(TREE) - 1])
    def test_index(self, tree: Path, index: int) -> None:
        with pytest.raises(IndexError):
            SpectralEarth(tree)[index]
        with pytest.raises(IndexError):
            SpectralEarth(tree).files(index)


class TestPlot:
    """Pictures show each date."""

    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    @pytest.mark.parametrize(('timestamps', 'dates'), [('first', 1), ('all', 3)])
    def test_dates(self, tree: Path, dtype: Any, timestamps: Any, dates: int) -> None:
        dataset = SpectralEarth(tree, timestamps=timestamps, dtype=dtype)
        figure = dataset.plot(dataset[THREE], suptitle='A place')
        assert len(figure.axes) == 2 * dates
        assert figure.get_suptitle() == 'A place'
        plt.close(figure)

    def test_pair_without_data(self, tree: Path) -> None:
        dataset = SpectralEarth(tree, timestamps='pair')
        sample = dataset[0]
        figure = dataset.plot(sample, show_titles=False)
        pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
        gray = np.array([0xB4] * 3) / 255
        for picture in pictures:
            assert np.allclose(picture[~hole()], gray, atol=1e-6)
            assert not np.allclose(picture[hole()], gray, atol=1e-2)
        assert len(pictures) == 2
        assert not any(ax.get_title() for ax in figure.axes)
        plt.close(figure)
