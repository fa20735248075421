# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is left as it was: scales, masks, tags, digits, bands without content."""

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from torch import Tensor, nn

from torchgeo_hsi.errors import EmptyDataError, NotFiniteError, OutputError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.layers import SceneModel, ScenePool
from torchgeo_hsi.models import get_model
from torchgeo_hsi.scenes import restore_scene

BANDS, HEIGHT, WIDTH = 5, 40, 36
NODATA = -32768
TILES = {'tile': 16, 'overlap': 8}


class Change(nn.Module):
    """Adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, image: Tensor) -> Tensor:
        return image + self.number


def cube(dtype: str = 'int16') -> NDArray[Any]:
    values = np.random.default_rng(0).uniform(100, 6000, (BANDS, HEIGHT, WIDTH))
    return values.astype(dtype)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    count, height, width = values.shape
    profile = {
        'driver': 'GTiff',
        'count': count,
        'height': height,
        'width': width,
        'dtype': values.dtype,
        'crs': 'EPSG:32633',
        'transform': Affine(30, 0, 4e5, 0, -30, 5e6),
        'photometric': 'minisblack',
    }
    with rasterio.open(path, 'w', **{**profile, **options}) as dst:
        dst.write(values)
    return path


def stored(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as src:
        values: NDArray[Any] = src.read()
    return values


def restore(
    source: Path, model: nn.Module | None = None, **options: Any
) -> NDArray[Any]:
    out = source.with_name('out.tif')
    model = nn.Identity() if model is None else model
    restore_scene(model, source, out, overwrite=True, **{**TILES, **options})
    return stored(out)


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


class TestConstantBands:
    @pytest.mark.parametrize('number', [0, 3000, 32767])
    @pytest.mark.parametrize('scaling', ['percentile', 'min_max', 'reflectance'])
    def test_band_is_left_out(self, tmp_path: Path, number: int, scaling: str) -> None:
        values = cube()
        values[2] = number
        values[2, :3] = NODATA
        source = write(tmp_path / 'in.tif', values, nodata=NODATA)
        seen: list[Tensor] = []

        class Watch(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                seen.append(image)
                return image + 0.1

        result = restore(source, Watch(), scaling=scaling)
        np.testing.assert_array_equal(result[2], values[2])
        others = np.delete(values, 2, 0)
        assert (np.delete(result, 2, 0) != others).all()
        # nor does it say what is 0 and 1
        alone = write(tmp_path / 'in.tif', others, nodata=NODATA)
        first = seen[0]
        seen.clear()
        restore(alone, Watch(), scaling=scaling)
        torch.testing.assert_close(seen[0][..., 3:, :], first[..., 3:, :])

    def test_methods_invent_nothing(self, tmp_path: Path) -> None:
        values = cube()
        values[2] = 3000
        source = write(tmp_path / 'in.tif', values)
        for method in ('hyres', 'svd'):
            assert (restore(source, get_model(method))[2] == 3000).all()

    def test_scene_of_constant_bands(self, tmp_path: Path) -> None:
        values = np.broadcast_to(np.arange(5)[:, None, None], (5, 9, 9))
        source = write(tmp_path / 'in.tif', values.astype('int16'))
        with pytest.raises(EmptyDataError, match='same number everywhere'):
            restore(source)

    def test_single_pixel_is_not_constant(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube()[:, :1, :1])
        result = restore(source, Change(0.01), scaling='reflectance')
        np.testing.assert_array_equal(result, cube()[:, :1, :1] + 100)

    def test_nearly_constant_scene(self, tmp_path: Path) -> None:
        # fewer than 0.1 % differ, as where a background is not declared
        values = np.zeros((BANDS, 64, 64), 'int16')
        values[:, 5, 5] = 1000
        source = write(tmp_path / 'in.tif', values)
        result = restore(source, Change(0.5))
        np.testing.assert_array_equal(result, values + 500)


class TestDigits:
    @pytest.mark.parametrize(
        'values',
        [
            1e6 + np.random.default_rng(0).random((5, 40, 36)),
            (1e6 + np.random.default_rng(0).random((5, 40, 36))).astype('float32'),
            -1e9 + np.random.default_rng(0).random((5, 40, 36)),
            np.random.default_rng(0).integers(2**30, 2**31 - 1, (5, 40, 36), 'int32'),
            np.random.default_rng(0).integers(2**62, 2**63 - 1, (5, 40, 36)),
            np.random.default_rng(0).integers(0, 2**64 - 1, (5, 40, 36), 'uint64'),
        ],
        ids=['float64', 'float32', 'negative', 'int32', 'int64', 'uint64'],
    )
    def test_numbers_far_from_zero(self, tmp_path: Path, values: Any) -> None:
        source = write(tmp_path / 'in.tif', values)
        np.testing.assert_array_equal(restore(source), values)

    def test_what_a_network_sees_of_a_small_range(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        values = 1e6 + rng.random((BANDS, HEIGHT, WIDTH))
        source = write(tmp_path / 'in.tif', values)
        seen: list[Tensor] = []

        class Watch(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                seen.append(image)
                return image + 0.5

        result = restore(source, Watch(), tile=64, overlap=0)
        low, high = np.quantile(values, [0.001, 0.999])
        np.testing.assert_allclose(
            seen[0][0], (values - low) / (high - low), rtol=0, atol=5e-3
        )
        np.testing.assert_allclose(result - values, 0.5 * (high - low), atol=5e-3)

    def test_whole_numbers_are_clipped(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(2**61, 2**62, (5, 40, 36))
        source = write(tmp_path / 'in.tif', values)
        assert (restore(source, Change(1e6)) > 2**62).all()

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
    def test_precision_of_the_network(self, tmp_path: Path, dtype: Any) -> None:
        values = cube()
        source = write(tmp_path / 'in.tif', values)
        plain, other = Pooled(), Pooled().to(dtype)
        expected = restore(source, plain)
        result = restore(source, other)
        assert {layer.weight.dtype for layer in (other.layer,)} == {dtype}
        limit = 1 if dtype == torch.float64 else 150
        np.testing.assert_allclose(result, expected, atol=limit)

    def test_networks_of_other_precision(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        torch.manual_seed(0)
        model = get_model('man_s')
        expected = restore(source, model)
        np.testing.assert_allclose(restore(source, model.double()), expected, atol=1)

    def test_noise_level_has_the_precision_of_the_network(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        model = get_model('man_s', noise_map=True).double()
        assert restore(source, model).dtype == 'int16'
        assert restore(source, model, sigma=20).dtype == 'int16'


class Pooled(SceneModel):
    """Looks at the scene through a layer with weights."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(BANDS, BANDS, 1, bias=False)
        self.layer.weight.data[:] = torch.eye(BANDS)[..., None, None]
        self.pool = ScenePool()

    def forward(self, image: Tensor) -> Tensor:
        image = self.layer(image)
        return (image + self.pool(image)[..., None, None]) / 2


class TestNotFinite:
    @pytest.mark.parametrize('number', [np.nan, np.inf])
    @pytest.mark.parametrize('dtype', ['int16', 'float32'])
    def test_nothing_is_written(
        self, tmp_path: Path, number: float, dtype: str
    ) -> None:
        class Bad(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                image = image.clone()
                image[:, 3, 7, 7] = number
                return image

        source = write(tmp_path / 'in.tif', cube(dtype))
        with pytest.raises(NotFiniteError, match=r'^mine gives NaN .* for band 4 of'):
            restore(source, Bad(), name='mine')
        assert [path.name for path in tmp_path.iterdir()] == ['in.tif']

    def test_overflow(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube('float32') * np.float32(1e33))
        with pytest.raises(NotFiniteError, match='Change gives'):
            restore(source, Change(1e6))

    def test_pixels_without_data_may_be_anything(self, tmp_path: Path) -> None:
        class Gaps(nn.Module):
            def forward(self, image: Tensor, valid: Tensor) -> Tensor:
                return torch.where(valid[:, None], image, torch.nan)

        values = cube('float32')
        values[:, 3:9, 3:9] = NODATA
        source = write(tmp_path / 'in.tif', values, nodata=NODATA)
        np.testing.assert_array_equal(restore(source, Gaps()), values)


class TestPlaces:
    def test_network_may_work_in_place(self, tmp_path: Path) -> None:
        class Half(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                return image.mul_(0).add_(0.5)

        source = write(tmp_path / 'in.tif', cube())
        assert (restore(source, Half(), scaling='reflectance') == 5000).all()

    def test_output_in_the_scene(self, tmp_path: Path) -> None:
        from data.enmap_l2a.data import make_product

        scene = make_product(tmp_path / 'in')
        before = {path.name for path in scene.folder.iterdir()}
        for name in ('out.tif', 'deep/out.tif', 'out'):
            with pytest.raises(OutputError, match='the scene itself'):
                restore_scene(nn.Identity(), scene.folder, scene.folder / name)
        assert {path.name for path in scene.folder.iterdir()} == before

    def test_disk_without_space(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple('usage', 'total used free')
        need = BANDS * HEIGHT * WIDTH * 2 + BANDS * 16 * WIDTH * 4
        free = need - 1
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(1, 1, free))
        source = write(tmp_path / 'in.tif', cube())
        out = tmp_path / 'new' / 'out.tif'
        with pytest.raises(OutputError, match=r'needs 0\.0 MiB .* are free in'):
            restore_scene(nn.Identity(), source, out, **TILES)
        assert not out.parent.exists()
        free = need
        restore_scene(nn.Identity(), source, out, **TILES)

    @pytest.mark.parametrize('sigma', [0, -1, np.nan, np.inf])
    def test_noise_level_that_is_none(self, tmp_path: Path, sigma: float) -> None:
        with pytest.raises(ValueError, match='Expected a positive sigma'):
            restore_scene(
                get_model('hyres'), tmp_path / 'no', tmp_path / 'out.tif', sigma=sigma
            )

    def test_noise_level_that_nobody_asks_for(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='Identity does not ask'):
            restore_scene(nn.Identity(), tmp_path / 'no', tmp_path / 'out.tif', sigma=5)
