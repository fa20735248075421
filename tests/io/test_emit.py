# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import shutil
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from data.emit_l2a.data import (
    NODATA,
    NORTH,
    PIXEL,
    START,
    STOP,
    WEST,
    Granule,
    geometry,
    make_granule,
    spectral_table,
    write_bands,
    write_common,
)
from rasterio.windows import Window

from torchgeo_hsi.cli.info import info
from torchgeo_hsi.errors import CorruptFileError, MetadataError
from torchgeo_hsi.io import EMITL2AReader, NetCDFReader, open_cube
from torchgeo_hsi.io import _swath as swath_module


@pytest.fixture(scope='module')
def granule(tmp_path_factory: pytest.TempPathFactory) -> Granule:
    return make_granule(tmp_path_factory.mktemp('emit'))


@pytest.fixture
def copied(granule: Granule, tmp_path: Path) -> Path:
    """Return a granule that a test may damage."""
    shutil.copy(granule.mask, tmp_path)
    return Path(shutil.copy(granule.path, tmp_path))


def expected(granule: Granule, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and validity on the map, by a loop over its pixels."""
    ortho = granule.ortho(stored, NODATA)
    valid = (ortho != NODATA) & (granule.good == 1)[:, None, None]
    return np.where(valid, ortho * 1e4, 0), valid


def test_info(granule: Granule) -> None:
    with EMITL2AReader(granule.path) as reader:
        about = reader.info
        assert reader.mask_path == str(granule.mask)
    assert about.shape == (285, *granule.row.shape)
    assert (about.sensor, about.dtype, about.nodata) == ('EMIT', 'float32', NODATA)
    assert (about.start, about.stop) == (START, STOP)
    assert about.crs is not None
    assert about.crs.to_epsg() == 4326
    assert about.transform is not None
    assert tuple(about.transform)[:6] == (PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    assert about.spectral_source == 'scene'
    assert about.bands is not None
    assert about.bands.fwhm is not None
    np.testing.assert_allclose(about.bands.wavelength * 1e3, granule.wavelength)
    np.testing.assert_allclose(about.bands.fwhm * 1e3, granule.fwhm)
    np.testing.assert_array_equal(about.bands.good, granule.good == 1)
    assert about.bands.names[0] == 'B1'


def test_whole_map(granule: Granule) -> None:
    with EMITL2AReader(granule.path) as reader:
        values, valid = reader.read()
    truth, mask = expected(granule, granule.swath)
    np.testing.assert_array_equal(valid, mask)
    np.testing.assert_allclose(values, truth, rtol=1e-6)
    assert valid.any()
    assert not valid[:, 0, 0].any()


@pytest.mark.parametrize('bands', [[7], [284, 0, 3, 3], [], [130, 20]])
@pytest.mark.parametrize('window', [Window(3, 8, 20, 9), Window(-4, -5, 12, 70)])
def test_windows_and_bands(granule: Granule, window: Window, bands: list[int]) -> None:
    with EMITL2AReader(granule.path) as reader:
        values, valid = reader.read(bands, window)
    truth, mask = expected(granule, granule.swath)
    padding = [(0, 0), (10, 40), (10, 40)]
    rows = slice(window.row_off + 10, window.row_off + 10 + window.height)
    columns = slice(window.col_off + 10, window.col_off + 10 + window.width)
    part = np.pad(truth, padding)[bands][:, rows, columns]
    np.testing.assert_allclose(values, part, rtol=1e-6)
    np.testing.assert_array_equal(valid, np.pad(mask, padding)[bands][:, rows, columns])


def test_pieces_do_not_matter(
    granule: Granule, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EMITL2AReader(granule.path) as reader:
        whole, _ = reader.read([3, 50])
        flags = reader.read_quality(['interpolated'], indexes=[3, 50])
    for name, small in (('_PIECE', 2000), ('_STRIP', 9000), ('_TABLE', 900)):
        monkeypatch.setattr(swath_module, name, small)
    monkeypatch.setattr(swath_module, '_BLOCK', 7)
    with EMITL2AReader(granule.path) as reader:
        parts, _ = reader.read([3, 50])
        again = reader.read_quality(['interpolated'], indexes=[3, 50])
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(again, flags)


@pytest.mark.parametrize('angle', [0, 90, -130])
def test_any_direction_of_flight(tmp_path: Path, angle: float) -> None:
    granule = make_granule(tmp_path, size=(12, 9), bands=8, angle=angle)
    with EMITL2AReader(granule.path) as reader:
        values, _ = reader.read()
    np.testing.assert_allclose(values, expected(granule, granule.swath)[0], rtol=1e-6)


def test_bands_without_a_retrieval_come_without_data(granule: Granule) -> None:
    bad = np.flatnonzero(granule.good == 0).tolist()
    with EMITL2AReader(granule.path) as reader:
        values, valid = reader.read(bad)
        assert reader.lacks_data(bad)
        assert not reader.lacks_data([0, *bad])
    assert not valid.any()
    assert not values.any()


def test_filled_pixels_of_the_table_are_used(copied: Path, granule: Granule) -> None:
    with h5py.File(copied, 'r+') as file:
        for name in ('glt_x', 'glt_y'):
            table = file[f'location/{name}'][:]
            table[20:24] *= -1
            table[table == 0] = -9999
            file[f'location/{name}'][:] = table
    with EMITL2AReader(copied) as reader:
        values, _ = reader.read([40])
    np.testing.assert_allclose(values[0], expected(granule, granule.swath)[0][40])


def test_uncertainty(granule: Granule) -> None:
    with open_cube(granule.uncertainty) as reader:
        assert isinstance(reader, EMITL2AReader)
        values, valid = reader.read()
        assert 'cloud' in reader.quality_layers
    truth, mask = expected(granule, granule.spread)
    np.testing.assert_allclose(values, truth, rtol=1e-6)
    np.testing.assert_array_equal(valid, mask)


class TestQuality:
    layers = ('cloud', 'cirrus', 'water', 'spacecraft', 'dilated_cloud', 'aggregate')

    def test_flags(self, granule: Granule) -> None:
        window = Window(5, 6, 30, 31)
        with EMITL2AReader(granule.path) as reader:
            assert reader.quality_layers == (*self.layers, 'interpolated')
            for name, layer in zip(self.layers, (0, 1, 2, 3, 4, 7), strict=True):
                flagged = reader.read_quality([name], window)
                stored = (granule.flags[..., layer, None] == 1).astype('u1')
                truth = granule.ortho(stored, 0)[0, 6:37, 5:35]
                assert truth.any()
                np.testing.assert_array_equal(flagged, truth)

    def test_interpolated_bands(self, granule: Granule) -> None:
        bands = [0, 7, 8, 284, 100]
        with EMITL2AReader(granule.path) as reader:
            flagged = reader.read_quality(['interpolated'], indexes=bands)
        found = granule.interpolated[..., bands].any(axis=-1, keepdims=True)
        truth = granule.ortho(found.astype('u1'), 0)[0]
        assert 0 < truth.sum() < truth.size / 2
        np.testing.assert_array_equal(flagged, truth)

    def test_mask_of_version_2_wins(self, granule: Granule, copied: Path) -> None:
        newer = make_granule(copied.parent / 'new', version='002')
        shutil.copy(newer.mask, copied.parent)
        with EMITL2AReader(copied) as reader:
            assert reader.mask_path == str(copied.parent / newer.mask.name)
            flagged = reader.read_quality('spectf_cloud')
        truth = newer.ortho((newer.flags[..., 9, None] == 1).astype('u1'), 0)[0]
        assert truth.any()
        np.testing.assert_array_equal(flagged, truth)

    def test_mask_elsewhere(self, granule: Granule, tmp_path: Path) -> None:
        moved = Path(shutil.copy(granule.mask, tmp_path / 'flags.nc'))
        alone = Path(shutil.copy(granule.path, tmp_path / 'scene.nc'))
        with EMITL2AReader(alone) as reader:
            assert reader.quality_layers == ()
            with pytest.raises(MetadataError, match="no quality layers 'cloud'"):
                reader.read_quality(['cloud'])
        with EMITL2AReader(alone, mask=moved) as reader:
            assert reader.read_quality(['cloud']).any()

    def test_mask_of_another_scene(self, copied: Path) -> None:
        other = make_granule(copied.parent / 'other', size=(20, 30), bands=8)
        with pytest.raises(MetadataError, match=r'Expected \(40, 30\) rows.*another'):
            EMITL2AReader(copied, mask=other.mask)
        with pytest.raises(MetadataError, match='no EMIT_L2A_MASK file'):
            EMITL2AReader(copied, mask=other.path)

    def test_unknown_layer(self, granule: Granule) -> None:
        with (
            EMITL2AReader(granule.path) as reader,
            pytest.raises(MetadataError, match=r"'fog'.* It has: cloud"),
        ):
            reader.read_quality(['cloud', 'fog'])


class TestOpen:
    def test_by_content(self, granule: Granule, tmp_path: Path) -> None:
        path = shutil.copy(granule.path, tmp_path / 'renamed.h5')
        with open_cube(path) as reader:
            assert isinstance(reader, EMITL2AReader)

    def test_swath_as_stored(self, granule: Granule) -> None:
        with open_cube(granule.path, variable='reflectance') as reader:
            assert isinstance(reader, NetCDFReader)
            values, _ = reader.read([10, 200])
            assert reader.info.bands is not None
        swath = granule.swath[..., [10, 200]].transpose(2, 0, 1)
        np.testing.assert_array_equal(values, np.where(swath == NODATA, 0, swath))

    def test_options(self, granule: Granule) -> None:
        with open_cube(granule.path, scale=1.0, nodata=-1.0) as reader:
            values, _ = reader.read([10])
        truth = granule.ortho(granule.swath, -1.0)[10]
        np.testing.assert_allclose(values[0], np.where(truth == -1, 0, truth))
        with pytest.raises(MetadataError, match="no option 'key'"):
            open_cube(granule.path, key='reflectance')

    def test_info_command(self, granule: Granule) -> None:
        result = CliRunner().invoke(info, [str(granule.path)])
        assert result.exit_code == 0, result.output
        bad = f'41: B{np.flatnonzero(granule.good == 0)[0] + 1},'
        for words in ('EMIT', '285', '381.0 to 2492.9 nm', 'EPSG:4326', bad):
            assert words in result.output
        share = 1 - expected(granule, granule.swath)[1][0].mean()
        assert f'{share:.2%} (other bands)' in result.output


class TestDamage:
    @pytest.mark.parametrize(
        ('missing', 'match'),
        [
            ('location/glt_x', 'no EMIT L2A reflectance: open it with NetCDFReader'),
            ('sensor_band_parameters/wavelengths', 'There are no wavelengths'),
        ],
    )
    def test_missing_array(self, copied: Path, missing: str, match: str) -> None:
        with h5py.File(copied, 'r+') as file:
            del file[missing]
        with pytest.raises(MetadataError, match=match):
            EMITL2AReader(copied)

    @pytest.mark.parametrize('name', ['spatial_ref', 'geotransform'])
    def test_missing_place(self, copied: Path, name: str) -> None:
        with h5py.File(copied, 'r+') as file:
            del file.attrs[name]
        with pytest.raises(MetadataError, match='spatial_ref and geotransform'):
            EMITL2AReader(copied)

    def test_wrong_crs(self, copied: Path) -> None:
        with h5py.File(copied, 'r+') as file:
            file.attrs['spatial_ref'] = 'nowhere'
        with pytest.raises(MetadataError, match=r'spatial_ref of .* is no CRS'):
            EMITL2AReader(copied)

    def test_wrong_shapes(self, copied: Path) -> None:
        with h5py.File(copied, 'r+') as file:
            del file['location/glt_y']
            file['location/glt_y'] = np.zeros((3, 4), 'i4')
        with pytest.raises(MetadataError, match='two lookup tables of one size'):
            EMITL2AReader(copied)

    def test_table_points_outside(self, copied: Path) -> None:
        with h5py.File(copied, 'r+') as file:
            file['location/glt_x'][3, 4] = 31
        with (
            EMITL2AReader(copied) as reader,
            pytest.raises(CorruptFileError, match='points to pixel 31 of 30'),
        ):
            reader.read([0])

    def test_truncated(self, copied: Path) -> None:
        copied.write_bytes(copied.read_bytes()[: copied.stat().st_size // 2])
        with pytest.raises(CorruptFileError, match='truncated'):
            EMITL2AReader(copied)

    def test_damaged_block_of_the_mask(self, copied: Path, granule: Granule) -> None:
        mask = copied.parent / granule.mask.name
        with h5py.File(mask) as file:
            block = file['mask'].id.get_chunk_info(0)
        content = bytearray(mask.read_bytes())
        content[block.byte_offset : block.byte_offset + block.size] = bytes(block.size)
        mask.write_bytes(content)
        with EMITL2AReader(copied) as reader:
            reader.read([0])
            with pytest.raises(CorruptFileError, match='EMIT_L2A_MASK'):
                reader.read_quality(['cloud'])

    def test_closed(self, granule: Granule) -> None:
        reader = EMITL2AReader(granule.path)
        reader.close()
        with pytest.raises(CorruptFileError, match='closed'):
            reader.read([0])
        with pytest.raises(CorruptFileError, match='closed'):
            reader.read_quality(['cloud'])

    def test_without_h5py(
        self, granule: Granule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, 'h5py', None)
        with pytest.raises(ImportError, match=r'h5py is needed.*pip install'):
            EMITL2AReader(granule.path)


def test_memory_is_that_of_the_window(tmp_path: Path) -> None:
    """A window of a granule of real size, whose pixels take 1.8 GB."""
    path = tmp_path / 'EMIT_L2A_RFL_001_20220903T163129_2224611_012.nc'
    size = (1280, 1242)
    row, column = geometry(*size, 40.0)
    wavelength, fwhm, good = spectral_table()
    empty = np.empty((*size, 0), 'f4')
    shell = Granule(
        path,
        path,
        path,
        empty,
        empty,
        empty,
        empty,
        row,
        column,
        wavelength,
        fwhm,
        good,
    )
    with h5py.File(path, 'w') as file:
        write_common(file, shell, WEST, START, STOP)
        write_bands(file, shell)
        # pixels that were never written take no room in a file of blocks
        cube = file.create_dataset(
            'reflectance', (*size, 285), 'f4', chunks=(1, 1242, 285), fillvalue=NODATA
        )
        cube[620:660] = 0.25
    with EMITL2AReader(path) as reader:
        _, height, width = reader.info.shape
        tracemalloc.start()
        window = Window(width // 2 - 64, height // 2 - 64, 128, 128)
        values, valid = reader.read(window=window)
        _, window_peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        band, _ = reader.read([20])
        _, band_peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert values[valid].max() == 2500
    assert (band > 0).sum() > 40 * 1000
    # the window as stored, as values and as a mask, the table, and the pieces
    assert window_peak < 4 * values.nbytes + 40e6
    assert band_peak < 4 * band.nbytes + 120e6
