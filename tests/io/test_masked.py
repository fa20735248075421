# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Windows with one mask for all bands, by threads and past GDAL."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.io import GeoTIFFReader, read_tiff
from torchgeo_hsi.io import _tiff_regions as regions
from torchgeo_hsi.io._threads import decoding_threads, for_each

SHAPE = (7, 70, 90)
TILED = {'tiled': True, 'blockxsize': 32, 'blockysize': 16, 'compress': 'deflate'}
LAYOUTS: dict[str, dict[str, Any]] = {
    'band tiles': {**TILED, 'interleave': 'band', 'predictor': 2},
    'pixel tiles': {**TILED, 'interleave': 'pixel', 'predictor': 2},
    'pixel zstd': {**TILED, 'interleave': 'pixel', 'compress': 'zstd'},
    'band strips': {'interleave': 'band', 'compress': 'deflate', 'blockysize': 4},
    'pixel strips': {'interleave': 'pixel', 'compress': 'lzw', 'blockysize': 3},
    'plain': {'interleave': 'band'},
}
WINDOWS = [
    None,
    Window(32, 16, 32, 32),
    Window(3, 5, 60, 61),
    Window(40, 30, 9, 8),
    Window(-5, -4, 50, 40),
    Window(70, 60, 64, 64),
    Window(200, 200, 8, 8),
]


def write(path: Path, values: np.ndarray, **options: Any) -> Path:
    bands, height, width = values.shape
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=bands,
        height=height,
        width=width,
        dtype=values.dtype,
        crs='EPSG:32633',
        transform=Affine(30, 0, 4e5, 0, -30, 5e6),
        **options,
    ) as dst:
        dst.write(values)
    return path


def cube(dtype: str, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(1, 250, SHAPE).astype(dtype)
    hole = np.random.default_rng(seed + 1).random(SHAPE) < 0.1
    values[hole] = 0
    values[:, :20, :20] = 0
    values[5] = 0
    if values.dtype.kind == 'f':
        values[2, 40:50] = np.nan
    return values


def check(
    reader: GeoTIFFReader, indexes: list[int] | None, window: Window | None
) -> None:
    values, valid = reader.read(indexes, window)
    for stored in (False, True):
        part = reader.read_masked(indexes, window, stored)
        np.testing.assert_array_equal(part.values, values)
        np.testing.assert_array_equal(part.every, valid.all(axis=0))
        np.testing.assert_array_equal(part.some, valid.any(axis=0))
        np.testing.assert_array_equal(part.filled, valid.any(axis=(1, 2)))


@pytest.mark.parametrize('threads', [1, 3])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_same_as_read(
    tmp_path: Path, layout: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # several tasks even for a small file
    monkeypatch.setattr(regions, '_TASK', 1 << 12)
    path = write(tmp_path / 'a.tif', cube('int16'), nodata=0, **LAYOUTS[layout])
    with GeoTIFFReader(path) as reader, decoding_threads(threads):
        for window in WINDOWS:
            for indexes in (None, [4, 1, 6], [5]):
                check(reader, indexes, window)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int32', 'float32', 'float64'])
def test_data_types(tmp_path: Path, dtype: str) -> None:
    for nodata in (0, None):
        options = LAYOUTS['band tiles'] | {'predictor': 1}
        path = write(tmp_path / 'a.tif', cube(dtype), nodata=nodata, **options)
        with GeoTIFFReader(path) as reader:
            check(reader, None, None)
            kept = reader.read_masked(stored=True).values.dtype
            assert kept == (dtype if dtype == 'uint8' else 'float32')


def test_gain_is_never_stored(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', cube('int16'), nodata=0, **LAYOUTS['band tiles'])
    with GeoTIFFReader(path, scale=0.5) as reader:
        check(reader, [3, 2], Window(0, 0, 64, 64))
        assert reader.read_masked(stored=True).values.dtype == np.float32


def test_large_windows_bypass_gdal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / 'a.tif', cube('int16'), nodata=0, **LAYOUTS['band tiles'])

    def fail(*args: Any) -> None:
        raise AssertionError('read by GDAL')

    with GeoTIFFReader(path) as reader:
        expected = reader.read_masked(window=Window(32, 16, 58, 48)).values
        monkeypatch.setattr(reader, '_read_raw', fail)
        found = reader.read_masked(window=Window(32, 16, 58, 48)).values
        np.testing.assert_array_equal(found, expected)
        # a small window comes again, and GDAL keeps its block
        with pytest.raises(AssertionError, match='by GDAL'):
            reader.read_masked(window=Window(30, 14, 4, 4))


def test_damage_is_found_in_threads(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', cube('int16'), nodata=0, **LAYOUTS['band tiles'])
    with rasterio.open(path) as src:
        place = int(src.get_tag_item('BLOCK_OFFSET_1_1', 'TIFF', bidx=4))
    with path.open('r+b') as file:
        file.seek(place)
        file.write(b'\xff' * 40)
    with GeoTIFFReader(path) as reader, decoding_threads(2):
        with pytest.raises(CorruptFileError, match=r'a\.tif is damaged'):
            reader.read_masked()
        with pytest.raises(BandMismatchError):
            reader.read_masked([7])


def test_files_that_only_gdal_reads(tmp_path: Path) -> None:
    values = cube('uint8')[:3, :64, :80]
    path = write(tmp_path / 'a.tif', values, compress='jpeg', interleave='pixel')
    with GeoTIFFReader(path) as reader:
        check(reader, None, None)


def test_sparse_files(tmp_path: Path) -> None:
    options = LAYOUTS['band tiles'] | {'SPARSE_OK': True}
    path = write(tmp_path / 'a.tif', cube('int16') * 0, nodata=0, **options)
    with GeoTIFFReader(path) as reader:
        part = reader.read_masked()
    assert not part.some.any()
    assert not read_tiff(path).any()


def test_threads_hold_for_one_thread_only() -> None:
    names: set[str] = set()
    barrier = threading.Barrier(2, timeout=10)

    def task(number: int) -> None:
        barrier.wait()
        names.add(threading.current_thread().name)

    with decoding_threads(2):
        for_each(task, range(4))
        other = threading.Thread(target=for_each, args=(names.add, ['alone']))
        other.start()
        other.join()
    assert len(names) == 3
    order: list[int] = []
    for_each(order.append, range(4))
    assert order == [0, 1, 2, 3]
