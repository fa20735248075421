# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from data.cubes.data import CENTRES, make_cube, write_envi
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIWarning,
    MetadataError,
    UnitError,
)
from torchgeo_hsi.io import ENVIReader

SPECTRAL = {
    'wavelength': '{450, 550, 650,\n 860, 1650,\n ; a comment\n 2200}',
    'wavelength units': 'Nanometers',
}


@pytest.mark.parametrize('interleave', ['bsq', 'bil', 'bip'])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('dtype', ['i2', 'u2', 'f4', 'f8', 'u1', 'i4'])
def test_pixels(tmp_path: Path, interleave: str, order: str, dtype: str) -> None:
    cube = make_cube(dtype)
    path = tmp_path / 'cube.dat'
    write_envi(path, cube, interleave, order=order, skip=13)
    with ENVIReader(path) as reader:
        whole, valid = reader.read()
        part, _ = reader.read([5, 0, 5], Window(2, 3, 4, 5))
        assert reader.info.shape == cube.shape
        assert reader.info.dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(whole, cube)
    np.testing.assert_array_equal(part, cube[[5, 0, 5], 3:8, 2:6])
    assert valid.all()


@pytest.mark.parametrize('interleave', ['bsq', 'bil', 'bip'])
def test_agrees_with_gdal(tmp_path: Path, interleave: str) -> None:
    path = tmp_path / 'cube.img'
    cube = make_cube()
    profile = {'count': 6, 'height': 9, 'width': 7, 'dtype': 'int16'}
    place = {
        'crs': 'EPSG:32733',
        'transform': rasterio.Affine(30, 0, 365055, 0, -20, 5809965),
    }
    with rasterio.open(
        path, 'w', driver='ENVI', interleave=interleave, nodata=-9, **profile, **place
    ) as dst:
        dst.write(cube)
    with ENVIReader(path) as reader:
        np.testing.assert_array_equal(reader.read()[0], cube)
        assert reader.info.crs.to_epsg() == 32733
        assert reader.info.transform == place['transform']
        assert reader.info.nodata == -9


@pytest.mark.parametrize(
    'text',
    [
        '{UTM, 1, 1, 365055, 5809965, 30, 20, 33, North, WGS-84, units=Meters}',
        '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, South, WGS-84}',
        '{UTM, 2.5, 3, 365055, 5809965, 30, 20, 33, North, WGS-84}',
        '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, WGS-84, rotation=12.5}',
        '{Geographic Lat/Lon, 1, 1, 13.1, 52.4, 0.01, 0.02, WGS-84, units=Degrees}',
    ],
)
def test_map_info_as_gdal_reads_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'cube.dat'
    write_envi(path, make_cube(), fields={'map info': text})
    with rasterio.open(path) as src, ENVIReader(path) as reader:
        assert reader.info.transform is not None
        assert reader.info.transform.almost_equals(src.transform, 1e-6)
        assert reader.info.crs == src.crs


@pytest.mark.parametrize(
    'text',
    [
        '{Arbitrary, 1, 1, 0, 0, 1, 1}',
        '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, Potsdam Datum}',
    ],
)
def test_unknown_projection_keeps_the_transform(tmp_path: Path, text: str) -> None:
    write_envi(tmp_path / 'cube.dat', make_cube(), fields={'map info': text})
    with ENVIReader(tmp_path / 'cube.hdr') as reader:
        assert reader.info.crs is None
        assert reader.info.transform is not None


def test_header_with_everything(tmp_path: Path) -> None:
    cube = make_cube()
    cube[1, 2, 3] = -7
    header = write_envi(
        tmp_path / 'cube.dat',
        cube,
        fields={
            **SPECTRAL,
            'FWHM': '{20, 20, 20, 30, 60, 80}',
            'bbl': '{1, 1, 0, 1, 1, 1}',
            'Band  Names': '{a, b, c, d, e, f}',
            'data ignore value': '-7',
            'reflectance scale factor': '1000',
            'sensor type': 'AISA',
            'acquisition time': '2022-07-24T10:45:26Z',
        },
    )
    with ENVIReader(header) as reader:
        info = reader.info
        values, valid = reader.read()
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength, np.array(CENTRES) / 1e3)
    np.testing.assert_allclose(info.bands.fwhm, [0.02, 0.02, 0.02, 0.03, 0.06, 0.08])
    assert info.bands.names == tuple('abcdef')
    assert info.bands.good.tolist() == [True, True, False, True, True, True]
    assert (info.sensor, info.start) == ('AISA', '2022-07-24T10:45:26Z')
    # reflectance = number / 1000, so reflectance x 10 000 = number x 10
    np.testing.assert_allclose(values[valid], cube[valid] * 10.0)
    assert np.argwhere(~valid).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'data gain values': '{1, 2, 3, 4, 5, 6}'}, [1, 2, 3, 4, 5, 6]),
        ({'data reflectance gain values': '{0.001}'}, [10] * 6),
    ],
)
def test_gains(tmp_path: Path, fields: dict[str, str], expected: list[float]) -> None:
    cube = make_cube()
    header = write_envi(tmp_path / 'cube.dat', cube, fields=fields)
    with ENVIReader(header) as reader:
        values, _ = reader.read()
    np.testing.assert_allclose(values, cube * np.array(expected)[:, None, None])


def test_offsets(tmp_path: Path) -> None:
    cube = make_cube()
    fields = {'data offset values': '{1, 2, 3, 4, 5, 6}'}
    with ENVIReader(write_envi(tmp_path / 'c.dat', cube, fields=fields)) as reader:
        values, _ = reader.read([5])
    np.testing.assert_allclose(values[0], cube[5] + 6.0)


@pytest.mark.parametrize('unit', [None, 'Unknown', 'Index'])
def test_a_missing_unit_is_never_guessed(tmp_path: Path, unit: str | None) -> None:
    fields = {'wavelength': SPECTRAL['wavelength']}
    fields |= {} if unit is None else {'wavelength units': unit}
    header = write_envi(tmp_path / 'cube.dat', make_cube(), fields=fields)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        ENVIReader(header)
    with pytest.raises(UnitError):
        ENVIReader(header, wavelength_unit='um')
    with ENVIReader(header, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.wavelength[0] == pytest.approx(0.45)


def test_unit_that_is_no_wavelength(tmp_path: Path) -> None:
    fields = {**SPECTRAL, 'wavelength units': 'Wavenumber'}
    header = write_envi(tmp_path / 'cube.dat', make_cube(), fields=fields)
    with pytest.raises(UnitError, match='Wavenumber'):
        ENVIReader(header)


def test_unknown_widths_are_left_out(tmp_path: Path) -> None:
    fields = {**SPECTRAL, 'fwhm': '{0, 0, 0, 0, 0, 0}'}
    with ENVIReader(write_envi(tmp_path / 'c.dat', make_cube(), fields=fields)) as r:
        assert r.info.bands is not None
        assert r.info.bands.fwhm is None


@pytest.mark.parametrize(
    ('widths', 'why'),
    [
        ('{20, 20, 20, 30, 60}', 'there are 5 for 6 bands'),
        ('{20, 20, 20, NaN, 60, 80}', 'not all are finite'),
        ('{20, 20, wide, 30, 60, 80}', 'not all are finite'),
        ('{20, 20, -20, 30, 60, 80}', 'not positive'),
        ('{20, 20, 0, 30, 60, 80}', 'not positive'),
    ],
)
def test_bad_widths_are_told(tmp_path: Path, widths: str, why: str) -> None:
    header = write_envi(
        tmp_path / 'c.dat', make_cube(), fields={**SPECTRAL, 'fwhm': widths}
    )
    with pytest.warns(HSIWarning, match=rf'c\.hdr are left out: .*{why}.*pass fwhm='):
        reader = ENVIReader(header)
    assert reader.info.bands is not None
    assert reader.info.bands.fwhm is None
    # what the caller says needs no widths of the file
    given = ENVIReader(header, fwhm=[0.02] * 6)
    assert given.info.bands is not None
    assert given.info.bands.fwhm is not None


@pytest.mark.parametrize(
    ('field', 'text'),
    [
        ('reflectance scale factor', '0'),
        ('reflectance scale factor', 'NaN'),
        ('reflectance scale factor', 'Inf'),
        ('reflectance scale factor', 'unknown'),
        ('data gain values', '{1, 1, NaN, 1, 1, 1}'),
        ('data reflectance gain values', '{x}'),
        ('data offset values', '{Inf}'),
    ],
)
def test_bad_scales_are_told(tmp_path: Path, field: str, text: str) -> None:
    cube = make_cube()
    header = write_envi(tmp_path / 'c.dat', cube, fields={field: text})
    with pytest.warns(HSIWarning, match=rf"'{field}' of .*c\.hdr is left out.*scale="):
        reader = ENVIReader(header)
    assert reader.info.gain is None
    assert reader.info.offset is None
    assert ENVIReader(header, scale=2.0).info.gain == (2.0,) * 6


def test_a_bad_ignore_value_is_told(tmp_path: Path) -> None:
    fields = {'data ignore value': 'minus one'}
    header = write_envi(tmp_path / 'c.dat', make_cube(), fields=fields)
    match = r"'data ignore value' of .*c\.hdr is left out: 'minus one' .*nodata="
    with pytest.warns(HSIWarning, match=match) as caught:
        reader = ENVIReader(header)
    assert caught[0].filename == __file__
    assert reader.info.nodata is None
    assert ENVIReader(header, nodata=-1).info.nodata == -1


@pytest.mark.parametrize('text', ['NaN', '-Inf', ''])
def test_what_is_never_data_needs_no_ignore_value(tmp_path: Path, text: str) -> None:
    fields = {'data ignore value': text}
    header = write_envi(tmp_path / 'c.dat', make_cube('f4'), fields=fields)
    # warnings are errors here
    assert ENVIReader(header).info.nodata is None


def test_truncated_data(tmp_path: Path) -> None:
    path = tmp_path / 'cube.dat'
    write_envi(path, make_cube(), skip=10)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    expected = 10 + 6 * 9 * 7 * 2
    assert len(whole) == expected
    with pytest.raises(
        CorruptFileError, match=rf'cube\.dat.*{expected} bytes.*{expected - 1}'
    ):
        ENVIReader(path)


def test_missing_partners(tmp_path: Path) -> None:
    path = tmp_path / 'cube.dat'
    header = write_envi(path, make_cube())
    path.rename(tmp_path / 'other.dat')
    with pytest.raises(MetadataError, match=r'no binary file beside .*cube\.hdr'):
        ENVIReader(header)
    with pytest.raises(MetadataError, match=r'no header beside .*other\.dat'):
        ENVIReader(tmp_path / 'other.dat')


def test_header_named_after_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / 'cube.dat'
    header = write_envi(path, make_cube())
    header.rename(tmp_path / 'cube.dat.HDR')
    for name in ('cube.dat', 'cube.dat.HDR'):
        with ENVIReader(tmp_path / name) as reader:
            assert reader.info.path == str(path)


@pytest.mark.parametrize(
    ('change', 'error', 'match'),
    [
        ({'data type': 6}, MetadataError, 'data type 6'),
        ({'data type': 'x'}, MetadataError, 'whole number'),
        ({'interleave': 'tiled'}, MetadataError, 'bsq, bil or bip'),
        ({'file type': 'ENVI Spectral Library'}, MetadataError, 'library'),
        ({'file compression': 1}, MetadataError, 'uncompressed'),
        ({'bands': 0}, MetadataError, 'at least 1'),
        ({'map info': '{UTM, 1'}, CorruptFileError, 'does not end'),
    ],
)
def test_bad_headers(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], match: str
) -> None:
    header = write_envi(tmp_path / 'cube.dat', make_cube(), fields=change)
    with pytest.raises(error, match=match):
        ENVIReader(header)


@pytest.mark.parametrize(
    ('text', 'error', 'match'),
    [
        ('', CorruptFileError, 'empty'),
        ('hello\n', CorruptFileError, 'not an ENVI header'),
        ('ENVI\nsamples = 7\nlines = 9\n', MetadataError, 'lacks bands, data type'),
    ],
)
def test_no_header(
    tmp_path: Path, text: str, error: type[Exception], match: str
) -> None:
    header = write_envi(tmp_path / 'cube.dat', make_cube())
    header.write_text(text)
    with pytest.raises(error, match=match):
        ENVIReader(header)


def test_only_the_window_is_read(tmp_path: Path) -> None:
    # a sparse file of 200 GB: reading more than the window would not end
    path = tmp_path / 'huge.dat'
    header = write_envi(path, make_cube())
    text = header.read_text().replace('lines = 9', 'lines = 100000')
    text = text.replace('samples = 7', 'samples = 170000')
    header.write_text(text)
    with open(path, 'r+b') as file:
        file.truncate(6 * 100_000 * 170_000 * 2)
    with ENVIReader(path) as reader:
        values, valid = reader.read([1, 5], Window(169_000, 99_000, 4, 4))
    assert not values.any()
    assert valid.all()


def test_closed(tmp_path: Path) -> None:
    reader = ENVIReader(write_envi(tmp_path / 'cube.dat', make_cube()))
    reader.close()
    with pytest.raises(CorruptFileError, match='closed'):
        reader.read()


@pytest.mark.parametrize('count', [5, 7])
def test_not_one_wavelength_for_each_band(tmp_path: Path, count: int) -> None:
    values = ', '.join(str(450 + 50 * i) for i in range(count))
    fields = {**SPECTRAL, 'wavelength': f'{{{values}}}'}
    header = write_envi(tmp_path / 'cube.dat', make_cube(), fields=fields)
    with pytest.raises(
        BandMismatchError,
        match=rf'6 wavelengths .*cube\.hdr, got {count}\. .*pass wavelength=',
    ):
        ENVIReader(header)
    with ENVIReader(header, wavelength=CENTRES, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.wavelength[0] == pytest.approx(0.45)
