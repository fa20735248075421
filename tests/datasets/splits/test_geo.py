# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of GeoDatasets, with the samplers that draw from them."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from rasterio.transform import Affine
from torchgeo.datasets import GeoDataset, RasterDataset
from torchgeo.samplers import GriddedPatchSampler, RandomPatchSampler

from torchgeo_hsi.datasets import (
    LabelRaster,
    block_geo_split,
    leak_report,
    region_geo_split,
)
from torchgeo_hsi.errors import EmptyDataError, MetadataError, UnknownNameError
from torchgeo_hsi.samplers import RandomWindowSampler

RES, WEST, NORTH = 10.0, 500000.0, 4100000.0
#: Row, column and size of the scenes; the last is another date of the first.
SCENES = {'a': (0, 0, 96), 'b': (0, 96, 64), 'c': (150, 30, 80), 'd': (10, 5, 90)}


class Scenes(RasterDataset):
    """A dataset as torchgeo's users write them."""

    filename_glob = '*.tif'
    filename_regex = r'(?P<name>.)_(?P<date>\d{8})'
    date_format = '%Y%m%d'


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes')
    rng = np.random.default_rng(0)
    for number, (name, (row, column, size)) in enumerate(SCENES.items()):
        codes = np.kron(rng.integers(0, 4, (size // 8 + 1,) * 2), np.ones((8, 8)))
        place = Affine(RES, 0, WEST + column * RES, 0, -RES, NORTH - row * RES)
        with rasterio.open(
            root / f'{name}_2024010{number + 1}.tif',
            'w',
            driver='GTiff',
            count=1,
            height=size,
            width=size,
            dtype='uint8',
            crs='EPSG:32632',
            transform=place,
        ) as dst:
            dst.write(codes[:size, :size].astype(np.uint8), 1)
    return root


@pytest.fixture
def scenes(folder: Path) -> Scenes:
    return Scenes(folder)


@pytest.fixture
def labels(folder: Path) -> LabelRaster:
    return LabelRaster(folder, classes=[1, 2, 3])


def overlap(first: Any, second: Any) -> bool:
    """Tell whether two windows share more than an edge."""
    return all(
        a.start < b.stop - 1e-6 and b.start < a.stop - 1e-6
        for a, b in zip(first[:2], second[:2], strict=True)
    )


@pytest.mark.parametrize('window', [8, 9])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_grid_of_the_test_touches_no_training_window(
    scenes: Scenes, window: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    split = block_geo_split(scenes, window, generator=generator)
    ours = RandomWindowSampler(scenes, window, 80, split.roi('train'), generator)
    stock = RandomPatchSampler(
        scenes, size=window, length=80, roi=split.roi('train'), generator=seed
    )
    for name in ('val', 'test'):
        grid = list(GriddedPatchSampler(scenes, size=window, roi=split.roi(name)))
        assert grid
        for sampler in (ours, stock):
            assert not any(overlap(a, b) for a in sampler for b in grid)


def test_datasets_of_the_splits(scenes: Scenes) -> None:
    window = 8
    split = block_geo_split(scenes, window)
    parts = dict(zip(split.names, split.datasets(scenes), strict=True))
    assert all(isinstance(part, GeoDataset) for part in parts.values())
    train = list(RandomWindowSampler(parts['train'], window, 100))
    stock = list(RandomPatchSampler(parts['train'], size=window, length=50))
    test = list(GriddedPatchSampler(parts['test'], size=window))
    for query in (*train, *stock):
        box = shapely.box(query[0].start, query[1].start, query[0].stop, query[1].stop)
        assert box.difference(split.roi('train')).area < 1e-3
        assert not any(overlap(query, other) for other in test)
    assert parts['test'][test[0]]['image'].shape[-2:] == (window, window)
    report = leak_report({'train': train, 'test': test})
    assert report.touching['test'] == 0
    # the boxes of the index of each part
    assert leak_report(parts).touching == {'val': 0, 'test': 0}


def test_splits_are_a_gap_apart(scenes: Scenes) -> None:
    for seed in range(5):
        split = block_geo_split(
            scenes, 7, guard=3, generator=torch.Generator().manual_seed(seed)
        )
        boxes = [
            (k, part.bounds) for k, parts in enumerate(split.parts) for part in parts
        ]
        for k, first in boxes:
            for j, second in boxes:
                low = np.maximum(first[:2], second[:2])
                high = np.minimum(first[2:], second[2:])
                if j != k:
                    assert (low - high).max() >= 2 * 3 * RES - 1e-6
                elif first != second:
                    assert (low - high).max() >= -1e-6


def test_a_place_is_in_one_split_at_all_dates(scenes: Scenes) -> None:
    split = block_geo_split(scenes, 8)
    regions = [split.roi(name) for name in split.names]
    first, *_, again = scenes.index.geometry
    place = (first & again).representative_point()
    assert sum(region.intersects(place) for region in regions) <= 1
    covered = scenes.index.geometry.union_all()
    areas = np.array([(region & covered).area for region in regions])
    np.testing.assert_allclose(areas / areas.sum(), [0.6, 0.2, 0.2], atol=0.1)


def test_class_shares(scenes: Scenes, labels: LabelRaster) -> None:
    split = block_geo_split(scenes, 4, labels=labels, block_size=16, guard=1)
    x, y, t = labels.bounds
    mask = labels[slice(x.start, x.stop, RES), slice(y.start, y.stop, RES), t]['mask']
    rows, columns = np.nonzero(np.asarray(mask) != 255)
    points = shapely.points(
        x.start + (columns + 0.5) * RES, y.stop - (rows + 0.5) * RES
    )
    classes = np.asarray(mask)[rows, columns]
    counts = np.array(
        [
            np.bincount(classes[shapely.contains(split.roi(name), points)], minlength=3)
            for name in split.names
        ]
    )
    shares = counts / counts.sum(axis=0)
    np.testing.assert_allclose(shares, np.tile([[0.6], [0.2], [0.2]], 3), atol=0.06)


def test_regions(scenes: Scenes) -> None:
    farms = gpd.GeoDataFrame(
        {
            'farm': ['a', 'b', 'b', 'c', 'd'],
            'use': ['fit', 'fit', 'exam', 'fit', 'none'],
        },
        geometry=[
            shapely.box(WEST + 400 * i, NORTH - 2400, WEST + 400 * (i + 1), NORTH)
            for i in range(4)
        ]
        + [shapely.Point(WEST + 1700, NORTH - 200).buffer(90)],
        crs='EPSG:32632',
    ).to_crs('EPSG:4326')
    shares = {'train': 0.5, 'test': 0.5}
    split = region_geo_split(scenes, farms, 5, shares, column='farm')
    both = farms[farms.farm == 'b'].to_crs(scenes.crs).union_all()
    found = [
        name for name in split.names if split.roi(name).intersection(both).area > 1
    ]
    assert len(found) == 1
    assert split.roi('train').distance(split.roi('test')) >= 2 * 2 * RES
    named = region_geo_split(
        scenes, farms, 5, {'fit': 1, 'exam': 1}, split_column='use', guard=0
    )
    want = farms[farms.use == 'exam'].to_crs(scenes.crs).union_all()
    area = want & scenes.index.geometry.union_all()
    assert named.roi('exam').area == pytest.approx(area.area, rel=1e-6)
    with pytest.raises(EmptyDataError, match='no polygon on the dataset for val'):
        region_geo_split(scenes, farms, 5, {'fit': 1, 'val': 1}, split_column='use')
    with pytest.raises(ValueError, match='column= to be one of'):
        region_geo_split(scenes, farms, 5, column='county')
    with pytest.raises(EmptyDataError, match='Nothing is left'):
        region_geo_split(scenes, farms, 5, shares, guard=200)
    far = farms.set_crs('EPSG:32632', allow_override=True)
    with pytest.raises(EmptyDataError, match='same place'):
        region_geo_split(scenes, far, 5)


def test_bad_options(scenes: Scenes, labels: LabelRaster) -> None:
    with pytest.raises(ValueError, match='Expected a block_size of 16'):
        block_geo_split(scenes, 8, block_size=15)
    with pytest.raises(EmptyDataError, match='smaller blocks'):
        block_geo_split(scenes, 8, block_size=4000)
    nan: Any = float('nan')
    for guard in (nan, -1, float('inf')):
        with pytest.raises(ValueError, match='guard of 0 or more'):
            block_geo_split(scenes, 8, guard=guard)
    with pytest.raises(ValueError, match='window of at least 1'):
        block_geo_split(scenes, nan)
    with pytest.raises(ValueError, match='Expected a block_size'):
        block_geo_split(scenes, 8, block_size=nan)
    with pytest.raises(MetadataError, match='with "mask"'):
        block_geo_split(scenes, 8, labels=scenes)
    split = block_geo_split(scenes, 8)
    with pytest.raises(UnknownNameError, match='train'):
        split.roi('training')
    north = Scenes(scenes.paths)
    north.index = north.index.translate(0, 90000).to_frame('geometry')
    with pytest.raises(EmptyDataError, match='No scene of the dataset lies'):
        split.datasets(north)
    labels.crs = 'EPSG:4326'
    with pytest.raises(MetadataError, match='another CRS'):
        block_geo_split(scenes, 8, labels=labels)


def test_labels_that_say_nothing(folder: Path, tmp_path: Path) -> None:
    place = Affine(RES, 0, WEST, 0, -RES, NORTH)
    words: dict[str, Any] = {'driver': 'GTiff', 'count': 1, 'height': 96, 'width': 96}
    words |= {'dtype': 'uint8', 'crs': 'EPSG:32632', 'transform': place}
    with rasterio.open(tmp_path / 'labels.tif', 'w', **words) as dst:
        dst.write(np.full((96, 96), 7, 'uint8'), 1)
    labels = LabelRaster(tmp_path / 'labels.tif', ignore_index=7)
    with pytest.raises(EmptyDataError, match=r'other than ignore_index=7.*same place'):
        block_geo_split(Scenes(folder), 8, labels=labels)


def test_another_label_is_ignored_besides_that_of_the_labels(
    scenes: Scenes, folder: Path
) -> None:
    # one file: of several, the first one with a class counts
    three, two, one = (
        LabelRaster(folder / 'a_20240101.tif', classes=[1, 2, 3][:count])
        for count in (3, 2, 1)
    )
    both = block_geo_split(scenes, 4, labels=three, block_size=16, ignore_index=2)
    want = block_geo_split(scenes, 4, labels=two, block_size=16)
    for name in want.names:
        assert both.roi(name).equals(want.roi(name))
    with pytest.raises(EmptyDataError, match='ignore_index=0 or 255 on'):
        block_geo_split(scenes, 8, labels=one, ignore_index=0)
