# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of windows by weight."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from torchgeo.datasets import RasterDataset

from torchgeo_hsi.errors import EmptyDataError, MetadataError, UnknownNameError
from torchgeo_hsi.samplers import WeightedWindowSampler

RES, WEST = 30.0, 500000.0


def corners(sampler: WeightedWindowSampler) -> Counter[tuple[int, int]]:
    return Counter(
        (round((x.start - WEST) / RES), round(y.start / RES)) for x, y, _ in sampler
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(x: float, y: float, w: float, h: float) -> shapely.Polygon:
    return shapely.box(WEST + x * RES, y * RES, WEST + (x + w) * RES, (y + h) * RES)


def test_raster_of_weights(pixels: Any, raster: Callable[..., RasterDataset]) -> None:
    values = np.zeros((10, 10), dtype=np.float32)
    values[0, 0], values[9, 9], values[5, 5] = 1, 3, -8
    sampler = WeightedWindowSampler(
        pixels((0, 0, 10, 10)), 2, raster(values), 2000, generator=seeded()
    )
    found = corners(sampler)
    assert set(found) == {(0, 8), (8, 0)}
    assert found[8, 0] / 2000 == pytest.approx(0.75, abs=0.04)


def test_polygons(pixels: Any) -> None:
    shapes = [box(0, 0, 5, 20), box(15, 0, 5, 20)]
    frame = gpd.GeoDataFrame({'share': [1.0, 4.0]}, geometry=shapes, crs='EPSG:32633')
    sampler = WeightedWindowSampler(
        pixels((0, 0, 20, 20)), 3, frame, 3000, generator=seeded(), column='share'
    )
    found = corners(sampler)
    # by the middle of the window, which is 1.5 pixels from its corner
    assert {left + 1.5 < 5 for left, _ in found} == {True, False}
    assert all(left + 1.5 <= 5 or left + 1.5 >= 15 for left, _ in found)
    west = sum(count for (left, _), count in found.items() if left < 5)
    # four columns of places on either side
    assert west / 3000 == pytest.approx(4 / (4 + 4 * 4), abs=0.03)
    with pytest.raises(UnknownNameError, match='weight'):
        WeightedWindowSampler(pixels((0, 0, 20, 20)), 3, frame)
    with pytest.raises(MetadataError, match='CRS'):
        WeightedWindowSampler(
            pixels((0, 0, 20, 20)),
            3,
            frame.set_crs(None, allow_override=True),
            column='share',
        )


def test_column_of_the_index(pixels: Any) -> None:
    dataset = pixels((0, 0, 20, 20), (40, 0, 5, 5))
    dataset.index['n'] = [1.0, 3.0]
    found = corners(WeightedWindowSampler(dataset, 4, 'n', 2000, generator=seeded()))
    small = sum(count for (left, _), count in found.items() if left >= 40)
    assert small / 2000 == pytest.approx(0.75, abs=0.04)
    dataset.index['n'] = [1.0, -3.0]
    with pytest.raises(MetadataError, match='0 or more'):
        WeightedWindowSampler(dataset, 4, 'n')


def test_function_of_coordinates(pixels: Any) -> None:
    sampler = WeightedWindowSampler(
        pixels((0, 0, 10, 10)),
        4,
        lambda x, y: (np.abs(x - (WEST + 5 * RES)) < 1) * (y > 5 * RES),
        200,
    )
    assert set(corners(sampler)) == {(3, 4), (3, 5), (3, 6)}
    with pytest.raises(MetadataError, match='got shape'):
        list(WeightedWindowSampler(pixels((0, 0, 9, 9)), 4, lambda x, y: x[0]))


def test_nothing_has_a_weight(
    pixels: Any, raster: Callable[..., RasterDataset]
) -> None:
    empty = raster(np.zeros((10, 10), dtype=np.float32))
    with pytest.raises(EmptyDataError, match='weights= covers'):
        list(WeightedWindowSampler(pixels((0, 0, 10, 10)), 4, empty))


def test_weights_with_validity(pixels: Any) -> None:
    valid = np.zeros((10, 10), dtype=bool)
    valid[:, :6] = True
    sampler = WeightedWindowSampler(
        pixels((0, 0, 10, 10), valid=[valid]),
        4,
        lambda x, y: x - WEST,
        500,
        min_valid=1.0,
    )
    assert {left for left, _ in corners(sampler)} == {0, 1, 2}


def test_weights_of_no_kind(pixels: Any) -> None:
    with pytest.raises(TypeError, match='got NoneType'):
        WeightedWindowSampler(pixels((0, 0, 10, 10)), 8, None)  # type: ignore[arg-type]
