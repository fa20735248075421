# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples of the pretraining set."""

import gc
import itertools
import pickle
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
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, HySpecNet11k

from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import _reader
from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnknownNameError

SPOTS = list(TREE)
#: A location with three dates.
THREE = SPOTS.index('0420708')


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('tree')
    write_tree(root, layout='all', stray=True)
    return root


@pytest.fixture(scope='module')
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return write_tree(tmp_path_factory.mktemp('truth'))


def cubes(truth: dict[str, np.ndarray], location: int) -> list[np.ndarray]:
    """Return the stored numbers of a location, by scene, with 0 for no data."""
    files = [f'{SPOTS[location]}/{scene}.tif' for scene in TREE[SPOTS[location]]]
    return [np.where(truth[file] == NODATA, 0, truth[file]) for file in files]


def hole() -> np.ndarray:
    valid = np.ones((SIZE, SIZE), dtype=bool)
    valid[HOLE] = False
    valid[SPECK[1:]] = False
    return valid


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


def cubes_of(truth: dict[str, np.ndarray], location: int) -> list[np.ndarray]:
    return [truth[f'{SPOTS[location]}/{s}.tif'] for s in TREE[SPOTS[location]]]


class TestDates:
    """Which dates of a location are read."""

    def test_first_and_last(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        for timestamps, position in (('first', 0), ('last', -1)):
            dataset = SpectralEarth(tree, timestamps=timestamps)
            for i in range(len(dataset)):
                assert np.array_equal(dataset[i]['image'], cubes(truth, i)[position])

    def test_all(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        for dtype in ('float32', 'int16'):
            dataset = SpectralEarth(tree, timestamps='all', dtype=dtype)
            for i in range(len(dataset)):
                sample = dataset[i]
                expected = np.stack(cubes(truth, i))
                assert np.array_equal(sample['image'], expected)
                assert sample['valid'].shape == (len(expected), SIZE, SIZE)
                assert sample['wavelength'].shape == (202,)

    def test_random_is_fair(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        torch.manual_seed(0)
        dataset = SpectralEarth(tree, bands=[0])
        dates = [cube[:1] for cube in cubes(truth, THREE)]
        counts = np.zeros(3)
        for _ in range(300):
            image = dataset[THREE]['image'].numpy()
            counts += [np.array_equal(image, date) for date in dates]
        assert counts.sum() == 300
        # five standard deviations of a fair choice
        assert abs(counts - 100).max() < 5 * np.sqrt(300 * 2 / 9)

    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_pairs_are_two_dates(
        self, tree: Path, truth: dict[str, np.ndarray], dtype: Any
    ) -> None:
        torch.manual_seed(0)
        dataset = SpectralEarth(tree, timestamps='pair', dtype=dtype)
        dates = cubes(truth, THREE)
        seen = set()
        for _ in range(60):
            sample = dataset[THREE]
            assert sample['image'].shape == (404, SIZE, SIZE)
            views = sample['image'].numpy().reshape(2, 202, SIZE, SIZE)
            found = [
                [np.array_equal(view, date) for date in dates].index(True)
                for view in views
            ]
            seen.add(tuple(found))
        # every ordered pair, and never one date with itself
        assert seen == set(itertools.permutations(range(3), 2))

    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_one_date_is_read_once_and_seen_twice(
        self,
        tree: Path,
        truth: dict[str, np.ndarray],
        dtype: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dataset = SpectralEarth(tree, timestamps='pair', dtype=dtype)
        read = []
        name = 'read_tiff_float' if dtype == 'float32' else 'read_tiff'
        original = getattr(_reader, name)
        monkeypatch.setattr(
            _reader, name, lambda p, *a: read.append(p) or original(p, *a)
        )
        sample = dataset[0]
        assert read == dataset.files(0)
        expected = np.concatenate(cubes(truth, 0) * 2)
        assert np.array_equal(sample['image'], expected)
        assert np.array_equal(sample['valid'], np.stack([hole()] * 2))
        assert torch.equal(sample['wavelength'][:202], sample['wavelength'][202:])
        read.clear()
        dataset[THREE]
        assert len(read) == len(set(read)) == 2

    def test_patches(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        dataset = SpectralEarth(tree, item='patch')
        assert len(dataset) == len(truth)
        for i, (file, cube) in enumerate(truth.items()):
            assert dataset.files(i)[0].endswith(file)
            expected = np.where(cube == NODATA, 0, cube)
            assert np.array_equal(dataset[i]['image'], expected)

    def test_files(self, tree: Path) -> None:
        dataset = SpectralEarth(tree)
        assert [Path(file).stem for file in dataset.files(THREE)] == TREE['0420708']
        assert dataset.files(-1) == dataset.files(len(dataset) - 1)


class TestCrop:
    """Crops are random, and the same for both dates of a pair."""

    def test_every_place_occurs(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        torch.manual_seed(0)
        size = SIZE - 1
        dataset = SpectralEarth(tree, bands=[0], crop_size=size, timestamps='first')
        cube = cubes(truth, 1)[0]
        seen = set()
        for _ in range(60):
            image = dataset[1]['image'][0].numpy()
            assert image.shape == (size, size)
            seen |= {
                (y, x)
                for y in range(2)
                for x in range(2)
                if np.array_equal(image, cube[0, y : y + size, x : x + size])
            }
        assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}

    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_dates_share_their_place(self, tmp_path: Path, dtype: Any) -> None:
        # both dates are equal, so a common place makes both views equal
        for scene in ('00001', '00002'):
            write_patch(tmp_path / f'enmap/0000001/{scene}.tif', make_cube(4))
        dataset = SpectralEarth(tmp_path, timestamps='pair', crop_size=5, dtype=dtype)
        for _ in range(5):
            image = dataset[0]['image']
            assert image.shape == (404, 5, 5)
            assert torch.equal(image[:202], image[202:])

    def test_whole_patch(self, tree: Path, truth: dict[str, np.ndarray]) -> None:
        dataset = SpectralEarth(tree, crop_size=SIZE, timestamps='first')
        assert np.array_equal(dataset[1]['image'], cubes(truth, 1)[0])

    def test_too_large(self, tree: Path) -> None:
        with pytest.raises(BandMismatchError, match=r'crop_size .* 16 x 16'):
            SpectralEarth(tree, crop_size=SIZE + 1)


def draws(dataset: SpectralEarth, workers: int, epochs: int = 2) -> list[list[float]]:
    """Return the first number of each sample, epoch by epoch."""
    loader = DataLoader(dataset, batch_size=1, num_workers=workers)
    return [[float(b['image'][0, 0, 0, 0]) for b in loader] for _ in range(epochs)]


class TestRandomness:
    """Choices follow torch, and nothing else."""

    def make(self, tree: Path, seed: int | None) -> SpectralEarth:
        return SpectralEarth(tree, bands=[0], crop_size=4, seed=seed)

    def test_torch_seed_repeats_a_run(self, tree: Path) -> None:
        runs = []
        for _ in range(2):
            torch.manual_seed(7)
            runs.append(draws(self.make(tree, None), 2))
        assert runs[0] == runs[1]
        assert runs[0][0] != runs[0][1]
        torch.manual_seed(8)
        assert draws(self.make(tree, None), 2) != runs[0]

    def test_workers_differ(self, tmp_path: Path) -> None:
        write_large_tree(tmp_path, 6, sources=1, multi=0)
        torch.manual_seed(0)
        values = draws(self.make(tmp_path, None), 2, epochs=1)[0]
        # the files are equal, so equal draws in both workers would give three values
        assert len(set(values)) > 3

    def test_other_generators_are_left_alone(self, tree: Path) -> None:
        np.random.seed(0)  # noqa: NPY002
        before = pickle.dumps(np.random.get_state())  # noqa: NPY002
        state = torch.get_rng_state()
        self.make(tree, 3)[THREE]
        assert torch.equal(torch.get_rng_state(), state)
        self.make(tree, None)[THREE]
        assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002

    def test_seed_fixes_each_sample(self, tree: Path) -> None:
        runs = [draws(self.make(tree, 3), workers) for workers in (0, 2)]
        assert runs[0] == runs[1]
        assert runs[0][0] == runs[0][1]
        assert draws(self.make(tree, 4), 0) != runs[0]

    def test_seeds_differ_by_index(self, tmp_path: Path) -> None:
        write_large_tree(tmp_path, 12, sources=1, multi=0)
        assert len(set(draws(self.make(tmp_path, 0), 0, epochs=1)[0])) > 6


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


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['float32', 'int16'])
def test_memory_is_flat(tmp_path: Path, dtype: Any) -> None:
    write_large_tree(tmp_path, 500, size=4)
    dataset = SpectralEarth(tmp_path, timestamps='pair', dtype=dtype, crop_size=3)
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
