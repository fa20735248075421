# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import itertools
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.io import _tiff_codecs, read_tiff, tiff, tiff_info
from torchgeo_hsi.io._tiff_layout import TIFFLayout, find_layout
from torchgeo_hsi.io._tiff_tags import Tags, open_plain, read_into

BANDS, HEIGHT, WIDTH = 5, 37, 41
PLACE = Affine(30, 0, 365055, 0, -30, 5809965)
STRIPS = {'blockysize': 7}
TILES = {'tiled': True, 'blockxsize': 16, 'blockysize': 32}
CODECS = {
    'none': {},
    'deflate': {'compress': 'deflate'},
    'deflate2': {'compress': 'deflate', 'predictor': 2},
    'zstd2': {'compress': 'zstd', 'predictor': 2},
    'lzw2': {'compress': 'lzw', 'predictor': 2},
    'lzma': {'compress': 'lzma'},
    'packbits': {'compress': 'packbits'},
}
CHOICES = (None, [4, 0, 2], [1, 2, 3], [3, 3])
WINDOWS = (
    None,
    Window(3, 5, 20, 25),
    Window(16, 32, 16, 5),
    Window(0, 7, 41, 14),
    Window(40, 36, 1, 1),
)


def cube(dtype: str = 'int16', shape: tuple[int, ...] | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(1, 120, shape or (BANDS, HEIGHT, WIDTH)).astype(dtype)


def write(path: Path, values: np.ndarray | None = None, **options: Any) -> np.ndarray:
    values = cube() if values is None else values
    count, height, width = values.shape
    profile = {
        'driver': 'GTiff',
        'count': count,
        'height': height,
        'width': width,
        'dtype': values.dtype,
        'crs': 'EPSG:32633',
        'transform': PLACE,
        'interleave': 'pixel',
    }
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(path, 'w', **{**profile, **options}) as dst:
            dst.write(values)
    return values


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


@pytest.fixture(params=['imagecodecs', 'gdal'], autouse=True)
def decoders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode by the optional package, and without it."""
    if request.param == 'gdal':
        monkeypatch.setattr(_tiff_codecs, '_decoders', dict)
    else:
        pytest.importorskip('imagecodecs')


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


def test_no_file_stays_open(tmp_path: Path) -> None:
    if not os.path.isdir('/proc/self/fd'):
        pytest.skip('needs /proc')
    write(tmp_path / 'plain.tif')
    write(tmp_path / 'packed.tif', compress='zstd')
    before = len(os.listdir('/proc/self/fd'))
    arrays = [read_tiff(path) for path in sorted(tmp_path.glob('*.tif')) * 5]
    infos = [tiff_info(path) for path in tmp_path.glob('*.tif')]
    assert infos[0].crs == CRS.from_epsg(32633)
    assert len(os.listdir('/proc/self/fd')) == before
    del arrays


def test_missing_file(tmp_path: Path) -> None:
    for read in (read_tiff, tiff_info):
        for path in (tmp_path / 'nothing.tif', tmp_path):
            with pytest.raises(FileNotFoundError, match='Check the path'):
                read(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'II', 'no TIFF'),
        (b'<html><body>403</body></html>', 'no TIFF'),
        (b'II*\0', 'is truncated'),
        (b'MM\0*\0\0\1\0', 'is truncated'),
        (b'II+\0\x08\0\0\0' + b'\xff' * 8, 'is truncated'),
    ],
)
def test_not_a_tiff(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / 'cube.tif'
    path.write_bytes(content)
    for read in (read_tiff, tiff_info):
        with pytest.raises(CorruptFileError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)
        assert 'ownload' in str(error.value)


@pytest.mark.parametrize('codec', ['none', 'zstd2'])
@pytest.mark.parametrize('blocks', [STRIPS, TILES], ids=['strips', 'tiles'])
def test_truncated(tmp_path: Path, codec: str, blocks: dict[str, Any]) -> None:
    path = tmp_path / 'cube.tif'
    write(path, **CODECS[codec], **blocks)
    whole = path.read_bytes()
    for size in (20, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        # found even where the missing part is not asked for
        for window in (None, Window(0, 0, 2, 2)):
            with pytest.raises(CorruptFileError, match='truncated') as error:
                read_tiff(path, None, window)
            assert str(path) in str(error.value)


@pytest.mark.parametrize('codec', ['deflate2', 'zstd2'])
def test_damaged_block(tmp_path: Path, codec: str) -> None:
    path = tmp_path / 'cube.tif'
    write(path, **CODECS[codec])
    data = bytearray(path.read_bytes())
    data[len(data) - 900 :] = b'\x5a' * 900
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match='cannot be decoded') as error:
        read_tiff(path)
    assert str(path) in str(error.value)


def test_any_damage_is_a_corrupt_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / 'cube.tif'
    logging.getLogger('rasterio').setLevel(logging.CRITICAL)
    outcomes = {True: 0, False: 0}
    for options in ({}, {'compress': 'zstd', 'interleave': 'band', 'BIGTIFF': 'YES'}):
        write(path, **options)
        whole = path.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for place in rng.integers(0, 400, 3):
                data[place] = rng.integers(256)
            path.write_bytes(data[: rng.integers(len(data) // 2, 2 * len(data))])
            for read in (read_tiff, tiff_info):
                with warnings.catch_warnings():
                    warnings.simplefilter('ignore', NotGeoreferencedWarning)
                    try:
                        read(path)
                        outcomes[True] += 1
                    except CorruptFileError:
                        outcomes[False] += 1
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize('bands', [[5], [-1], [0, 7], []])
def test_band_that_does_not_exist(tmp_path: Path, bands: list[int]) -> None:
    write(tmp_path / 'cube.tif')
    with pytest.raises(BandMismatchError, match='0 to 4'):
        read_tiff(tmp_path / 'cube.tif', bands)


@pytest.mark.parametrize(
    'window',
    [Window(-1, 0, 5, 5), Window(0, 30, 5, 8), Window(40, 0, 2, 2), Window(3, 3, 0, 5)],
)
@pytest.mark.parametrize('bits', [7, 8])
def test_window_outside(tmp_path: Path, window: Window, bits: int) -> None:
    write(tmp_path / 'cube.tif', cube('uint8'), nbits=bits)
    with pytest.raises(ValueError, match='inside of the 37 rows and 41 columns'):
        read_tiff(tmp_path / 'cube.tif', None, window)
