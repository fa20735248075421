# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the raster writer against rasterio, numpy and the bytes of the file."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers.cogs import TRANSFORM, UTM33, leftovers, make_cube
from rasterio.env import GDALVersion, get_gdal_config
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.io import CubeWriter, open_cube, write_cog
from torchgeo_hsi.io._cog_options import work_block
from torchgeo_hsi.io._gdal import gdal_cache
from torchgeo_hsi.physics import BandSet

# arrays without a georeference are read back on purpose
pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)


def _directories(path: Path) -> list[dict[int, tuple[int, int]]]:
    """Read the image file directories of a little-endian TIFF without any library."""
    data = path.read_bytes()
    assert data[:2] == b'II'
    big = struct.unpack('<H', data[2:4])[0] == 43
    count_format, entry = ('<Q', 20) if big else ('<H', 12)
    pointer = '<Q' if big else '<I'
    offset = struct.unpack_from(pointer, data, 8 if big else 4)[0]
    found = []
    while offset:
        count = struct.unpack_from(count_format, data, offset)[0]
        start = offset + struct.calcsize(count_format)
        tags = {0: (offset, count)}
        for i in range(count):
            tag, _ = struct.unpack_from('<HH', data, start + i * entry)
            number, value = struct.unpack_from(
                '<QQ' if big else '<II', data, start + i * entry + 4
            )
            if tag == 324 and number > 1:  # positions of the tiles
                kind = struct.unpack_from('<H', data, start + i * entry + 2)[0]
                letter = {4: 'I', 16: 'Q'}[kind]
                places = struct.unpack_from(f'<{number}{letter}', data, value)
                number, value = min(places), max(places)
            elif tag == 324:
                number = value
            tags[tag] = (number, value)
        found.append(tags)
        offset = struct.unpack_from(pointer, data, start + count * entry)[0]
    return found


class TestCubeWriter:
    @pytest.mark.parametrize(
        ('shape', 'dtype'),
        [
            ((1, 700, 333), 'uint8'),
            ((3, 513, 600), 'int16'),
            ((202, 130, 141), 'float32'),
            ((7, 1, 1), 'float64'),
            ((2, 300, 40), 'uint16'),
        ],
    )
    def test_windows_in_any_order(
        self, tmp_path: Path, shape: tuple[int, int, int], dtype: str
    ) -> None:
        cube = make_cube(shape, dtype)
        windows = [
            Window(c, r, min(90, shape[2] - c), min(70, shape[1] - r))
            for r in range(0, shape[1], 70)
            for c in range(0, shape[2], 90)
        ]
        np.random.default_rng(1).shuffle(windows)
        path = tmp_path / 'new' / 'cube.tif'
        with CubeWriter(path, shape, dtype, UTM33, TRANSFORM) as out:
            for w in windows:
                part = cube[
                    :, w.row_off : w.row_off + w.height, w.col_off : w.col_off + w.width
                ]
                out.write(w, part)
            assert not path.exists()
        with rasterio.open(path) as src:
            np.testing.assert_array_equal(src.read(), cube)
            assert (src.crs, src.transform) == (UTM33, TRANSFORM)
            assert src.dtypes == (dtype,) * shape[0]
        assert leftovers(path.parent) == []

    def test_cog_layout(self, tmp_path: Path) -> None:
        path = write_cog(
            tmp_path / 'c.tif', make_cube((2, 1500, 1100)), UTM33, TRANSFORM
        )
        with rasterio.open(path) as src:
            assert src.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
            assert src.profile['tiled']
            assert src.block_shapes == [(512, 512)] * 2
            assert src.overviews(1) == src.overviews(2) == [2, 4]
        full, *overviews = _directories(path)
        assert len(overviews) == 2
        # all directories lie before all pixels, and small overviews before large ones
        first = min(d[324][0] for d in (full, *overviews))
        assert all(d[0][0] < first for d in (full, *overviews))
        assert overviews[1][324][1] < overviews[0][324][0]
        assert overviews[0][324][1] < full[324][0]

    def test_overviews_average_without_nodata(self, tmp_path: Path) -> None:
        cube = make_cube((6, 520, 520))
        cube[:, ::2, ::2] = np.nan
        cube[:, 100:140, 200:240] = np.nan
        path = write_cog(tmp_path / 'c.tif', cube, UTM33, TRANSFORM, np.nan)
        with rasterio.open(path, overview_level=0) as src:
            found = src.read()
        with np.errstate(invalid='ignore'):
            blocks = cube.reshape(6, 260, 2, 260, 2).transpose(0, 1, 3, 2, 4)
            filled = np.isfinite(blocks)
            truth = np.where(filled, blocks, 0).sum((3, 4)) / filled.sum((3, 4))
        np.testing.assert_allclose(found, truth, rtol=1e-6)

    def test_integer_overviews_ignore_nodata(self, tmp_path: Path) -> None:
        cube = np.full((1, 600, 600), 500, dtype='int16')
        cube[:, ::3] = -32768
        path = write_cog(tmp_path / 'c.tif', cube, UTM33, TRANSFORM, -32768)
        with rasterio.open(path, overview_level=0) as src:
            assert np.unique(src.read()).tolist() == [500]

    def test_class_overviews_invent_no_class(self, tmp_path: Path) -> None:
        classes = np.full((600, 600), 1, dtype='uint8')
        classes[:, 300:] = 6
        classes[::2, ::2] = 3
        path = write_cog(
            tmp_path / 'c.tif', classes, nodata=0, class_names={1: 'a', 3: 'b', 6: 'c'}
        )
        with rasterio.open(path, overview_level=0) as src:
            found = src.read(1)
        assert set(np.unique(found)) <= {1, 3, 6}
        assert (found[:, :140] == 1).all()
        assert (found[:, 160:] == 6).all()

    def test_unwritten_is_nodata_and_takes_no_space(self, tmp_path: Path) -> None:
        path = tmp_path / 'c.tif'
        with CubeWriter(path, (1, 9000, 9000), 'int16', nodata=-1) as out:
            out.write(Window(8000, 8000, 10, 10), np.ones((1, 10, 10), 'int16'))
            out._dataset.close()
            work = next(tmp_path.glob('.c.tif.*.part/work.tif'))
            assert work.stat().st_blocks * 512 < 9000 * 9000 / 10
        with rasterio.open(path) as src:
            found = src.read(1)
        assert (found == 1).sum() == 100
        assert (found == -1).sum() == found.size - 100

    def test_spectral_tags(self, tmp_path: Path) -> None:
        bands = BandSet.from_unit(
            [418.24, 641.5, 2445.301],
            'nm',
            fwhm=[6.99561, 8.1, 10],
            names=['B1', 'B48', 'B224'],
            good=[True, True, False],
        )
        path = write_cog(
            tmp_path / 'c.tif',
            make_cube((3, 8, 9), 'int16'),
            UTM33,
            TRANSFORM,
            bands=bands,
        )
        with rasterio.open(path) as src:
            assert src.descriptions == ('B1', 'B48', 'B224')
            assert src.tags(1)['wavelength'] == '0.41824'
            assert src.tags(1)['fwhm'] == '0.00699561'
            assert src.tags(1)['wavelength_units'] == 'Micrometers'
            assert [src.tags(i)['bbl'] for i in (1, 2, 3)] == ['1', '1', '0']
            if GDALVersion.runtime() >= GDALVersion(3, 11):  # others drop the domain
                assert src.tags(3, ns='IMAGERY') == {
                    'CENTRAL_WAVELENGTH_UM': '2.445301',
                    'FWHM_UM': '0.01',
                }
        with open_cube(path) as cube:
            found = cube.info.bands
        assert found is not None
        np.testing.assert_allclose(found.wavelength, bands.wavelength, rtol=1e-7)
        np.testing.assert_allclose(found.fwhm, bands.fwhm, rtol=1e-7)
        np.testing.assert_array_equal(found.good, bands.good)

    @pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
    def test_colors_and_names(self, tmp_path: Path, dtype: str) -> None:
        path = write_cog(
            tmp_path / 'c.tif',
            np.ones((700, 5), dtype),
            nodata=0,
            colormap={1: (10, 20, 30), 2: (40, 50, 60, 128)},
            class_names={1: 'water', 2: 'Wald ä'},
            scale=0.5,
            offset=-1,
            tags={'TIFFTAG_SOFTWARE': 'a program'},
        )
        with rasterio.open(path) as src:
            table = src.colormap(1)
            assert table[1] == (10, 20, 30, 255)
            assert table[2][:3] == (40, 50, 60)
            assert table[0][3] == 0
            assert json.loads(src.tags(1)['class_names'])['2'] == 'Wald ä'
            assert (src.scales, src.offsets) == ((0.5,), (-1.0,))
            assert src.tags()['TIFFTAG_SOFTWARE'] == 'a program'
            assert src.nodata == 0
            assert src.overviews(1) == [2]

    @pytest.mark.parametrize('compress', ['lzw', 'zstd', 'none', 'DEFLATE'])
    def test_compression(self, tmp_path: Path, compress: str) -> None:
        cube = make_cube((5, 40, 40))
        path = write_cog(tmp_path / 'c.tif', cube, compress=compress)
        with rasterio.open(path) as src:
            found = src.tags(ns='IMAGE_STRUCTURE').get('COMPRESSION', 'none')
            assert found.lower() == compress.lower()
            np.testing.assert_array_equal(src.read(), cube)


class TestCache:
    def test_bound_and_restored(self) -> None:
        before = get_gdal_config('GDAL_CACHEMAX')
        with gdal_cache(10):
            assert get_gdal_config('GDAL_CACHEMAX') == 10 << 20
            with gdal_cache(20):
                assert get_gdal_config('GDAL_CACHEMAX') == 10 << 20
        assert get_gdal_config('GDAL_CACHEMAX') == before
        with rasterio.Env(), pytest.raises(KeyError), gdal_cache(10):
            raise KeyError
        assert get_gdal_config('GDAL_CACHEMAX') == before

    def test_writer_restores_it(self, tmp_path: Path) -> None:
        before = get_gdal_config('GDAL_CACHEMAX')
        write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'), cache_mb=8)
        assert get_gdal_config('GDAL_CACHEMAX') == before

    @pytest.mark.parametrize(('bands', 'side'), [(1, 512), (32, 512), (202, 128)])
    def test_work_block(self, bands: int, side: int) -> None:
        assert work_block(bands) == side
        assert bands * side**2 * 8 <= 64 << 20


def test_scale_of_each_band(tmp_path: Path) -> None:
    values = make_cube((3, 20, 20))
    path = tmp_path / 'a.tif'
    write_cog(path, values, scale=[1e-4, 2e-4, 1.0], offset=[0, 0.1, 0])
    with rasterio.open(path) as src:
        assert src.scales == (1e-4, 2e-4, 1.0)
        assert src.offsets == (0, 0.1, 0)
    with pytest.raises(BandMismatchError, match='Expected 1 or 3 scale values'):
        write_cog(tmp_path / 'b.tif', values, scale=[1, 2])
    assert [found.name for found in tmp_path.iterdir()] == ['a.tif']


@pytest.mark.parametrize('nodata', [None, -9999])
def test_mask(tmp_path: Path, nodata: float | None) -> None:
    shape = (6, 700, 640)
    values = make_cube(shape, 'int16')
    mask = np.random.default_rng(1).random(shape[1:]) < 0.5
    mask[:64] = False
    path = tmp_path / 'a.tif'
    with CubeWriter(path, shape, 'int16', UTM33, TRANSFORM, nodata) as out:
        for row in range(0, 700, 100):
            window = Window(0, row, 640, 100)
            out.write(window, values[:, row : row + 100], mask[row : row + 100])
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.dataset_mask() > 0, mask)
        np.testing.assert_array_equal(src.read(), values)
        assert src.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert src.overviews(1)
    with rasterio.open(path, overview_level=0) as src:
        small = src.dataset_mask() > 0
    assert not small[:30].any()
    assert small[40:].any()
    assert not (tmp_path / 'a.tif.msk').exists()
