# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the sampler of windows."""

from collections import Counter

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import torch
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice
from torchgeo.samplers import RandomPatchSampler

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.samplers import RandomWindowSampler

RES = 30.0


class Footprints(GeoDataset):
    """Scenes without pixels: boxes of (left, bottom, width, height) in pixels."""

    def __init__(self, *boxes: tuple[int, int, int, int]) -> None:
        shapes = [
            shapely.box(
                500000 + x * RES, y * RES, 500000 + (x + w) * RES, (y + h) * RES
            )
            for x, y, w, h in boxes
        ]
        days = pd.date_range('2023-01-01', periods=len(boxes))
        times = pd.IntervalIndex.from_arrays(
            days, days + pd.Timedelta('1h'), closed='both', name='datetime'
        )
        self.index = gpd.GeoDataFrame(geometry=shapes, index=times, crs='EPSG:32633')
        self._res = (RES, RES)

    def __getitem__(self, index: GeoSlice) -> dict[str, torch.Tensor]:
        raise NotImplementedError


def windows(
    sampler: RandomWindowSampler,
) -> list[tuple[float, float, float, float, int]]:
    """Return left, bottom, right and top in pixels, and the day."""
    return [
        (
            (x.start - 500000) / RES,
            y.start / RES,
            (x.stop - 500000) / RES,
            y.stop / RES,
            t.start.day - 1,
        )
        for x, y, t in sampler
    ]


def test_inside_on_the_grid_and_uniform() -> None:
    dataset = Footprints((0, 0, 10, 10), (40, 20, 7, 8))
    sampler = RandomWindowSampler(
        dataset, 6, 6200, generator=torch.Generator().manual_seed(0)
    )
    found = windows(sampler)
    assert len(found) == len(sampler) == 6200
    for left, bottom, right, top, scene in found:
        x, y, w, h = ((0, 0, 10, 10), (40, 20, 7, 8))[scene]
        assert (right - left, top - bottom) == (6, 6)
        assert x <= left <= right <= x + w
        assert y <= bottom <= top <= y + h
        assert left == round(left)
        assert bottom == round(bottom)
    places = Counter(found)
    # 5 x 5 positions in the first scene, 2 x 3 in the second: 200 draws each
    assert len(places) == 31
    assert 130 < min(places.values()) < max(places.values()) < 280


def test_tile_of_the_size_of_the_window() -> None:
    dataset = Footprints((0, 0, 32, 32), (32, 0, 32, 32))
    found = windows(RandomWindowSampler(dataset, 32, 20))
    assert set(found) == {(0, 0, 32, 32, 0), (32, 0, 64, 32, 1)}


def test_upstream_never_draws_such_tiles() -> None:
    # the reason for the class; torchgeo's own sampler should do when this fails
    sampler = RandomPatchSampler(Footprints((0, 0, 32, 32)), size=32, length=4)
    assert sampler.series.is_empty.all()


def test_small_scene_is_centered() -> None:
    found = windows(RandomWindowSampler(Footprints((0, 0, 4, 6)), 8, 5))
    assert set(found) == {(-2, -1, 6, 7, 0)}


def test_default_length_covers_the_scenes() -> None:
    assert len(RandomWindowSampler(Footprints((0, 0, 10, 10)), 6)) == 4
    assert len(RandomWindowSampler(Footprints((0, 0, 12, 5), (0, 9, 6, 6)), 6)) == 3


def test_seed() -> None:
    dataset = Footprints((0, 0, 50, 50))
    first, second, third = (
        windows(
            RandomWindowSampler(
                dataset, 6, 30, generator=torch.Generator().manual_seed(seed)
            )
        )
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third
    sampler = RandomWindowSampler(dataset, 6, 30)
    assert windows(sampler) != windows(sampler)


def test_region() -> None:
    dataset = Footprints((0, 0, 40, 40))
    roi = shapely.box(500000 + 20 * RES, 0, 500000 + 40 * RES, 40 * RES)
    found = windows(RandomWindowSampler(dataset, 8, 200, roi))
    assert min(left for left, *_ in found) == 20
    with pytest.raises(EmptyDataError, match='Check its CRS'):
        RandomWindowSampler(dataset, 8, roi=shapely.box(13.0, 52.0, 13.1, 52.1))


@pytest.mark.parametrize(('size', 'length'), [(0, None), (8, 0)])
def test_bad_sizes(size: int, length: int | None) -> None:
    with pytest.raises(ValueError, match='positive'):
        RandomWindowSampler(Footprints((0, 0, 40, 40)), size, length)
