# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Our TIFF reader against rasterio, in all kinds of files."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from helpers.tiffs import (
    BANDS,
    CODECS,
    HEIGHT,
    PLACE,
    STRIPS,
    TILES,
    WIDTH,
    cube,
    write,
)
from rasterio.windows import Window

from torchgeo_hsi.io import read_tiff, tiff, tiff_info
from torchgeo_hsi.io._tiff_layout import TIFFLayout, find_layout
from torchgeo_hsi.io._tiff_tags import Tags, open_plain, read_into

pytestmark = pytest.mark.usefixtures('decoders')

CHOICES = (None, [4, 0, 2], [1, 2, 3], [3, 3])

WINDOWS = (
    None,
    Window(3, 5, 20, 25),
    Window(16, 32, 16, 5),
    Window(0, 7, 41, 14),
    Window(40, 36, 1, 1),
)


def by_rasterio(path: Path, bands: list[int] | None, window: Window | None) -> Any:
    with rasterio.open(path) as src:
        indexes = None if bands is None else [band + 1 for band in bands]
        return src.read(indexes, window=window)


def layout_of(path: Path) -> TIFFLayout | None:
    with open_plain(str(path)) as file:
        return find_layout(Tags(file))


def check(path: Path, simple: bool = True) -> None:
    """Compare with rasterio, over bands and windows."""
    assert (layout_of(path) is not None) is simple
    for bands, window in itertools.product(CHOICES, WINDOWS):
        got = read_tiff(path, bands, window)
        expected = by_rasterio(path, bands, window)
        np.testing.assert_array_equal(got, expected, str((bands, window)))
        assert got.dtype == expected.dtype
        assert got.dtype.isnative
        assert got.flags.writeable
        # it holds no memory but its own: neither the file's nor that of other pixels
        owner = got
        while owner.base is not None:
            owner = owner.base
        assert isinstance(owner, np.ndarray)
        assert not isinstance(owner, np.memmap)
        assert owner.nbytes == got.nbytes


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('interleave', ['pixel', 'band'])
@pytest.mark.parametrize('blocks', [STRIPS, TILES], ids=['strips', 'tiles'])
def test_equals_rasterio(
    tmp_path: Path, codec: str, interleave: str, blocks: dict[str, Any]
) -> None:
    path = tmp_path / 'cube.tif'
    for dtype, endian in (
        ('int16', 'LITTLE'),
        ('int16', 'BIG'),
        ('uint8', 'LITTLE'),
        ('int8', 'BIG'),
        ('uint16', 'LITTLE'),
        ('uint32', 'BIG'),
        ('int32', 'LITTLE'),
        ('float32', 'LITTLE'),
        ('float32', 'BIG'),
        ('float64', 'LITTLE'),
        ('int64', 'LITTLE'),
    ):
        write(
            path,
            cube(dtype),
            interleave=interleave,
            ENDIANNESS=endian,
            **CODECS[codec],
            **blocks,
        )
        check(path)


@pytest.mark.parametrize('interleave', ['pixel', 'band'])
def test_predictor_of_floats(tmp_path: Path, interleave: str) -> None:
    path = tmp_path / 'cube.tif'
    values = cube('float32') / np.float32(7)
    write(path, values, interleave=interleave, compress='zstd', predictor=3)
    # bytes of several bands are mixed: GDAL's work
    check(path, simple=interleave == 'band')


@pytest.mark.parametrize('blocks', [STRIPS, TILES], ids=['strips', 'tiles'])
def test_few_of_many_bands(tmp_path: Path, blocks: dict[str, Any]) -> None:
    path = tmp_path / 'cube.tif'
    values = cube(shape=(24, HEIGHT, WIDTH))
    write(path, values, compress='zstd', predictor=2, **blocks)
    for bands in ([20, 3, 3], [5], list(range(0, 24, 4)), list(range(1, 24))):
        np.testing.assert_array_equal(read_tiff(path, bands), values[bands])


@pytest.mark.parametrize('codec', ['none', 'zstd2'])
@pytest.mark.parametrize('endian', ['LITTLE', 'BIG'])
def test_bigtiff(tmp_path: Path, codec: str, endian: str) -> None:
    path = tmp_path / 'cube.tif'
    write(path, BIGTIFF='YES', ENDIANNESS=endian, **CODECS[codec])
    assert path.read_bytes()[2:4] in (b'\x2b\0', b'\0\x2b')
    check(path)
    assert tiff_info(path).transform == PLACE


@pytest.mark.parametrize('codec', ['none', 'deflate2'])
def test_first_image_of_several(tmp_path: Path, codec: str) -> None:
    path = tmp_path / 'cube.tif'
    write(path, **CODECS[codec], **TILES)
    with rasterio.open(path, 'r+') as dst:
        dst.build_overviews([2, 4])
    check(path)


def test_cog(tmp_path: Path) -> None:
    write(tmp_path / 'cube.tif')
    path = tmp_path / 'cog.tif'
    rasterio.shutil.copy(
        tmp_path / 'cube.tif', path, driver='COG', COMPRESS='ZSTD', BLOCKSIZE=128
    )
    check(path)


@pytest.mark.parametrize('nodata', [None, -32768])
@pytest.mark.parametrize('codec', ['none', 'zstd2'])
@pytest.mark.parametrize('interleave', ['pixel', 'band'])
def test_sparse(
    tmp_path: Path, nodata: int | None, codec: str, interleave: str
) -> None:
    path = tmp_path / 'cube.tif'
    values = np.full((BANDS, HEIGHT, WIDTH), nodata or 0, np.int16)
    values[:, 3:20, 20:30] = 7
    options = {'SPARSE_OK': True, 'nodata': nodata, 'interleave': interleave}
    write(path, values, **options, **CODECS[codec], **TILES)
    layout = layout_of(path)
    assert layout is not None
    assert (layout.counts == 0).any()
    check(path)


@pytest.mark.parametrize('codec', ['deflate2', 'none'])
@pytest.mark.parametrize('interleave', ['pixel', 'band'])
def test_blocks_out_of_order(tmp_path: Path, codec: str, interleave: str) -> None:
    path = tmp_path / 'cube.tif'
    shape = (BANDS, 160, 170)
    flat, noise = np.ones(shape, np.int16), cube(shape=shape) * 200
    options = {'SPARSE_OK': True, 'interleave': interleave, **CODECS[codec]}
    write(path, 0 * flat, **options, **TILES)
    with rasterio.open(path, 'r+') as dst:
        for values in (flat, noise):
            # what does not fit into its old place goes to the end of the file
            for row, col in ((4, 0), (0, 6), (2, 2), (0, 0)):
                window = Window(col * 16, row * 32, 16, 32)
                part = values[:, : window.height, : window.width]
                dst.write(part, window=window)
    layout = layout_of(path)
    assert layout is not None
    present = layout.offsets[layout.counts > 0]
    assert (np.diff(present) < 0).any()
    check(path)
    for window in (Window(0, 0, 17, 33), Window(90, 100, 80, 60)):
        expected = by_rasterio(path, None, window)
        np.testing.assert_array_equal(read_tiff(path, None, window), expected)


@pytest.mark.parametrize(
    ('dtype', 'options'),
    [
        ('uint16', {'nbits': 12}),
        ('complex64', {}),
        ('uint8', {'nbits': 7, 'compress': 'lzw'}),
        ('uint8', {'compress': 'jpeg', 'interleave': 'band'}),
    ],
)
def test_rare_kinds_are_read_by_gdal(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    path = tmp_path / 'cube.tif'
    write(path, cube(dtype), **options)
    check(path, simple=False)
    info = tiff_info(path)
    assert info.shape == (BANDS, HEIGHT, WIDTH)
    assert info.dtype == dtype
    assert info.transform == PLACE
    assert info.interleave == options.get('interleave', 'pixel')
    assert info.compression == options.get('compress')


def test_uncompressed_pixels_do_without_gdal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path, nodata=-1)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError('GDAL was asked')

    monkeypatch.setattr(tiff, 'open_raster', fail)
    monkeypatch.setattr('torchgeo_hsi.io._tiff_codecs.MemoryFile', fail)
    got = read_tiff(path)
    np.testing.assert_array_equal(got, values)
    # channels last: nothing had to be moved
    assert got.transpose(1, 2, 0).flags.c_contiguous
    info = tiff_info(path)
    assert (info.shape, info.nodata) == (values.shape, -1)
    assert info.transform == PLACE
    with pytest.raises(AssertionError, match='asked'):
        _ = info.crs


@pytest.mark.parametrize('codec', ['none', 'zstd2'])
def test_window_reads_little_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    path = tmp_path / 'cube.tif'
    values = cube(shape=(64, 96, 80))
    write(path, values, blockysize=32 if codec == 'none' else 4, **CODECS[codec])
    sizes = []

    def count(file: Any, offset: int, target: np.ndarray) -> None:
        sizes.append(target.nbytes)
        read_into(file, offset, target)

    for module in ('_tiff_blocks', '_tiff_codecs'):
        monkeypatch.setattr(f'torchgeo_hsi.io.{module}.read_into', count)
    got = read_tiff(path, None, Window(10, 40, 5, 8))
    np.testing.assert_array_equal(got, values[:, 40:48, 10:15])
    assert len(sizes) == 1
    assert sizes[0] <= 8 * 80 * 64 * 2
