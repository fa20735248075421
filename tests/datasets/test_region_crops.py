# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops from regions, against the numbers that were written."""

import gc
import itertools
import pickle
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples

from torchgeo_hsi.datasets import HSICube, LabelRaster, RegionCrops
from torchgeo_hsi.datasets import region_crops as module
from torchgeo_hsi.datasets._region_grid import Region
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError, MetadataError

HEIGHT, WIDTH, BLOCK = 150, 200, 32
LEFT, TOP, RES = 400020.0, 5000010.0, 30.0

type Sample = dict[str, Any]


def write(path: Path, values: np.ndarray, left: float = LEFT, **options: Any) -> Path:
    bands, height, width = values.shape
    profile = {
        'driver': 'GTiff',
        'count': bands,
        'height': height,
        'width': width,
        'dtype': values.dtype,
        'crs': 'EPSG:32633',
        'transform': Affine(RES, 0, left, 0, -RES, TOP),
        'tiled': True,
        'blockxsize': BLOCK,
        'blockysize': BLOCK,
        'interleave': 'band',
        'compress': 'deflate',
        'predictor': 2,
        'nodata': -1,
    }
    with rasterio.open(path, 'w', **{**profile, **options}) as dst:
        dst.write(values)
    return path


def numbered(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a cube of which the first two bands say where a pixel lies."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows * 7 % 99]).astype('int16')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes')
    write(root / 'a.tif', numbered())
    return root


def places(crops: RegionCrops) -> list[tuple[int, int]]:
    """Draw an epoch; return the row and column of each crop."""
    return [place(sample) for sample in crops]


def place(sample: Sample) -> tuple[int, int]:
    return int(sample['image'][0, 0, 0]), int(sample['image'][1, 0, 0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Reads:
    """Remembers what a source reads."""

    def __init__(self, crops: RegionCrops) -> None:
        self.regions: list[Region] = []
        self._read = crops._source.read
        crops._source.read = self  # type: ignore[method-assign]

    def __call__(self, region: Region) -> Sample:
        self.regions.append(region)
        return self._read(region)


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


class TestPlaces:
    def test_region_of_interest(self, scenes: Path) -> None:
        triangle = shapely.Polygon(
            [
                (LEFT + RES * x, TOP - RES * y)
                for x, y in ((10, 10), (190, 10), (10, 140))
            ]
        )
        crops = RegionCrops(RasterDataset(scenes), 8, roi=triangle, region_size=32)
        assert len(crops) == pytest.approx(180 * 130 / 2 / 64, abs=1)
        reads = Reads(crops)
        spots = [spot for _ in range(3) for spot in places(crops)]
        assert len(spots) == 3 * len(crops)
        inner = triangle.buffer(RES)
        for row, column in spots:
            x, y = LEFT + RES * column, TOP - RES * row
            assert inner.contains(shapely.box(x, y - 8 * RES, x + 8 * RES, y))
        # regions outside are never read
        assert all(r.row + r.column < 230 for r in reads.regions)
        assert max(row + column for row, column in spots) > 90

    def test_box_of_interest(self, scenes: Path) -> None:
        box = shapely.box(LEFT + 21 * RES, TOP - 90 * RES, LEFT + 70 * RES, TOP)
        crops = RegionCrops(
            RasterDataset(scenes), 16, 40.0, roi=box, generator=seeded()
        )
        spots = places(crops)
        rows, columns = np.transpose(spots)
        assert rows.min() == 0
        assert rows.max() == 74
        assert columns.min() == 21
        assert columns.max() == 54

    @pytest.mark.parametrize('is_box', [True, False])
    def test_sliver_of_a_second_scene(self, tmp_path: Path, is_box: bool) -> None:
        write(tmp_path / 'a.tif', numbered())
        write(tmp_path / 'b.tif', numbered(), left=LEFT + WIDTH * RES)
        # five pixels of the second scene, which is less than a crop
        roi = shapely.box(LEFT, TOP - HEIGHT * RES, LEFT + (WIDTH + 5) * RES, TOP)
        if not is_box:
            roi -= shapely.Polygon(
                [(LEFT + WIDTH * RES, TOP), (LEFT + 1e6, TOP), (LEFT + 1e6, TOP - 1e6)]
            )
        crops = RegionCrops(RasterDataset(tmp_path), 16, 3.0, roi=roi)
        for sample in crops:
            west, east, _, south, north, _, *_ = sample['bounds'].tolist()
            outside = shapely.box(west, south, east, north) - roi.buffer(RES)
            assert outside.area == 0

    @pytest.mark.parametrize('size', [(32, 32), 32.0, 'a'])
    def test_sizes_that_are_no_numbers(self, scenes: Path, size: Any) -> None:
        with pytest.raises(TypeError, match='whole number as size'):
            RegionCrops(RasterDataset(scenes), size)

    def test_region_of_less_than_a_crop(self, scenes: Path) -> None:
        strip = shapely.box(LEFT, TOP - 90 * RES, LEFT + 12 * RES, TOP)
        with pytest.raises(EmptyDataError, match='16 x 16 pixels that lies'):
            RegionCrops(RasterDataset(scenes), 16, roi=strip)

    def test_small_scene_in_a_region(self, tmp_path: Path) -> None:
        write(tmp_path / 'a.tif', numbered(12, 100))
        scene = RasterDataset(tmp_path)
        half = shapely.Polygon(
            [(LEFT, TOP + 1), (LEFT + 60 * RES, TOP + 1), (LEFT + 40 * RES, TOP - 900)]
        ) | shapely.box(LEFT - 1, TOP - 999, LEFT + 40 * RES, TOP + 1)
        spots = [
            sample['bounds'].tolist()
            for sample in RegionCrops(scene, 16, 4.0, roi=half)
        ]
        assert len(spots) > 5
        # it is high enough for no crop, but the region may not be left to the side
        assert max(east for _, east, *_ in spots) <= LEFT + 60 * RES

    @pytest.mark.filterwarnings('ignore::torchgeo_hsi.errors.NodataWarning')
    def test_least_share_of_valid_pixels(self, tmp_path: Path) -> None:
        values = numbered()
        values[:, :, :120] = -1
        values[:, 40:60, 130:150] = -1
        write(tmp_path / 'a.tif', values)
        crops = RegionCrops(
            HSICube(tmp_path), 16, 6.0, min_valid=0.9, generator=seeded()
        )
        samples = list(crops)
        assert len(samples) == len(crops)
        shares = [float(sample['valid'].float().mean()) for sample in samples]
        assert min(shares) >= 0.9
        assert min(shares) < 1
        with pytest.raises(EmptyDataError, match='a lower min_valid'):
            list(RegionCrops(HSICube(write_empty(tmp_path)), 16, min_valid=0.1))
        with pytest.raises(MetadataError, match='key "valid"'):
            list(RegionCrops(RasterDataset(tmp_path), 16, min_valid=0.1))

    def test_no_scene(self, scenes: Path) -> None:
        with pytest.raises(EmptyDataError, match='Check its CRS'):
            RegionCrops(RasterDataset(scenes), 8, roi=shapely.box(0, 0, 1, 1))

    def test_scenes_of_different_dates(self, tmp_path: Path) -> None:
        class Dated(RasterDataset):
            filename_regex = r'(?P<date>\d{8}).tif'
            date_format = '%Y%m%d'

        for day in (1, 2):
            values = numbered(64, 64)
            values[2] = day
            write(tmp_path / f'2020010{day}.tif', values)
        crops = RegionCrops(Dated(tmp_path), 16, 4.0)
        days = Counter(int(sample['image'][2].unique()) for sample in crops)
        assert days == {1: 64, 2: 64}


def write_empty(folder: Path) -> Path:
    return write(folder / 'empty.tif', np.full((3, 64, 64), -1, 'int16'), LEFT + 1e5)


class TestDatasets:
    def test_cubes(self, scenes: Path) -> None:
        cubes = HSICube(scenes, bands=[1, 0])
        crops = RegionCrops(cubes, 16, generator=seeded())
        reads = Reads(crops)
        for sample in crops:
            row, column = int(sample['image'][1, 0, 0]), int(sample['image'][0, 0, 0])
            window = rasterio.windows.Window(column, row, 16, 16)
            expected = cubes.read_window(0, window)
            assert sample.keys() == expected.keys()
            for key, value in expected.items():
                torch.testing.assert_close(sample[key], value, rtol=0, atol=0)
        # a region is kept as it is stored
        region = crops._source.read(reads.regions[0])
        assert region['image'].dtype == torch.int16
        with pytest.raises(ValueError, match='roi= cannot be used'):
            RegionCrops(cubes, 16, roi=shapely.box(0, 0, 1, 1))

    def test_joined_with_labels(self, scenes: Path, tmp_path: Path) -> None:
        labels = (numbered()[:1] + numbered()[1:2]) % 4
        write(tmp_path / 'mask.tif', labels, nodata=None)
        joined = RasterDataset(scenes) & LabelRaster(tmp_path, [0, 1, 2, 3])
        for sample in RegionCrops(joined, 16, generator=seeded()):
            wanted = (sample['image'][0] + sample['image'][1]).long() % 4
            assert (sample['mask'] == wanted).all()
            assert sample['mask'].dtype == torch.int64

    def test_other_pixels_than_those_of_the_file(self, scenes: Path) -> None:
        dataset = RasterDataset(scenes, res=60)
        crops = RegionCrops(dataset, 16)
        for sample in crops:
            x, y = sample['transform'][[2, 5]].double().tolist()
            asked = dataset[x : x + 960, y - 960 : y]
            torch.testing.assert_close(sample['image'], asked['image'])

    @pytest.mark.parametrize('layout', ['strips', 'pixel'])
    def test_layouts(self, tmp_path: Path, layout: str) -> None:
        options: dict[str, Any] = {'interleave': 'pixel'}
        if layout == 'strips':
            options = {'tiled': False, 'blockysize': 4, 'blockxsize': WIDTH}
        write(tmp_path / 'a.tif', numbered(), **options)
        crops = RegionCrops(RasterDataset(tmp_path), 16, region_size=40)
        reads = Reads(crops)
        truth = torch.from_numpy(numbered()).float()
        for sample in crops:
            row, column = place(sample)
            expected = truth[:, row : row + 16, column : column + 16]
            assert torch.equal(sample['image'], expected)
        if layout == 'strips':
            assert {region.width for region in reads.regions} == {WIDTH}
            assert {region.row % 4 for region in reads.regions} == {0}

    def test_other_datasets_are_refused(self) -> None:
        with pytest.raises(TypeError, match='Expected a GeoDataset or HSICube'):
            RegionCrops(object(), 16)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ('options', 'words'),
        [
            ({'size': 0}, 'size of at least 1'),
            ({'crops_per_pixel': 0}, 'positive crops_per_pixel'),
            ({'crops_per_pixel': float('nan')}, 'positive crops_per_pixel'),
            ({'length': 0}, 'length of at least 1'),
            ({'batch_size': 0}, 'batch_size of at least 1'),
            ({'regions_open': 0}, 'regions_open of at least 1'),
            ({'threads': 0}, 'threads of at least 1'),
            ({'min_valid': 1.5}, 'min_valid from 0 to 1'),
            ({'region_size': 8}, 'region_size of at least'),
        ],
    )
    def test_senseless_numbers(
        self, scenes: Path, options: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            RegionCrops(RasterDataset(scenes), **{'size': 16, **options})

    def test_too_few_crops_for_a_batch(self, scenes: Path) -> None:
        with pytest.raises(EmptyDataError, match='makes no batch of 8'):
            RegionCrops(RasterDataset(scenes), 16, length=5, batch_size=8)

    def test_damage_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'a.tif', numbered())
        with rasterio.open(path) as src:
            spot = int(src.get_tag_item('BLOCK_OFFSET_2_2', 'TIFF', bidx=2))
        with path.open('r+b') as file:
            file.seek(spot)
            file.write(b'\xff' * 20)
        with pytest.raises(CorruptFileError, match=r'a\.tif is damaged'):
            list(RegionCrops(HSICube(path), 16))


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
