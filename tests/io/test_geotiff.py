# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from helpers.tiffs import PLACE, write_raster
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIWarning,
    MetadataError,
    UnitError,
)
from torchgeo_hsi.io import GeoTIFFReader

CENTRES = (450.0, 550.0, 650.0, 860.0)


def cube(dtype: str = 'int16') -> np.ndarray:
    return np.random.default_rng(0).integers(1, 5000, (4, 9, 7)).astype(dtype)


def write(path: Path, values: np.ndarray | None = None, **options: Any) -> np.ndarray:
    return write_raster(path, cube() if values is None else values, **options)


def tag(path: Path, ns: str | None = None, **columns: Any) -> None:
    """Write one tag for each band."""
    with rasterio.open(path, 'r+') as dst:
        for i in range(dst.count):
            dst.update_tags(i + 1, ns=ns, **{k: str(v[i]) for k, v in columns.items()})


def test_pixels_and_place(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path)
    with GeoTIFFReader(path) as reader:
        got, valid = reader.read()
        info = reader.info
    np.testing.assert_array_equal(got, values)
    assert got.dtype == np.float32
    assert valid.all()
    assert info.shape == (4, 9, 7)
    assert info.dtype == 'int16'
    assert info.crs.to_epsg() == 32633
    assert info.transform == PLACE
    assert info.bands is None
    assert info.spectral_source == 'none'
    assert info.start is None


def test_bands_in_any_order_and_window(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path)
    with GeoTIFFReader(path) as reader:
        got, _ = reader.read([3, 0, 3], Window(2, 1, 4, 5))
    np.testing.assert_array_equal(got, values[[3, 0, 3], 1:6, 2:6])


def test_window_over_the_edge_is_padded(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path)
    with GeoTIFFReader(path) as reader:
        got, valid = reader.read([1], Window(-2, 6, 5, 6))
        nothing, nowhere = reader.read([1], Window(50, 50, 3, 3))
    expected = np.zeros((1, 6, 5))
    expected[0, :3, 2:] = values[1, 6:, :3]
    np.testing.assert_array_equal(got, expected)
    inside = np.zeros((1, 6, 5), bool)
    inside[0, :3, 2:] = True
    np.testing.assert_array_equal(valid, inside)
    assert not nothing.any()
    assert not nowhere.any()


@pytest.mark.parametrize('index', [4, -1])
def test_band_that_does_not_exist(tmp_path: Path, index: int) -> None:
    write(tmp_path / 'cube.tif')
    with (
        GeoTIFFReader(tmp_path / 'cube.tif') as reader,
        pytest.raises(BandMismatchError, match='0 to 3'),
    ):
        reader.read([index])


@pytest.mark.parametrize(
    ('dtype', 'nodata', 'stored'),
    [
        ('int16', -32768, -32768),
        ('float32', -9999, -9999),
        # the tag is float64 and the pixel float32
        ('float32', -3.4028234663852886e38, np.finfo('f4').min),
        ('float32', np.nan, np.nan),
        ('float32', -9999, np.inf),
        ('uint8', 255, 255),
    ],
)
def test_nodata(tmp_path: Path, dtype: str, nodata: float, stored: float) -> None:
    values = (cube() % 200).astype(dtype)
    values[2, 4, 5] = stored
    write(tmp_path / 'cube.tif', values, nodata=nodata)
    with GeoTIFFReader(tmp_path / 'cube.tif') as reader:
        got, valid = reader.read()
    assert np.argwhere(~valid).tolist() == [[2, 4, 5]]
    assert got[2, 4, 5] == 0
    np.testing.assert_array_equal(got[valid], values[valid])


def test_nodata_of_the_caller_wins(tmp_path: Path) -> None:
    values = cube()
    values[0, 0, 0] = -1
    write(tmp_path / 'cube.tif', values, nodata=7)
    with GeoTIFFReader(tmp_path / 'cube.tif', nodata=-1) as reader:
        _, valid = reader.read()
    assert np.argwhere(~valid).tolist() == [[0, 0, 0]]


def test_scale_leads_to_reflectance_times_10000(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path)
    values[0, 0, 0] = -32768
    write(path, values, nodata=-32768)
    with rasterio.open(path, 'r+') as dst:
        dst.scales = (0.0002,) * 4
        dst.offsets = (-0.01,) * 4
    with GeoTIFFReader(path) as reader:
        got, valid = reader.read([2, 0])
    expected = values[[2, 0]].astype(float) * 2 - 100
    np.testing.assert_allclose(got[valid], expected[valid], rtol=1e-6)
    assert got[1, 0, 0] == 0
    with GeoTIFFReader(path, scale=3.0) as reader:
        got, _ = reader.read([1])
    np.testing.assert_allclose(got[0], values[1] * 3.0)


def test_usual_scale_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    values = write(path)
    with rasterio.open(path, 'r+') as dst:
        dst.scales = (0.0001,) * 4
    with GeoTIFFReader(path) as reader:
        assert reader.info.gain is None
        np.testing.assert_array_equal(reader.read()[0], values)


def test_band_tags(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    tag(
        path,
        wavelength=CENTRES,
        fwhm=(7, 8, 9, 10),
        bbl=(1, 0, 1, 1),
        wavelength_units=['Nanometers'] * 4,
    )
    with rasterio.open(path, 'r+') as dst:
        dst.update_tags(start_time='2022-07-24T10:45:26')
        for i, name in enumerate('abcd'):
            dst.set_band_description(i + 1, name)
    with GeoTIFFReader(path) as reader:
        info = reader.info
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength, np.array(CENTRES) / 1e3)
    np.testing.assert_allclose(info.bands.fwhm, [0.007, 0.008, 0.009, 0.010])
    assert info.bands.good.tolist() == [True, False, True, True]
    assert info.bands.names == ('a', 'b', 'c', 'd')
    assert info.spectral_source == 'scene'
    assert info.start == '2022-07-24T10:45:26'


def test_imagery_tags(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    micrometres = np.array(CENTRES) / 1e3
    tag(path, 'IMAGERY', CENTRAL_WAVELENGTH_UM=micrometres, FWHM_UM=[0.01] * 4)
    with GeoTIFFReader(path) as reader:
        assert reader.info.bands is not None
        np.testing.assert_allclose(reader.info.bands.wavelength, micrometres)
        np.testing.assert_allclose(reader.info.bands.fwhm, 0.01)


def test_list_in_the_tags_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    with rasterio.open(path, 'r+') as dst:
        text = '{450, 550, 650,\n 860}'
        tags = {'wavelength': text, 'wavelength_units': 'nm', 'bbl': '{1, 1, 0, 1}'}
        dst.update_tags(ns='ENVI', **tags)
    with GeoTIFFReader(path) as reader:
        assert reader.info.bands is not None
        np.testing.assert_allclose(
            reader.info.bands.wavelength, np.array(CENTRES) / 1e3
        )
        assert reader.info.bands.good.tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ('level', 'widths', 'why'),
    [
        (None, ('7', 'wide', '9', '10'), 'not all are finite'),
        (None, ('nan', 'nan', 'nan', 'nan'), 'not all are finite'),
        (None, ('7', '8', '', '10'), 'there are 3 for 4 bands'),
        ('IMAGERY', ('0.01', '0.01', '0.01', 'unknown'), 'not all are finite'),
        ('ENVI', ('7', '8', 'Inf', '10'), 'not all are finite'),
        ('ENVI', ('7', '8', '9'), 'there are 3 for 4 bands'),
    ],
)
def test_bad_widths_are_told(
    tmp_path: Path, level: str | None, widths: tuple[str, ...], why: str
) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    if level == 'ENVI':
        # lists in the tags of the whole file
        with rasterio.open(path, 'r+') as dst:
            lists = {'wavelength': CENTRES, 'fwhm': widths}
            texts = {k: f'{{{", ".join(map(str, v))}}}' for k, v in lists.items()}
            dst.update_tags(ns='ENVI', wavelength_units='nm', **texts)
    elif level == 'IMAGERY':
        centres = [centre / 1e3 for centre in CENTRES]
        tag(path, level, CENTRAL_WAVELENGTH_UM=centres, FWHM_UM=widths)
    else:
        tag(path, wavelength=CENTRES, fwhm=widths, wavelength_units=['nm'] * 4)
    with pytest.warns(HSIWarning, match=rf'cube\.tif are left out: .*{why}.*fwhm='):
        reader = GeoTIFFReader(path)
    assert reader.info.bands is not None
    assert reader.info.bands.fwhm is None
    # what the caller says needs no widths of the file
    with GeoTIFFReader(path, fwhm=[0.02] * 4) as given:
        assert given.info.bands is not None
        np.testing.assert_allclose(given.info.bands.fwhm, 0.02)


def test_a_missing_unit_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    tag(path, wavelength=CENTRES)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        GeoTIFFReader(path)
    with pytest.raises(UnitError, match='nanometres'):
        GeoTIFFReader(path, wavelength_unit='um')
    with GeoTIFFReader(path, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.wavelength[0] == pytest.approx(0.45)


def test_wavelengths_of_the_caller(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    with GeoTIFFReader(path, wavelength=[0.5, 0.6, 0.7, 0.8]) as reader:
        assert reader.info.spectral_source == 'user'
        assert reader.info.bands is not None
        assert reader.info.bands.fwhm is None
    with GeoTIFFReader(
        path, wavelength=CENTRES, fwhm=[10] * 4, wavelength_unit='nm'
    ) as reader:
        assert reader.info.bands is not None
        np.testing.assert_allclose(reader.info.bands.fwhm, 0.01)
    with pytest.raises(UnitError, match='nanometres'):
        GeoTIFFReader(path, wavelength=CENTRES)
    with pytest.raises(BandMismatchError, match='4 wavelengths'):
        GeoTIFFReader(path, wavelength=[0.5, 0.6])
    with pytest.raises(MetadataError, match='fwhm= alone'):
        GeoTIFFReader(path, fwhm=[0.01] * 4)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    path.touch()
    with pytest.raises(CorruptFileError, match=r'cube\.tif is empty'):
        GeoTIFFReader(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='cube'):
        GeoTIFFReader(tmp_path / 'cube.tif')


def test_no_raster(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    path.write_text('<html>Login required</html>')
    with pytest.raises(CorruptFileError, match=r'cube\.tif cannot be opened'):
        GeoTIFFReader(path)


@pytest.mark.parametrize('interleave', ['band', 'pixel'])
@pytest.mark.parametrize('compress', [None, 'deflate'])
def test_truncated_file_is_found_at_once(
    tmp_path: Path, interleave: str, compress: str | None
) -> None:
    whole, cut = tmp_path / 'whole.tif', tmp_path / 'cut.tif'
    noise = np.random.default_rng(0).integers(0, 9999, (4, 64, 64), np.int16)
    write(whole, noise, interleave=interleave, compress=compress)
    shutil.copy(whole, cut)
    os.truncate(cut, int(whole.stat().st_size * 0.9))
    with pytest.raises(CorruptFileError, match=r'cut\.tif'):
        GeoTIFFReader(cut)
    GeoTIFFReader(whole).close()


def test_damaged_block(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    noise = np.random.default_rng(0).integers(0, 9999, (4, 64, 64), np.int16)
    write(path, noise, compress='deflate')
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b'\x00' * 400
    path.write_bytes(content)
    with (
        GeoTIFFReader(path) as reader,
        pytest.raises(CorruptFileError, match=r'cube\.tif is truncated or damaged'),
    ):
        reader.read()


def test_without_georeference(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path, crs=None, transform=None)
    before = list(warnings.filters)

    def read(_: int) -> tuple[object, object]:
        # it is no news that a cube from a laboratory lies nowhere
        with GeoTIFFReader(path) as reader:
            return reader.info.crs, reader.info.transform

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(read, range(40))) == {(None, None)}
        assert not caught
        # nobody else is silenced
        rasterio.open(path).close()
        assert [w.category for w in caught] == [rasterio.errors.NotGeoreferencedWarning]
    assert list(warnings.filters) == before


def test_info_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / 'cube.tif'
    write(path)
    tag(path, wavelength=CENTRES, wavelength_units=['nm'] * 4)
    with rasterio.open(path, 'r+') as dst:
        dst.scales = (0.0001,) * 4
    with GeoTIFFReader(path) as reader:
        assert repr(reader.info) == (
            f'CubeInfo({path}: unknown, BandSet(4 bands, 0.45 to 0.86 µm, no FWHM), '
            '9 x 7 pixels, int16, EPSG:32633)'
        )


@pytest.mark.realdata
def test_potsdam(potsdam: Path) -> None:
    path = potsdam / 'images' / 'enmap_potsdam_tile_96_0.tif'
    with rasterio.open(path) as src:
        expected = src.read([1, 48, 224])
        centres = [float(src.tags(i)['wavelength']) for i in range(1, 225)]
    with GeoTIFFReader(path) as reader:
        got, valid = reader.read([0, 47, 223])
        info = reader.info
    np.testing.assert_array_equal(got, expected)
    assert valid.all()
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength, np.array(centres) / 1e3)
    assert np.flatnonzero(~info.bands.good).tolist() == list(range(129, 135))
    # detector order: the first SWIR band lies before the last VNIR band
    assert not info.bands.is_sorted
    assert info.start == '2022-07-24T10:45:26'
