# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the placement of tiles on the pixel grid of a scene."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine

from torchgeo_hsi.callbacks._grid import Grid, tile_transforms
from torchgeo_hsi.errors import MetadataError


def _dataset(
    left: float, bottom: float, right: float, top: float, xres: float, yres: float
) -> Any:
    bounds = (slice(left, right, xres), slice(bottom, top, yres), slice(0, 1, 1))
    return SimpleNamespace(bounds=bounds, res=(xres, yres))


def _tile(
    left: float, top: float, xres: float, yres: float, dtype: Any = 'float32'
) -> Any:
    # as torchgeo hands them out
    return np.array([xres, 0, left, 0, -yres, top], dtype=dtype).astype(float).tolist()


@pytest.mark.parametrize(
    ('left', 'bottom', 'res'),
    [
        (366975.0, 5804205.0, 30.0),
        (-122.123456, 37.654321, 0.00027),
        (366975.2, 5804205.7, 1.0),
        (4e6 / 3, 1e7 / 3, 10.0),
    ],
)
def test_tiles_in_float32(left: float, bottom: float, res: float) -> None:
    height, width = 333, 217
    dataset = _dataset(
        left, bottom, left + width * res, bottom + height * res, res, res
    )
    top = bottom + height * res
    grid = Grid.of_dataset(dataset, _tile(left + 5 * res, top - 7 * res, res, res))
    assert (grid.height, grid.width) == (height, width)
    assert grid.transform.almost_equals(Affine(res, 0, left, 0, -res, top), 1e-9)
    for row, col in ((0, 0), (-3, -9), (120, 99), (332, 216)):
        tile = _tile(left + col * res, top - row * res, res, res)
        assert grid.locate(tile) == (row, col)


@pytest.mark.parametrize('corner', ['bottom', 'top'])
def test_bounds_that_are_no_multiple_of_the_pixel(corner: str) -> None:
    # 10.4 pixels high: torchgeo starts at the bottom, other samplers may at the top
    dataset = _dataset(0.0, 0.0, 50.0, 52.0, 5.0, 5.0)
    top = 55.0 if corner == 'bottom' else 52.0
    grid = Grid.of_dataset(dataset, _tile(10.0, top - 10, 5.0, 5.0))
    assert (grid.height, grid.width, grid.top) == (11, 10, top)


def test_different_resolution_along_x_and_y() -> None:
    dataset = _dataset(0.0, 0.0, 20.0, 30.0, 2.0, 3.0)
    grid = Grid.of_dataset(dataset, _tile(4.0, 24.0, 2.0, 3.0))
    assert (grid.height, grid.width) == (10, 10)
    assert grid.locate(_tile(4.0, 24.0, 2.0, 3.0)) == (2, 2)


def test_refine() -> None:
    grid = Grid(100.0, 200.0, 30.0, 30.0, 5, 7).refine(3)
    assert grid == Grid(100.0, 200.0, 10.0, 10.0, 15, 21)


@pytest.mark.parametrize(
    ('tile', 'message'),
    [
        ([30, 0, 310, 0, -30, 0], 'pixels off'),
        ([30, 0, 300, 0, -30, -2.0], 'pixels off'),
        ([30.01, 0, 300, 0, -30, 0], 'north up'),
        ([10, 0, 300, 0, -10, 0], 'north up'),
        ([30, 0, 300, 0, 30, 0], 'north up'),
        ([30, 5, 300, 5, -30, 0], 'north up'),
    ],
)
def test_tiles_off_the_grid(tile: list[float], message: str) -> None:
    dataset = _dataset(0.0, -300.0, 300.0, 0.0, 30.0, 30.0)
    with pytest.raises(MetadataError, match=message):
        Grid.of_dataset(dataset, tile).locate(tile)
    grid = Grid.of_dataset(dataset, [30, 0, 0, 0, -30, 0])
    with pytest.raises(MetadataError, match=message):
        grid.locate(tile)


def test_small_offset_is_rounding() -> None:
    grid = Grid(0.0, 0.0, 30.0, 30.0, 10, 10)
    assert grid.locate([30, 0, 61.2, 0, -30, -91.2]) == (3, 2)


def test_pixels_too_small_for_float32() -> None:
    dataset = _dataset(366975.0, 5804205.0, 366985.0, 5804215.0, 0.1, 0.1)
    tile = _tile(366975.3, 5804214.9, 0.1, 0.1)
    with pytest.raises(MetadataError, match='pixels off'):
        Grid.of_dataset(dataset, tile).locate(tile)


@pytest.mark.parametrize('dataset', [object(), SimpleNamespace(bounds=1, res=2)])
def test_no_geodataset(dataset: Any) -> None:
    with pytest.raises(MetadataError, match='GeoDataset'):
        Grid.of_dataset(dataset, [1, 0, 0, 0, -1, 0])


class TestTileTransforms:
    transform = torch.tensor([[30.0, 0, 60, 0, -30, 90, 0, 0, 1]])
    bounds = torch.tensor([[60.0, 120, 30, 0, 90, 30, 0, 1, 1]])

    def test_sources_agree(self) -> None:
        truth = [[30.0, 0, 60, 0, -30, 90]]
        both = {'transform': self.transform, 'bounds': self.bounds}
        assert tile_transforms(both, {}, 1) == truth
        assert tile_transforms(torch.zeros(1), both, 1) == truth
        assert (
            tile_transforms({'bounds': self.bounds, 'transform': None}, {}, 1) == truth
        )
        assert tile_transforms(torch.zeros(1), {'bounds': self.bounds}, 1) == truth

    def test_intersection_repeats_them(self) -> None:
        twice = {'transform': self.transform.repeat(1, 2)}
        assert tile_transforms(twice, {}, 1) == [[30.0, 0, 60, 0, -30, 90]]

    @pytest.mark.parametrize('batch', [{}, None, {'transform': torch.zeros(2, 9)}])
    def test_missing(self, batch: Any) -> None:
        with pytest.raises(MetadataError, match='transfer_batch_to_device'):
            tile_transforms({'probabilities': torch.zeros(1)}, batch, 1)
