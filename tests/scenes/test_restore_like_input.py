# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is left as it was: scales, masks, tags, digits, bands without content."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from scenes.plain_files import (
    BANDS,
    HEIGHT,
    NODATA,
    WIDTH,
    Change,
    cube,
    restore,
    write,
)
from scenes.scene_files import stored
from torch import Tensor, nn

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.scenes import restore_scene


class TestScale:
    @pytest.mark.parametrize(
        ('scale', 'offset'), [(1e-4, 0.0), (1e-4, -0.1), (5e-5, -0.1), (1.0, 3.0)]
    )
    def test_scale_of_the_file(
        self, tmp_path: Path, scale: float, offset: float
    ) -> None:
        source = write(tmp_path / 'in.tif', cube(), nodata=NODATA)
        with rasterio.open(source, 'r+') as dst:
            dst.scales, dst.offsets = (scale,) * BANDS, (offset,) * BANDS
        result = restore(source)
        np.testing.assert_array_equal(result, cube())
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.scales == (scale,) * BANDS
            assert src.offsets == (offset,) * BANDS

    def test_scale_of_each_band(self, tmp_path: Path) -> None:
        scales = tuple(np.linspace(1e-4, 3e-4, BANDS).tolist())
        offsets = tuple(np.linspace(-0.1, 0.1, BANDS).tolist())
        source = write(tmp_path / 'in.tif', cube(), nodata=NODATA)
        with rasterio.open(source, 'r+') as dst:
            dst.scales, dst.offsets = scales, offsets
        # a reflectance of 0.01 more
        result = restore(source, Change(0.01), scaling='reflectance')
        steps = np.rint(0.01 / np.array(scales)).astype(int)
        np.testing.assert_allclose(
            result - cube(), np.broadcast_to(steps[:, None, None], result.shape), atol=1
        )
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.scales == scales
            assert src.offsets == offsets

    def test_scale_of_the_caller(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube(), nodata=NODATA)
        with rasterio.open(source, 'r+') as dst:
            dst.scales = (1e-4,) * BANDS
        restore(source, reader_options={'scale': 2.0})
        with open_cube(tmp_path / 'out.tif') as reader:
            np.testing.assert_allclose(reader.read()[0], 2.0 * cube())

    def test_reflectance_scale_of_envi(self, tmp_path: Path) -> None:
        cube().tofile(tmp_path / 'in.img')
        (tmp_path / 'in.hdr').write_text(
            f'ENVI\nsamples = {WIDTH}\nlines = {HEIGHT}\nbands = {BANDS}\n'
            'data type = 2\ninterleave = bsq\nbyte order = 0\n'
            'reflectance scale factor = 10000\n'
        )
        np.testing.assert_array_equal(restore(tmp_path / 'in.hdr'), cube())
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.scales == (1e-4,) * BANDS

    def test_reflectance_scale_of_netcdf(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip('h5py')
        with h5py.File(tmp_path / 'in.nc', 'w') as file:
            array = file.create_dataset('cube', data=cube())
            array.attrs['scale_factor'] = 1e-4
        out = tmp_path / 'out.tif'
        restore_scene(
            nn.Identity(), tmp_path / 'in.nc', out, reader_options={'layout': 'CHW'}
        )
        np.testing.assert_array_equal(stored(out), cube())
        with rasterio.open(out) as src:
            assert src.scales == (1e-4,) * BANDS

    def test_scale_of_a_stored_scene(self, tmp_path: Path) -> None:
        pytest.importorskip('numcodecs')
        from torchgeo_hsi.io import write_stored_scene

        source = write(tmp_path / 'in.tif', cube(), nodata=NODATA)
        with rasterio.open(source, 'r+') as dst:
            dst.scales = (1e-4,) * BANDS
        with open_cube(source) as reader:
            write_stored_scene(reader, tmp_path / 'store')
        np.testing.assert_array_equal(restore(tmp_path / 'store'), cube())
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.scales == (1e-4,) * BANDS


class TestMask:
    @pytest.mark.parametrize('nodata', [None, NODATA])
    @pytest.mark.parametrize('inside', [True, False])
    def test_hidden_pixels_are_neither_seen_nor_changed(
        self, tmp_path: Path, inside: bool, nodata: float | None
    ) -> None:
        values = cube()
        mask = np.ones((HEIGHT, WIDTH), bool)
        mask[5:20, 3:30] = False
        values[:, ~mask] = 32000
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
            source = write(tmp_path / 'in.tif', values, nodata=nodata)
            with rasterio.open(source, 'r+') as dst:
                dst.write_mask(mask)
        seen = []

        class Watch(nn.Module):
            def forward(self, image: Tensor, valid: Tensor) -> Tensor:
                seen.append(float(image.max()))
                return image + 0.01

        result = restore(source, Watch(), scaling='reflectance')
        assert max(seen) < 0.7
        np.testing.assert_array_equal(result, values + 100 * mask)
        with rasterio.open(tmp_path / 'out.tif') as src:
            np.testing.assert_array_equal(src.dataset_mask() > 0, mask)
            assert src.nodata == nodata
        assert not (tmp_path / 'out.tif.msk').exists()

    def test_alpha_band(self, tmp_path: Path) -> None:
        values = cube('uint16')
        values[-1] = 65535
        values[-1, 5:20, 3:30] = 0
        source = write(tmp_path / 'in.tif', values)
        with rasterio.open(source, 'r+') as dst:
            dst.colorinterp = [*dst.colorinterp[:-1], ColorInterp.alpha]
        result = restore(source, Change(0.01), scaling='reflectance')
        change = 100 * (values[-1] > 0)
        np.testing.assert_array_equal(result[:-1], values[:-1] + change)
        np.testing.assert_array_equal(result[-1], values[-1])
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.colorinterp[-1] == ColorInterp.alpha

    def test_mask_that_hides_all(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        with rasterio.open(source, 'r+') as dst:
            dst.write_mask(False)
        with pytest.raises(EmptyDataError, match='no valid pixel'):
            restore(source)

    def test_nodata_that_no_pixel_can_have(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        result = restore(source, reader_options={'nodata': -99999.0})
        np.testing.assert_array_equal(result, cube())


class TestTags:
    def test_tags_of_file_and_bands(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        with rasterio.open(source, 'r+') as dst:
            dst.update_tags(
                MISSION='A', STATISTICS_VALID_PERCENT='100', AREA_OR_POINT='Point'
            )
            dst.units = ('W',) * BANDS
            for band in dst.indexes:
                dst.update_tags(band, gain_of_lab=band, STATISTICS_MEAN='5')
                dst.update_tags(
                    band,
                    wavelength=str(400 + 100 * band),
                    wavelength_units='Nanometers',
                    fwhm='10',
                )
        restore(source)
        with rasterio.open(tmp_path / 'out.tif') as src:
            tags = src.tags()
            assert tags['MISSION'] == 'A'
            assert tags['AREA_OR_POINT'] == 'Point'
            assert tags['TIFFTAG_SOFTWARE'].startswith('torchgeo-hsi')
            assert not [key for key in tags if key.startswith('STATISTICS')]
            assert src.units == ('W',) * BANDS
            assert src.transform == Affine(30, 0, 4e5, 0, -30, 5e6)
            assert src.tags(3) == {
                'gain_of_lab': '3',
                'wavelength': '0.7',
                'wavelength_units': 'Micrometers',
                'fwhm': '0.01',
                'bbl': '1',
            }

    def test_wavelengths_of_the_caller_are_the_only_ones(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        old = ', '.join(str(400 + 10 * i) for i in range(BANDS))
        with rasterio.open(source, 'r+') as dst:
            dst.update_tags(wavelength=f'{{{old}}}', wavelength_units='nm', SITE='B')
        centers = [0.5, 0.6, 0.7, 0.8, 0.9]
        restore(source, reader_options={'wavelength': centers})
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert 'wavelength' not in src.tags()
            assert src.tags()['SITE'] == 'B'
        with open_cube(tmp_path / 'out.tif') as reader:
            assert reader.info.bands is not None
            np.testing.assert_allclose(reader.info.bands.wavelength, centers)

    def test_ground_control_points(self, tmp_path: Path) -> None:
        points = [
            GroundControlPoint(0, 0, 10, 50),
            GroundControlPoint(HEIGHT, 0, 10, 49),
            GroundControlPoint(0, WIDTH, 11, 50),
        ]
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            source = write(tmp_path / 'in.tif', cube(), crs=None, transform=None)
        with rasterio.open(source, 'r+') as dst:
            dst.gcps = points, CRS.from_epsg(4326)
        restore(source)
        with rasterio.open(tmp_path / 'out.tif') as src:
            found, crs = src.gcps
            assert crs == CRS.from_epsg(4326)
            places = [(p.row, p.col, p.x, p.y) for p in found]
            assert places == [(p.row, p.col, p.x, p.y) for p in points]

    def test_rational_polynomials(self, tmp_path: Path) -> None:
        names = ('height', 'lat', 'line', 'long', 'samp')
        numbers = {f'{name}_{part}': 1.0 for name in names for part in ('off', 'scale')}
        coefficients = {
            f'{axis}_{part}_coeff': [float(i) for i in range(20)]
            for axis in ('line', 'samp')
            for part in ('num', 'den')
        }
        polynomials = RPC(**numbers, **coefficients)
        source = write(tmp_path / 'in.tif', cube())
        with rasterio.open(source, 'r+') as dst:
            dst.rpcs = polynomials
        restore(source)
        with rasterio.open(tmp_path / 'out.tif') as src:
            assert src.rpcs is not None
            assert src.rpcs.line_num_coeff == polynomials.line_num_coeff
