# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where crops lie: grids, scenes side by side, and other datasets."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from torchgeo.datasets import RasterDataset

from tests.datasets.region_crops.numbered import (
    HEIGHT,
    LEFT,
    RES,
    TOP,
    WIDTH,
    Reads,
    numbered,
    place,
    places,
    seeded,
    write,
    write_empty,
)
from torchgeo_hsi.datasets import HSICube, LabelRaster, RegionCrops
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError, MetadataError


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
