# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the blending against formulas written out pixel by pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.callbacks._mosaic import Mosaic, PartWriter, blend_weights


def _known(rows: np.ndarray, cols: np.ndarray, bands: int) -> np.ndarray:
    """A smooth function of the place, different in each band."""
    band = np.arange(bands)[:, None, None]
    values = 1e4 * np.sin(0.05 * rows[:, None] + band) * np.cos(0.031 * cols + 2 * band)
    return values.astype('float32')


def _places(size: int, tile: int, stride: int, start: int = 0) -> list[int]:
    places = list(range(start, max(size - tile, 0) + 1, stride))
    return places if places[-1] + tile >= size else [*places, places[-1] + stride]


def _mosaic(
    folder: Path,
    tiles: Sequence[tuple[np.ndarray, int, int]],
    shape: tuple[int, int, int],
    *,
    side: int = 16,
    ranks: int = 1,
    overlap: int | None = None,
    delta: int = 0,
    method: Any = 'cosine',
) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    writers = [PartWriter(folder, r, shape[1:], side) for r in range(ranks)]
    for i, tile in enumerate(tiles):
        writers[i % ranks].add(*tile)
    for writer in writers:
        writer.close()
    dtype = tiles[0][0].dtype
    mosaic = Mosaic(folder, shape, side, dtype, overlap, delta, method)
    image = np.full(shape, np.nan)
    for row, col, values in mosaic.blocks():
        block = image[:, row : row + side, col : col + side]
        assert block.shape == values.shape
        assert np.isnan(block).all()
        block[:] = values
    return image


@pytest.mark.parametrize(
    ('size', 'tile', 'stride'),
    [
        ((40, 52), 16, 8),
        ((41, 53), 13, 5),
        ((33, 17), 16, 16),
        ((5, 7), 16, 16),
        ((64, 64), 40, 30),
    ],
)
@pytest.mark.parametrize('method', ['cosine', 'linear'])
def test_known_function_is_reproduced(
    tmp_path: Path, size: tuple[int, int], tile: int, stride: int, method: str
) -> None:
    tiles = [
        (_known(np.arange(r, r + tile), np.arange(c, c + tile), 3), r, c)
        for r in _places(size[0], tile, stride, start=-2)
        for c in _places(size[1], tile, stride, start=-3)
    ]
    found = _mosaic(tmp_path, tiles, (3, *size), method=method)
    truth = _known(np.arange(size[0]), np.arange(size[1]), 3)
    np.testing.assert_allclose(found, truth, rtol=1e-15)
    np.testing.assert_array_equal(found.astype('float32'), truth)


def _random_tiles() -> list[tuple[np.ndarray, int, int]]:
    rng = np.random.default_rng(0)
    tiles = []
    for r in range(0, 50, 9):
        for c in range(-4, 50, 7):
            tile = rng.normal(size=(2, 20, 15)).astype('float32')
            tile[:, rng.random((20, 15)) < 0.1] = np.nan
            tiles.append((tile, r, c))
    return tiles


def test_order_and_processes_change_nothing(tmp_path: Path) -> None:
    tiles, shape = _random_tiles(), (2, 55, 60)
    truth = _mosaic(tmp_path / 'a', tiles, shape)
    for name, ranks in (('b', 1), ('c', 3)):
        order = np.random.default_rng(ranks).permutation(len(tiles))
        shuffled = [tiles[i] for i in order]
        found = _mosaic(tmp_path / name, shuffled, shape, ranks=ranks)
        np.testing.assert_array_equal(found, truth)
    bottom_up = _mosaic(tmp_path / 'd', tiles[::-1], shape, side=64)
    np.testing.assert_array_equal(bottom_up, truth)


def test_weighted_mean_pixel_by_pixel(tmp_path: Path) -> None:
    tiles, (bands, height, width) = _random_tiles(), (2, 55, 60)
    total, weights = np.zeros((bands, height, width)), np.zeros((height, width))
    for tile, row, col in tiles:
        for i in range(20):
            for j in range(15):
                r, c = row + i, col + j
                if not (0 <= r < height and 0 <= c < width) or np.isnan(tile[0, i, j]):
                    continue
                weight = 1.0
                for place, start, size, end in (
                    (i, row, 20, height),
                    (j, col, 15, width),
                ):
                    ramp = size // 2
                    if place < ramp and start > 0:
                        weight *= np.sin(np.pi / 2 * (place + 1) / (ramp + 1)) ** 2
                    if size - 1 - place < ramp and start + size < end:
                        weight *= np.sin(np.pi / 2 * (size - place) / (ramp + 1)) ** 2
                total[:, r, c] += weight * tile[:, i, j]
                weights[r, c] += weight
    with np.errstate(invalid='ignore'):
        truth = total / weights
    found = _mosaic(tmp_path, tiles, (bands, height, width))
    assert np.isnan(truth).any()
    np.testing.assert_allclose(found, truth, rtol=1e-12)


def test_seam_is_smooth_and_complementary(tmp_path: Path) -> None:
    # two tiles, 0 and 1, that overlap by 8: the map has to rise from 0 to 1 in between
    tiles = [
        (np.zeros((1, 20, 20), 'float32'), 0, 0),
        (np.ones((1, 20, 20), 'float32'), 0, 12),
    ]
    row = _mosaic(tmp_path, tiles, (1, 20, 32), overlap=8)[0, 1]
    assert (row[:12] == 0).all()
    assert (row[20:] == 1).all()
    assert (np.diff(row[11:21]) > 0).all()
    np.testing.assert_allclose(row[12:20], 1 - row[12:20][::-1], atol=1e-12)


def test_delta_counts_only_where_nothing_else_reaches(tmp_path: Path) -> None:
    left, right = (np.full((1, 10, 20), v, 'float32') for v in (0, 1))
    # wrong values in the margins, as at the padded border of a network
    left[:, :, -3:], right[:, :, :3] = 1e6, -1e6
    options: dict[str, Any] = {'overlap': 2, 'delta': 3}
    found = _mosaic(
        tmp_path / 'a', [(left, 0, 0), (right, 0, 12)], (1, 10, 32), **options
    )
    assert found.astype('float32').min() >= 0
    assert found.astype('float32').max() <= 1
    # without a neighbour the margin is all there is: no hole
    found = _mosaic(tmp_path / 'b', [(left, 0, 0)], (1, 10, 32), **options)
    np.testing.assert_array_equal(found[:, :, :20].astype('float32'), left)
    assert np.isnan(found[:, :, 20:]).all()


def test_edges_of_the_scene_keep_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tile = rng.normal(size=(1, 9, 9)).astype('float32')
    found = _mosaic(tmp_path, [(tile, -2, -3)], (1, 6, 5), delta=3)
    np.testing.assert_array_equal(found, tile[:, 2:8, 3:8])


def test_one_band_of_many_and_float64(tmp_path: Path) -> None:
    tiles = [(np.random.default_rng(0).normal(size=(202, 8, 8)), 0, 0)]
    found = _mosaic(tmp_path, tiles, (202, 8, 8), side=128)
    np.testing.assert_array_equal(found, tiles[0][0])


def test_empty_blocks_are_left_out(tmp_path: Path) -> None:
    tiles = [(np.full((1, 8, 8), np.nan, 'float32'), 0, 0)]
    assert np.isnan(_mosaic(tmp_path / 'a', tiles, (1, 8, 8))).all()
    writer = PartWriter(tmp_path, 0, (1000, 1000), 100)
    writer.add(np.ones((1, 8, 8), 'float32'), 500, 700)
    writer.add(np.ones((1, 8, 8), 'float32'), -20, 10)  # outside
    writer.add(np.ones((1, 8, 8), 'float32'), 10, 1000)  # outside
    writer.close()
    dtype = np.dtype('float32')
    mosaic = Mosaic(tmp_path, (1, 1000, 1000), 100, dtype, None, 0, 'linear')
    assert [(row, col) for row, col, _ in mosaic.blocks()] == [(500, 700)]
    assert mosaic.num_parts == 1


@pytest.mark.parametrize('size', [1, 2, 7, 64])
@pytest.mark.parametrize('method', ['cosine', 'linear'])
def test_weights_are_positive_and_symmetric(size: int, method: Any) -> None:
    weights = blend_weights(size, None, 0, method)
    assert (weights > 0).all()
    assert weights.max() <= 1
    np.testing.assert_array_equal(weights, weights[::-1])
    flat = blend_weights(size, None, 0, method, (False, False))
    np.testing.assert_array_equal(flat, np.ones(size))


@pytest.mark.parametrize(('overlap', 'delta'), [(6, 0), (3, 3), (None, 5)])
def test_ramps_longer_than_the_tile(overlap: int | None, delta: int) -> None:
    with pytest.raises(ValueError, match='at most 10'):
        blend_weights(10, overlap, delta, 'cosine')


def test_ramps_of_neighbours_add_up_to_one() -> None:
    for method in ('cosine', 'linear'):
        weights = blend_weights(32, 8, 2, method)  # type: ignore[arg-type]
        np.testing.assert_allclose(weights[2:10] + weights[-10:-2], 1, atol=1e-12)
