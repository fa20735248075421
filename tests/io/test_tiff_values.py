# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a TIFF says about itself, and numbers as float."""

import itertools
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from helpers.tiffs import write_raster
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rasterio.windows import Window

from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.io import (
    GeoTIFFReader,
    TIFFInfo,
    read_tiff,
    read_tiff_float,
    tiff_info,
    to_float,
)


def write(
    path: Path, dtype: str = 'int16', values: np.ndarray | None = None, **options: Any
) -> np.ndarray:
    if values is None:
        values = np.random.default_rng(0).integers(1, 99, (4, 9, 7)).astype(dtype)
    return write_raster(path, values, **({'dtype': dtype} | options))


def check_info(path: Path) -> TIFFInfo:
    """Compare with rasterio."""
    info = tiff_info(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(path) as src:
            assert info.shape == (src.count, src.height, src.width)
            assert info.dtype == src.dtypes[0]
            assert (info.nodata is None) == (src.nodata is None)
            if src.nodata is not None:
                np.testing.assert_equal(info.nodata, src.nodata)
            assert info.crs == src.crs
            expected = None if src.transform.is_identity else src.transform
            assert info.transform == expected
            assert info.interleave == src.interleaving.value.lower()
            packed = src.compression
            assert info.compression == (
                None if packed is None else packed.value.lower()
            )
            assert info.tiled == src.profile['tiled']
    return info


@pytest.mark.parametrize(
    'options',
    [
        {'interleave': 'pixel'},
        {'interleave': 'band', 'compress': 'lzw'},
        {'tiled': True, 'blockxsize': 16, 'blockysize': 16, 'compress': 'zstd'},
        {'compress': 'deflate', 'ENDIANNESS': 'BIG', 'BIGTIFF': 'YES'},
        {'compress': 'lzma'},
        {'compress': 'packbits'},
        {'nbits': 9, 'dtype': 'uint16'},
    ],
)
def test_info(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / 'cube.tif', **options)
    check_info(tmp_path / 'cube.tif')


@pytest.mark.parametrize(
    ('dtype', 'nodata'),
    [
        ('int16', -32768),
        ('uint8', 0),
        ('uint16', 65535),
        ('float32', np.nan),
        ('float32', -3.4028234663852886e38),
        ('float32', -9999.25),
        ('float64', np.inf),
        ('uint32', None),
    ],
)
def test_nodata_tag(tmp_path: Path, dtype: str, nodata: float | None) -> None:
    write(tmp_path / 'cube.tif', dtype, nodata=nodata)
    np.testing.assert_equal(check_info(tmp_path / 'cube.tif').nodata, nodata)


def test_nodata_that_pixels_cannot_have(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path, 'int16', nodata=-999)
    data = path.read_bytes()
    assert data.count(b'-999\0') == 1
    for text, nodata in ((b'70000', None), (b'-1e9\0', None), (b'nan\0\0', None)):
        path.write_bytes(data.replace(b'-999\0', text))
        assert tiff_info(path).nodata is nodata
    # neither a number nor a whole one: for GDAL to decide
    for text in (b'none\0', b'-0.5\0'):
        path.write_bytes(data.replace(b'-999\0', text))
        check_info(path)


@pytest.mark.parametrize(
    'transform',
    [
        Affine(30, 0, 365055, 0, -30, 5809965),
        Affine(0.25, 0, -70.125, 0, -0.5, 3.5),
        Affine(28.2, 6.8, 5e5, 10.3, -18.8, 5e6),
        Affine(30, 0, 365055, 0, 30, 5809965),
        Affine.identity(),
    ],
)
@pytest.mark.parametrize('point', [False, True])
def test_transform(tmp_path: Path, transform: Affine, point: bool) -> None:
    path = tmp_path / 'cube.tif'
    write(path, transform=transform)
    if point:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.open(path, 'r+') as dst:
                dst.update_tags(AREA_OR_POINT='Point')
    check_info(path)


def test_no_georeference(tmp_path: Path) -> None:
    write(tmp_path / 'cube.tif', crs=None, transform=Affine.identity())
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        info = check_info(tmp_path / 'cube.tif')
    assert info.crs is None
    assert info.transform is None


def test_sidecar_takes_precedence(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path, nodata=-1)
    Path(f'{path}.aux.xml').write_text(
        '<PAMDataset><GeoTransform>1, 20, 0, 2, 0, -20</GeoTransform></PAMDataset>'
    )
    assert check_info(path).transform == Affine(20, 0, 1, 0, -20, 2)


def test_bands_as_the_reader_of_cubes(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    assert tiff_info(path).bands is None
    with rasterio.open(path, 'r+') as dst:
        for i in range(4):
            dst.update_tags(i + 1, wavelength=str(450 + 100 * i), fwhm='10')
    with pytest.raises(MetadataError, match='unit'):
        _ = tiff_info(path).bands
    with rasterio.open(path, 'r+') as dst:
        for i in range(4):
            dst.update_tags(i + 1, wavelength_units='nm')
    bands = tiff_info(path).bands
    assert bands is not None
    np.testing.assert_allclose(bands.wavelength, [0.45, 0.55, 0.65, 0.75])
    with GeoTIFFReader(path) as reader:
        assert reader.info.bands == bands


def naive(raw: np.ndarray, nodata: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Convert number by number."""
    values = np.zeros(raw.shape, np.float32)
    valid = np.ones(raw.shape[1:], bool)
    for place in np.ndindex(raw.shape):
        number = raw[place].item()
        if number == nodata or not np.isfinite(number):
            valid[place[1:]] = False
        else:
            values[place] = number
    return values, valid


def layouts(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same numbers in several orders in memory."""
    last = np.ascontiguousarray(values.transpose(1, 2, 0)).transpose(2, 0, 1)
    large = np.zeros((values.shape[1] + 3, values.shape[2] + 5, len(values) + 1))
    crop = large.astype(values.dtype)[2:-1, 1:-4, 1:].transpose(2, 0, 1)
    crop[...] = values
    columns = np.asfortranarray(values)
    return {'first': values, 'last': last, 'crop': crop, 'columns': columns}


@pytest.mark.parametrize('dtype', ['int16', 'uint16', 'uint8', 'int32', 'f4', 'f8'])
@pytest.mark.parametrize('nodata', [None, 0, 7, -32768, np.nan])
def test_to_float(dtype: str, nodata: float | None) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 90, (3, 11, 6)).astype(dtype)
    if dtype == 'int16':
        values[1, 4, 2] = -32768
    elif dtype[0] == 'f':
        values[:, 4, 2] = np.nan, np.inf, -32768
    expected, mask = naive(values, nodata)
    for name, raw in layouts(values).items():
        before = raw.copy()
        got, valid = to_float(raw, nodata)
        np.testing.assert_array_equal(got, expected, name)
        np.testing.assert_array_equal(valid, mask, name)
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        assert not np.shares_memory(got, raw)
        np.testing.assert_array_equal(raw, before)


@pytest.mark.parametrize('shape', [(202, 70, 64), (3, 2, 40000), (1, 300, 300)])
def test_to_float_in_many_blocks(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(-99, 5000, shape).astype(np.int16)
    values[:, -1, 5] = -32768
    values[0, 0, 3] = -32768
    mask = (values != -32768).all(axis=0)
    expected = np.where(values == -32768, 0, values).astype(np.float32)
    for name, raw in layouts(values).items():
        got, valid = to_float(raw, -32768)
        np.testing.assert_array_equal(got, expected, name)
        np.testing.assert_array_equal(valid, mask, name)


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'ENDIANNESS': 'BIG'},
        {'interleave': 'band'},
        {'compress': 'zstd'},
        {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
        {'SPARSE_OK': True},
        {'nbits': 7},
    ],
)
@pytest.mark.parametrize('size', [(4, 9, 7), (6, 400, 300), (3, 2, 90000)])
@pytest.mark.parametrize('dtype', ['int16', 'uint8', 'float32'])
def test_file_to_float(
    tmp_path: Path, options: dict[str, Any], size: tuple[int, int, int], dtype: str
) -> None:
    if 'nbits' in options:
        dtype = 'uint8'
    path = tmp_path / 'cube.tif'
    values = np.random.default_rng(3).integers(1, 99, size).astype(dtype)
    values[:, 1, 1] = 7
    if 'SPARSE_OK' in options:
        values[:] = 7
    bands, height, width = size
    options = {'count': bands, 'height': height, 'width': width, **options}
    write(path, dtype, values, nodata=7, **{'interleave': 'pixel', **options})
    window = Window(1, 1, width - 3, height - 1)
    for indexes, part in itertools.product((None, [2, 0]), (None, window)):
        for nodata in (None, 12):
            raw = read_tiff(path, indexes, part)
            marker = 7 if nodata is None else nodata
            got, valid = read_tiff_float(path, indexes, part, nodata)
            np.testing.assert_array_equal(got, np.where(raw == marker, 0, raw))
            np.testing.assert_array_equal(valid, (raw != marker).all(axis=0))
            assert got.flags.c_contiguous


def test_address_of_gdal(tmp_path: Path) -> None:
    values = write(tmp_path / 'cube.tif', nodata=7)
    archive = shutil.make_archive(str(tmp_path / 'all'), 'zip', tmp_path, 'cube.tif')
    path = f'/vsizip/{archive}/cube.tif'
    np.testing.assert_array_equal(read_tiff(path, [2, 1]), values[[2, 1]])
    assert tiff_info(path).nodata == 7
    got, valid = read_tiff_float(path)
    np.testing.assert_array_equal(got, np.where(values == 7, 0, values))
    np.testing.assert_array_equal(valid, (values != 7).all(axis=0))


def test_nodata_in_the_precision_of_the_file() -> None:
    raw = np.full((1, 2, 2), 0.1, np.float32)
    # a tag is text of a float64
    assert not to_float(raw, 0.1)[1].any()
    assert to_float(raw.astype(np.int16), 0.1)[1].all()
    assert to_float(raw.astype(np.int16), 1e9)[1].all()


def test_to_float_of_a_plane() -> None:
    with pytest.raises(ValueError, match=r'\(C, H, W\)'):
        to_float(np.zeros((4, 4)), None)


def test_to_float_of_nothing() -> None:
    values, valid = to_float(np.zeros((0, 3, 4), np.int16), 0)
    assert values.shape == (0, 3, 4)
    assert valid.shape == (3, 4)


@pytest.mark.realdata
def test_real_tiles(potsdam: Path) -> None:
    paths = sorted(potsdam.rglob('*.tif'))
    assert paths
    for path in paths[:6]:
        check_info(path)
        with rasterio.open(path) as src:
            whole = src.read()
            order = list(range(src.count))[::-2]
        np.testing.assert_array_equal(read_tiff(path), whole)
        np.testing.assert_array_equal(read_tiff(path, order), whole[order])
