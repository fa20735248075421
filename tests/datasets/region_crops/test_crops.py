# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops of the regions that are read, in which order, and their memory."""

import gc
import itertools
import pickle
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples

from tests.datasets.region_crops.numbered import (
    BLOCK,
    HEIGHT,
    LEFT,
    RES,
    TOP,
    WIDTH,
    Reads,
    Sample,
    numbered,
    place,
    places,
    seeded,
    write,
)
from torchgeo_hsi.datasets import HSICube, RegionCrops
from torchgeo_hsi.datasets import region_crops as module


class TestCrops:
    def test_same_as_the_dataset(self, scenes: Path) -> None:
        dataset = RasterDataset(scenes)
        crops = RegionCrops(dataset, 16, generator=seeded())
        truth = torch.from_numpy(numbered()).float()
        for sample in crops:
            row, column = place(sample)
            expected = truth[:, row : row + 16, column : column + 16]
            torch.testing.assert_close(sample['image'], expected, rtol=0, atol=0)
            assert sample['image'].dtype == torch.float32
            assert sample['image'].is_contiguous()
            # memory of its own, not the region
            assert sample['image'].untyped_storage().nbytes() == 4 * 3 * 16**2
            x, y = LEFT + RES * column, TOP - RES * row
            asked = dataset[x : x + 16 * RES, y - 16 * RES : y]
            assert sample.keys() == asked.keys()
            for key, value in asked.items():
                torch.testing.assert_close(sample[key], value, rtol=0, atol=0)

    def test_number_of_crops(self, scenes: Path) -> None:
        dataset = RasterDataset(scenes)
        for share in (1.0, 2.5):
            crops = RegionCrops(dataset, 16, share)
            assert len(crops) == round(share * HEIGHT * WIDTH / 256)
            assert len(places(crops)) == len(crops)
        assert len(places(RegionCrops(dataset, 16, length=37))) == 37

    def test_every_block_is_read_once(self, scenes: Path) -> None:
        crops = RegionCrops(RasterDataset(scenes), 16, region_size=64)
        reads = Reads(crops)
        for _ in range(3):
            reads.regions.clear()
            places(crops)
            seen = np.zeros((HEIGHT, WIDTH), dtype=int)
            for region in reads.regions:
                end = region.row + region.height, region.column + region.width
                seen[region.row : end[0], region.column : end[1]] += 1
                assert region.row % BLOCK == region.column % BLOCK == 0
                for stop, length in zip(end, (HEIGHT, WIDTH), strict=True):
                    assert stop % BLOCK == 0 or stop == length
            assert (seen == 1).all()

    @pytest.mark.parametrize('region_size', [16, 64])
    def test_crops_cross_all_borders(self, scenes: Path, region_size: int) -> None:
        crops = RegionCrops(
            RasterDataset(scenes), 16, 4.0, generator=seeded(), region_size=region_size
        )
        spots = [spot for _ in range(8) for spot in places(crops)]
        for axis, length in enumerate((HEIGHT, WIDTH)):
            for border in range(BLOCK, length - 16, BLOCK):
                assert any(spot[axis] < border < spot[axis] + 16 for spot in spots)

    def test_positions_are_uniform(self, scenes: Path) -> None:
        crops = RegionCrops(RasterDataset(scenes), 4, 3.0, generator=seeded())
        counts = np.zeros((HEIGHT, WIDTH))
        for row, column in (spot for _ in range(2) for spot in places(crops)):
            counts[row : row + 4, column : column + 4] += 1
        coarse = counts[:144].reshape(3, 48, 4, 50).mean(axis=(1, 3))
        np.testing.assert_allclose(coarse, 6, rtol=0.12)

    def test_scenes_smaller_than_a_crop(self, tmp_path: Path) -> None:
        for number in range(5):
            write(tmp_path / f'{number}.tif', numbered(10, 40), LEFT + number * 1e4)
        # every scene touches others in no pixel, so each gives its own crops
        samples = list(RegionCrops(RasterDataset(tmp_path), 16))
        assert len(samples) == round(5 * 40 / 16)
        for sample in samples:
            image = sample['image']
            assert image.shape == (3, 16, 16)
            assert (image[0, :3] == -1).all()
            assert (image[0, 3:13, 0] == torch.arange(10)).all()
            assert (image[0, 13:] == -1).all()

    def test_transforms_see_crops(self, scenes: Path) -> None:
        shapes: set[tuple[int, ...]] = set()

        def transform(sample: Sample) -> Sample:
            shapes.add(tuple(sample['image'].shape))
            return {**sample, 'image': -sample['image']}

        dataset = RasterDataset(scenes, transforms=transform)
        crops = RegionCrops(dataset, 16, length=8)
        assert all((sample['image'] <= 0).all() for sample in crops)
        batches = RegionCrops(dataset, 16, length=8, batch_size=4)
        assert all((batch['image'] <= 0).all() for batch in batches)
        assert shapes == {(3, 16, 16)}
        assert dataset.transforms is transform

    def test_fractions_stay(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).random((3, 64, 64)).astype('float32')
        write(tmp_path / 'a.tif', values, predictor=3, nodata=None)
        for sample in RegionCrops(RasterDataset(tmp_path), 8, length=20):
            assert (sample['image'] % 1 != 0).any()
            assert np.isin(sample['image'].numpy(), values).all()


class TestOrder:
    def test_one_generator_one_order(self, scenes: Path) -> None:
        dataset = RasterDataset(scenes)
        first, second, other = (
            RegionCrops(dataset, 16, generator=seeded(seed)) for seed in (1, 1, 2)
        )
        epochs = [places(first) for _ in range(3)]
        assert [places(second) for _ in range(3)] == epochs
        assert epochs[0] != epochs[1] != epochs[2]
        assert places(other) != epochs[0]
        first.set_epoch(1)
        assert places(first) == epochs[1]

    def test_torch_seed_is_left_alone(self, scenes: Path) -> None:
        torch.manual_seed(3)
        crops = RegionCrops(RasterDataset(scenes), 16, generator=seeded())
        places(crops)
        after = torch.rand(1)
        torch.manual_seed(3)
        assert torch.rand(1) == after

    def test_neighbours_come_from_many_regions(self, scenes: Path) -> None:
        crops = RegionCrops(
            RasterDataset(scenes),
            8,
            4.0,
            region_size=16,
            regions_open=4,
            generator=seeded(),
        )
        reads = Reads(crops)
        spots = places(crops)
        origin = [
            next(
                number
                for number, r in enumerate(reads.regions)
                if r.row <= row < r.row + r.height
                and r.column <= column < r.column + r.width
            )
            for row, column in spots
        ]
        middle = origin[len(origin) // 4 : -len(origin) // 4]
        for start in range(0, len(middle) - 32, 32):
            assert len(set(middle[start : start + 32])) >= 3
        # regions are opened in the order in which they are read, at most 4 at a time
        first = {number: origin.index(number) for number in set(origin)}
        last = {n: len(origin) - 1 - origin[::-1].index(n) for n in set(origin)}
        for spot in range(len(origin)):
            assert sum(first[n] <= spot <= last[n] for n in first) <= 4

    @pytest.mark.parametrize('persistent', [False, True])
    def test_workers_share_regions(self, scenes: Path, persistent: bool) -> None:
        dataset = RasterDataset(scenes)
        crops = RegionCrops(dataset, 16, 2.0, batch_size=5, generator=seeded())
        loader: Any = DataLoader(
            crops, batch_size=None, num_workers=2, persistent_workers=persistent
        )
        epochs = []
        for _ in range(2):
            batches = list(loader)
            assert len(batches) == len(loader)
            epochs.append([place({'image': i}) for b in batches for i in b['image']])
            assert len(epochs[-1]) == len(crops) * 5
        assert epochs[0] != epochs[1]
        again = RegionCrops(dataset, 16, 2.0, batch_size=5, generator=seeded())
        loader = DataLoader(again, batch_size=None, num_workers=2)
        assert epochs == [
            [place({'image': i}) for b in loader for i in b['image']] for _ in range(2)
        ]

    def test_batches_are_stacked_samples(self, scenes: Path) -> None:
        dataset = RasterDataset(scenes)
        single = list(RegionCrops(dataset, 16, length=12, generator=seeded()))
        crops = RegionCrops(dataset, 16, length=14, batch_size=4, generator=seeded())
        assert len(crops) == 3
        for number, batch in enumerate(crops):
            wanted = stack_samples(single[4 * number : 4 * number + 4])
            assert wanted.keys() == batch.keys()
            assert batch['image'].shape == wanted['image'].shape

    def test_copies_start_workers(self, scenes: Path) -> None:
        crops = RegionCrops(HSICube(scenes), 16, generator=seeded())
        copy = pickle.loads(pickle.dumps(crops))
        assert places(copy) == places(crops)

    def test_stopping_early_ends_the_thread(self, scenes: Path) -> None:
        crops = RegionCrops(RasterDataset(scenes), 16, region_size=32)
        for _ in range(5):
            next(iter(crops))
        gc.collect()
        assert not [t for t in threading.enumerate() if t.name.startswith('region')]


class TestMemory:
    def test_regions_are_bounded(
        self, scenes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        most = 0
        opens: Callable[..., Any] = module.open_region

        def count(*args: Any) -> Any:
            nonlocal most
            opened = opens(*args)
            alive.add(opened)
            most = max(most, len(alive))
            return opened

        monkeypatch.setattr(module, 'open_region', count)
        crops = RegionCrops(
            RasterDataset(scenes), 16, 2.0, region_size=32, regions_open=3
        )
        for _ in crops:
            pass
        # three that are drawn from, one that is being read, and the last one read
        assert 3 <= most <= 5

    def test_small_scenes_are_opened_by_the_dozen(self, tmp_path: Path) -> None:
        for number in range(24):
            write(tmp_path / f'{number}.tif', numbered(32, 32), LEFT + number * 960)
        crops = RegionCrops(RasterDataset(tmp_path), 16, 4.0, generator=seeded())
        order = [float(sample['transform'][2]) for sample in crops]
        half = order[len(order) // 4 : len(order) // 2]
        assert len(set(half)) >= 8


def test_tensors_of_all_kinds(scenes: Path) -> None:
    class Pan(RasterDataset):
        def __getitem__(self, index: Any) -> Sample:
            sample: Sample = super().__getitem__(index)
            fine: Tensor = sample['image'][:1]
            sample['pan'] = fine.repeat_interleave(2, 1).repeat_interleave(2, 2)
            sample['wavelength'] = torch.tensor([0.5, 0.6, 0.7])
            sample['name'] = 'a'
            return sample

    crops = RegionCrops(Pan(scenes), 16, batch_size=2)
    for batch in itertools.islice(crops, 4):
        assert batch['pan'].shape == (2, 1, 32, 32)
        assert torch.equal(batch['pan'][:, 0, ::2, ::2], batch['image'][:, 0])
        assert batch['wavelength'].shape == (2, 3)
        assert batch['name'] == ['a', 'a']
