# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.cubes.data import CENTRES, WIDTHS, make_cube, write_netcdf
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.windows import Window

from torchgeo_hsi.errors import CorruptFileError, HSIWarning, MetadataError, UnitError
from torchgeo_hsi.io import NetCDFReader, read_array

PLACE = Affine(30, 0, 365055, 0, -30, 5809965)


@pytest.mark.parametrize(
    'dims',
    [('wavelength', 'y', 'x'), ('y', 'x', 'wavelength'), ('x', 'y', 'wavelength')],
)
def test_pixels(tmp_path: Path, dims: tuple[str, str, str]) -> None:
    cube = make_cube('f4')
    path = write_netcdf(tmp_path / 'cube.nc', cube, dims)
    with NetCDFReader(path) as reader:
        info = reader.info
        whole, valid = reader.read()
        part, _ = reader.read([5, 0, 5], Window(2, 3, 4, 5))
    np.testing.assert_array_equal(whole, cube)
    np.testing.assert_array_equal(part, cube[[5, 0, 5], 3:8, 2:6])
    assert valid.all()
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength, np.array(CENTRES) / 1e3)
    np.testing.assert_allclose(info.bands.fwhm, np.array(WIDTHS) / 1e3)
    assert info.transform is not None
    assert info.transform.almost_equals(PLACE, 1e-6)
    assert info.crs is None


def test_grid_mapping(tmp_path: Path) -> None:
    wkt = CRS.from_epsg(32633).to_wkt()
    path = write_netcdf(
        tmp_path / 'cube.nc', make_cube(), crs_wkt=wkt, coordinates=False
    )
    with NetCDFReader(path) as reader:
        assert reader.info.crs.to_epsg() == 32633
        assert reader.info.transform == PLACE


def test_degrees(tmp_path: Path) -> None:
    dims = ('bands', 'lat', 'lon')
    path = write_netcdf(tmp_path / 'c.nc', make_cube(), dims, axis_units='degrees')
    with NetCDFReader(path) as reader:
        assert reader.info.crs.to_epsg() == 4326


def test_irregular_coordinates_give_no_transform(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    with h5py.File(path, 'r+') as file:
        file['x'][3] += 10
    with NetCDFReader(path) as reader:
        assert reader.info.transform is None


def test_fill_value_and_scale(tmp_path: Path) -> None:
    cube = make_cube('i2')
    cube[2, 4, 5] = -9999
    attributes = {
        '_FillValue': np.array([-9999], 'i2'),
        'scale_factor': 0.0002,
        'add_offset': -0.01,
        'units': '1',
    }
    path = write_netcdf(tmp_path / 'cube.nc', cube, attributes=attributes)
    with NetCDFReader(path) as reader:
        values, valid = reader.read()
        assert reader.info.nodata == -9999
    assert np.argwhere(~valid).tolist() == [[2, 4, 5]]
    np.testing.assert_allclose(values[valid], cube[valid] * 2.0 - 100, rtol=1e-5)
    with NetCDFReader(path, scale=1.0) as reader:
        values, _ = reader.read()
    np.testing.assert_array_equal(values[valid], cube[valid])


def test_physical_unit_is_kept(tmp_path: Path) -> None:
    attributes: dict[str, Any] = {'scale_factor': 0.5, 'units': 'W m-2 sr-1 um-1'}
    cube = make_cube('i2')
    path = write_netcdf(tmp_path / 'cube.nc', cube, attributes=attributes)
    with NetCDFReader(path) as reader:
        np.testing.assert_allclose(reader.read()[0], cube * 0.5)


def test_a_missing_unit_is_never_guessed(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube(), unit=None)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        NetCDFReader(path)
    with pytest.raises(UnitError):
        NetCDFReader(path, wavelength_unit='um')
    with NetCDFReader(path, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.wavelength[-1] == pytest.approx(2.2)


def test_widths_in_another_unit_are_left_out(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    with h5py.File(path, 'r+') as file:
        file['fwhm'].attrs['units'] = 'um'
    with pytest.warns(HSIWarning, match=r'left out: their unit is not that'):
        reader = NetCDFReader(path)
    with reader:
        assert reader.info.bands is not None
        assert reader.info.bands.fwhm is None


@pytest.mark.parametrize(
    ('widths', 'why'),
    [(np.ones(5), 'not one for each of 6'), (np.full(6, np.inf), 'not positive')],
)
def test_bad_widths_are_told(tmp_path: Path, widths: Any, why: str) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    with h5py.File(path, 'r+') as file:
        del file['fwhm']
        file['fwhm'] = widths
    with pytest.warns(HSIWarning, match=rf'cube\.nc are left out: .*{why}'):
        reader = NetCDFReader(path)
    with reader:
        assert reader.info.bands is not None
        assert reader.info.bands.fwhm is None


def test_plain_hdf5_by_the_number_of_wavelengths(tmp_path: Path) -> None:
    path = tmp_path / 'cube.h5'
    with h5py.File(path, 'w') as file:
        file['refl'] = make_cube().transpose(1, 2, 0)
        file['meta/wavelengths'] = np.array(CENTRES)
        file['meta/wavelengths'].attrs['units'] = 'nm'
        file['meta/good_wavelengths'] = np.array([1, 1, 0, 1, 1, 1])
        file.attrs['instrument'] = 'EMIT'
        file.attrs['time_coverage_start'] = '2023-01-01T00:00:00Z'
    with NetCDFReader(path) as reader:
        np.testing.assert_array_equal(reader.read()[0], make_cube())
        assert reader.info.sensor == 'EMIT'
        assert reader.info.start == '2023-01-01T00:00:00Z'
        assert reader.info.bands is not None
        assert reader.info.bands.good.tolist() == [True, True, False, True, True, True]


def test_unclear_axis(tmp_path: Path) -> None:
    path = tmp_path / 'cube.h5'
    cube = np.random.default_rng(0).random((4, 4, 4))
    with h5py.File(path, 'w') as file:
        file['refl'] = cube
    with pytest.raises(MetadataError, match="layout='HWC'"):
        NetCDFReader(path)
    with NetCDFReader(path, layout='HWC') as reader:
        np.testing.assert_allclose(reader.read()[0], cube.transpose(2, 0, 1), rtol=1e-6)
    with NetCDFReader(path, layout='chw') as reader:
        np.testing.assert_allclose(reader.read()[0], cube, rtol=1e-6)


def test_choice_of_the_variable(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    with h5py.File(path, 'r+') as file:
        file['group/other'] = make_cube() + 1
        file['group/flat'] = np.zeros((9, 7))
    with pytest.raises(MetadataError, match=r'found 2.*variable=.*group/other'):
        NetCDFReader(path)
    with NetCDFReader(path, variable='/group/other', layout='CHW') as reader:
        np.testing.assert_array_equal(reader.read()[0], make_cube() + 1)
    with pytest.raises(MetadataError, match="no 'z'"):
        NetCDFReader(path, variable='z')
    np.testing.assert_array_equal(read_array(path, 'group/flat'), np.zeros((9, 7)))
    with pytest.raises(MetadataError, match="no 'y9'"):
        read_array(path, 'y9')


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    monkeypatch.setitem(__import__('sys').modules, 'h5py', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[all\]'):
        NetCDFReader(path)


def test_truncated(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'cube.nc', make_cube())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match=r'cube\.nc is truncated'):
        NetCDFReader(path)


def test_closed(tmp_path: Path) -> None:
    reader = NetCDFReader(write_netcdf(tmp_path / 'cube.nc', make_cube()))
    reader.close()
    with pytest.raises(CorruptFileError, match='closed'):
        reader.read()
