# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is written is read back, and tiles cover and blend a scene of any size."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from torchgeo_hsi.callbacks._mosaic import Mosaic, PartWriter
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io._tiles import tile_spans
from torchgeo_hsi.io.cog import CubeWriter

PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)
DTYPES = ('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64')


@st.composite
def cubes(draw: Any) -> tuple[np.ndarray, float | None]:
    """Make a cube of any type, size and number of bands, and its nodata."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = tuple(draw(st.integers(1, most)) for most in (7, 70, 70))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    if dtype.kind == 'f':
        cube = rng.normal(0, 1e4, shape).astype(dtype)
        nodata = draw(st.sampled_from([None, float('nan'), -9999.0]))
    else:
        limits = np.iinfo(dtype)
        cube = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        nodata = draw(st.sampled_from([None, limits.min, limits.max, 0]))
    if nodata is not None:
        cube[:, rng.random(shape[1:]) < 0.2] = nodata
    return cube, nodata


@given(
    cubes(), st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False)
)
def test_what_is_written_is_read(
    cube_and_nodata: tuple[np.ndarray, float | None],
    height: int,
    width: int,
    random: Any,
) -> None:
    cube, nodata = cube_and_nodata
    windows = [
        Window(c, r, min(width, cube.shape[2] - c), min(height, cube.shape[1] - r))
        for r in range(0, cube.shape[1], height)
        for c in range(0, cube.shape[2], width)
    ]
    random.shuffle(windows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'cube.tif'
        with CubeWriter(
            path, cube.shape, cube.dtype, 'EPSG:32633', PLACE, nodata
        ) as out:
            for window in windows:
                rows, columns = window.toslices()
                out.write(window, cube[:, rows, columns])
        assert [p.name for p in Path(folder).iterdir()] == ['cube.tif']
        with rasterio.open(path) as src:
            assert src.dtypes[0] == cube.dtype.name
            assert src.transform == PLACE
            np.testing.assert_array_equal(src.read(), cube)
            if nodata is not None:
                np.testing.assert_equal(src.nodata, nodata)
        with open_cube(path) as reader:
            _, valid = reader.read()
    bad = np.isnan(cube) if cube.dtype.kind == 'f' else np.zeros(cube.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        bad |= cube == nodata
    np.testing.assert_array_equal(valid, ~bad)


@st.composite
def tilings(draw: Any) -> tuple[tuple[int, int, int], int, int, int | None, int, str]:
    """Choose a scene, its tiles, their steps and how they are blended."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 60, 60))
    tile = draw(st.integers(1, 24))
    delta = draw(st.integers(0, max((tile - 1) // 4, 0)))
    overlap = draw(st.none() | st.integers(0, (tile - 2 * delta) // 2))
    stride = draw(st.integers(1, tile))
    return (
        shape,
        tile,
        stride,
        overlap,
        delta,
        draw(st.sampled_from(['cosine', 'linear'])),
    )


@settings(max_examples=40)
@given(tilings(), st.floats(-1e4, 1e4, width=32), st.randoms(use_true_random=False))
def test_a_constant_stays_constant(tiling: Any, value: float, random: Any) -> None:
    (count, height, width), tile, stride, overlap, delta, method = tiling
    stride = max(stride, -(-max(height, width) // 12))
    stride = min(stride, tile)
    side = 16
    places = [
        (row, column)
        for row in range(0, max(height - tile, 0) + stride, stride)
        for column in range(0, max(width - tile, 0) + stride, stride)
    ]
    random.shuffle(places)
    seen = np.zeros((height, width), bool)
    with tempfile.TemporaryDirectory() as folder:
        parts = PartWriter(Path(folder), 0, (height, width), side)
        for row, column in places:
            parts.add(np.full((count, tile, tile), value, 'float32'), row, column)
        parts.close()
        blend = (overlap, delta, method)
        mosaic = Mosaic(
            Path(folder), (count, height, width), side, np.dtype('float32'), *blend
        )
        for row, column, values in mosaic.blocks():
            area = np.s_[row : row + values.shape[1], column : column + values.shape[2]]
            # every pixel once, and none without a tile
            assert not seen[area].any()
            seen[area] = True
            np.testing.assert_allclose(values, value, rtol=1e-6, atol=1e-9)
    assert seen.all()


@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 5), st.integers(1, 4))
def test_tiles_cover_an_axis(size: int, tile: int, overlap: int, multiple: int) -> None:
    tile, overlap = (2 * overlap + tile) * multiple, overlap * multiple
    spans = tile_spans(size, tile, overlap, multiple)
    assert spans[0].start == spans[0].new == 0
    assert spans[-1].stop == size
    for before, after in pairwise(spans):
        assert after.new == before.stop
        assert before.stop - after.start >= overlap
    assert all(s.stop - s.start <= tile and s.start % multiple == 0 for s in spans)
