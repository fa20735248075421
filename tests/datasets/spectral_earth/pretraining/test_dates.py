# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Dates, crops and chances of the patches of SpectralEarth."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.spectral_earth.data import (
    NODATA,
    SIZE,
    TREE,
    make_cube,
    write_large_tree,
    write_patch,
)
from torch.utils.data import DataLoader

from tests.datasets.spectral_earth.pretraining.patches import THREE, cubes, hole
from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import _reader
from torchgeo_hsi.errors import BandMismatchError


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
