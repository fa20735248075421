# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""PRISMA L2D files: bands, values and quality layers."""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from affine import Affine
from data.prisma_l2d.data import (
    EPSG,
    ERRORS,
    NORTH,
    SCALES,
    START,
    STOP,
    WEST,
    ZERO,
    Scene,
    make_file,
    nominal,
)
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIWarning,
    MetadataError,
    UnitError,
)
from torchgeo_hsi.io import NetCDFReader, PRISMAL2DReader, PRISMAReader, open_cube
from torchgeo_hsi.io.open import known_options
from torchgeo_hsi.physics import BandSet

#: Bands of the overlap, by their numbers in the nominal table.
VNIR_DOUBLED = {f'VNIR{n}' for n in range(4, 8)}

SWIR_DOUBLED = {f'SWIR{n}' for n in range(168, 172)}


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_file(tmp_path_factory.mktemp('prisma'))


def truth(scene: Scene, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Look bands up by name in what was written, pixel by pixel."""
    height, width = scene.inside.shape
    values = np.zeros((len(names), height, width))
    for k, name in enumerate(names):
        cube, number = name[:4], int(name[4:])
        low, high = (float(np.float32(x)) for x in SCALES[cube.capitalize()])
        for row in range(height):
            for column in range(width):
                if scene.inside[row, column]:
                    stored = max(int(scene.stored[cube][row, number - 1, column]), 1)
                    reflectance = low + stored / 65535 * (high - low)
                    values[k, row, column] = reflectance * 10_000
    return values, np.broadcast_to(scene.inside, values.shape)


def bands_of(reader: PRISMAL2DReader) -> BandSet:
    assert reader.info.bands is not None
    return reader.info.bands


def test_metadata(scene: Scene) -> None:
    with PRISMAL2DReader(scene.path) as reader:
        info, bands = reader.info, bands_of(reader)
    assert (info.sensor, info.dtype, info.nodata) == ('PRISMA', 'uint16', 0)
    assert info.path == str(scene.path)
    assert info.shape == (230, 16, 14)
    assert (info.start, info.stop) == (START, STOP)
    assert info.spectral_source == 'scene'
    assert info.crs is not None
    assert info.crs.to_epsg() == EPSG
    assert info.transform == Affine(30, 0, WEST, 0, -30, NORTH)
    assert bands.is_sorted
    assert bands.good.all()
    assert bands.names[0] == 'VNIR66'
    assert bands.names[-1] == 'SWIR1'
    for name, centre, width in zip(
        bands.names, bands.wavelength, bands.fwhm, strict=True
    ):
        cube, number = name[:4], int(name[4:])
        assert centre * 1e3 == pytest.approx(
            scene.wavelength[cube][number - 1], abs=1e-3
        )
        assert width * 1e3 == pytest.approx(scene.fwhm[cube][number - 1], abs=1e-4)


@pytest.mark.parametrize(
    ('overlap', 'dropped'),
    [('swir', VNIR_DOUBLED), ('vnir', SWIR_DOUBLED), ('all', set())],
)
def test_overlap(scene: Scene, overlap: str, dropped: set[str]) -> None:
    with PRISMAL2DReader(scene.path, overlap=overlap) as reader:
        bands = bands_of(reader)
        values, _ = reader.read()
    assert set(bands.names) == set(nominal()) - dropped
    assert bands.is_sorted
    # the nominal table says the same about what overlaps
    table = {name: centre for name, (centre, _) in nominal().items()}
    first_swir = min(c for name, c in table.items() if name.startswith('SWIR'))
    last_vnir = max(c for name, c in table.items() if name.startswith('VNIR'))
    doubled = {n for n, c in table.items() if first_swir <= c <= last_vnir}
    assert doubled == VNIR_DOUBLED | SWIR_DOUBLED
    np.testing.assert_allclose(values, truth(scene, bands.names)[0], rtol=2e-6)


@pytest.mark.parametrize('compress', [False, True])
def test_windows_and_bands_in_any_order(tmp_path: Path, compress: bool) -> None:
    scene = make_file(tmp_path, compress=compress, seed=3)
    wanted = ('SWIR100', 'VNIR37', 'SWIR1', 'VNIR66', 'VNIR37')
    with PRISMAL2DReader(scene.path) as reader:
        indexes = bands_of(reader).indices(wanted)
        values, valid = reader.read(indexes, Window(2, 1, 7, 6))
        outer, outer_valid = reader.read(indexes, Window(-2, 12, 20, 9))
    expected, data = truth(scene, wanted)
    np.testing.assert_allclose(values, expected[:, 1:7, 2:9], rtol=2e-6)
    np.testing.assert_array_equal(valid, data[:, 1:7, 2:9])
    assert values.dtype == np.float32
    assert not outer[:, 4:].any()
    assert not outer_valid[:, 4:].any()
    assert not outer_valid[:, :, :2].any()
    np.testing.assert_allclose(outer[:, :4, 2:16], expected[:, 12:], rtol=2e-6)
    assert outer_valid[:, :4, 2:16].all()


def test_a_zero_within_the_swath_is_a_value(scene: Scene) -> None:
    cube, number, row, column = ZERO
    with PRISMAL2DReader(scene.path) as reader:
        index = bands_of(reader).indices([f'{cube}{number}'])
        values, valid = reader.read(index)
    assert valid[0, row, column]
    # it is read as 1
    low, high = SCALES['Swir']
    darkest = (low + (high - low) / 65535) * 10_000
    assert values[0, row, column] == pytest.approx(darkest, rel=1e-6)
    assert values[0, row, column] == pytest.approx(low * 10_000, abs=0.14)
    np.testing.assert_array_equal(valid[0], scene.inside)
    assert not values[0, ~scene.inside].any()


def test_own_nodata_holds_for_each_band_alone(scene: Scene) -> None:
    cube, number, row, column = ZERO
    with PRISMAL2DReader(scene.path, nodata=0, scale=2) as reader:
        index = bands_of(reader).indices([f'{cube}{number}', 'VNIR37'])
        values, valid = reader.read(index)
    assert not valid[0, row, column]
    assert valid[1, row, column]
    stored = scene.stored['VNIR'][:, 36]
    np.testing.assert_array_equal(values[1], 2.0 * stored)


def test_bands_without_flag_have_no_data_where_they_are_zero(tmp_path: Path) -> None:
    flags = np.ones(173, np.uint8)
    flags[49] = 0
    scene = make_file(tmp_path, change={'List_Cw_Swir_Flags': flags})
    _, _, row, column = ZERO
    with PRISMAL2DReader(scene.path) as reader:
        bands = bands_of(reader)
        values, valid = reader.read(bands.indices(['SWIR50', 'SWIR51']))
    assert [n for n, good in zip(bands.names, bands.good, strict=True) if not good] == [
        'SWIR50'
    ]
    assert not valid[0, row, column]
    assert not values[0, row, column]
    assert valid[1, row, column]


def test_files_without_flags(tmp_path: Path) -> None:
    scene = make_file(tmp_path, flags=False)
    with PRISMAL2DReader(scene.path) as reader:
        assert bands_of(reader).good.all()


@pytest.mark.parametrize(
    ('layer', 'codes'), [('invalid', {1}), ('negative', {2}), ('saturated', {3, 4})]
)
def test_quality_layers(scene: Scene, layer: str, codes: set[int]) -> None:
    window = Window(1, 2, 10, 9)
    with PRISMAL2DReader(scene.path) as reader:
        assert reader.quality_layers == ('invalid', 'negative', 'saturated')
        flagged = reader.read_quality([layer], window)
        others = [
            i
            for i, name in enumerate(bands_of(reader).names)
            if (name[:4], int(name[4:])) not in {key[:2] for key in ERRORS}
        ]
        without = reader.read_quality([layer], window, others)
    expected = np.zeros((9, 10), dtype=bool)
    for (_, _, row, column), code in ERRORS.items():
        expected[row - 2, column - 1] |= code in codes
    assert expected.any()
    np.testing.assert_array_equal(flagged, expected)
    assert not without.any()


def test_unknown_and_missing_quality_layers(scene: Scene, tmp_path: Path) -> None:
    with (
        PRISMAL2DReader(scene.path) as reader,
        pytest.raises(MetadataError, match=r'cloud.*It has: invalid, negative'),
    ):
        reader.read_quality(['cloud'])
    bare = make_file(tmp_path, errors=False)
    with PRISMAL2DReader(bare.path) as reader:
        assert reader.quality_layers == ()
        with pytest.raises(MetadataError, match='It has: none'):
            reader.read_quality(['invalid'])


def test_own_wavelengths(scene: Scene) -> None:
    centres = np.linspace(0.4, 2.5, 230)
    with PRISMAL2DReader(scene.path, wavelength=centres, fwhm=[0.01] * 230) as reader:
        bands = bands_of(reader)
        assert reader.info.spectral_source == 'user'
    np.testing.assert_allclose(bands.wavelength, centres)
    with pytest.raises(BandMismatchError, match='Expected 230 wavelengths'):
        PRISMAL2DReader(scene.path, wavelength=centres[:-1])
    with pytest.raises(UnitError):
        PRISMAL2DReader(scene.path, wavelength=centres * 1e3)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'L2ScaleSwirMax': None}, 'L2ScaleSwirMax'),
        ({'L2ScaleVnirMax': np.float32(0)}, 'Expected L2ScaleVnirMax above'),
        ({'Epsg_Code': None}, 'Epsg_Code'),
        ({'Epsg_Code': np.int32(99999999)}, 'Unknown Epsg_Code'),
        ({'Epsg_Code': np.bytes_('utm')}, 'Expected a number in the attribute Epsg'),
        ({'List_Cw_Swir': None}, 'Expected 173 values in the attribute List_Cw_Swir'),
        ({'List_Fwhm_Vnir': np.ones(65)}, 'Expected 66 values.*got 65'),
    ],
)
def test_incomplete_attributes(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    scene = make_file(tmp_path, change=change)
    with pytest.raises(MetadataError, match=match):
        PRISMAL2DReader(scene.path)


def test_bad_widths_are_told(tmp_path: Path) -> None:
    scene = make_file(tmp_path, change={'List_Fwhm_Swir': np.full(173, np.nan)})
    with pytest.warns(HSIWarning, match='are left out: some are not positive'):
        reader = PRISMAL2DReader(scene.path)
    assert bands_of(reader).fwhm is None
    reader.close()


def test_code_of_the_projection_may_be_text(tmp_path: Path) -> None:
    scene = make_file(tmp_path, change={'Epsg_Code': np.bytes_(str(EPSG))})
    with PRISMAL2DReader(scene.path) as reader:
        assert reader.info.crs is not None
        assert reader.info.crs.to_epsg() == EPSG


def test_unusual_arrays(tmp_path: Path) -> None:
    scene = make_file(tmp_path)
    group = 'HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields'
    with h5py.File(scene.path, 'r+') as file:
        del file[f'{group}/SWIR_PIXEL_L2_ERR_MATRIX']
        file[f'{group}/SWIR_PIXEL_L2_ERR_MATRIX'] = np.zeros((16, 3, 14), np.uint8)
    with pytest.raises(MetadataError, match='SWIR_Cube and its error matrix'):
        PRISMAL2DReader(scene.path)
    with h5py.File(scene.path, 'r+') as file:
        del file[f'{group}/SWIR_PIXEL_L2_ERR_MATRIX'], file[f'{group}/SWIR_Cube']
    with pytest.raises(MetadataError, match=r'no HDFEOS.*SWIR_Cube'):
        PRISMAL2DReader(scene.path)
    with h5py.File(scene.path, 'r+') as file:
        file[f'{group}/SWIR_Cube'] = np.zeros((15, 173, 14), np.uint16)
    with pytest.raises(MetadataError, match='VNIR and SWIR with the same rows'):
        PRISMAL2DReader(scene.path)


def test_other_levels_and_files(scene: Scene, tmp_path: Path) -> None:
    other = make_file(tmp_path, level='2C')
    with pytest.raises(MetadataError, match=r'got level 2C.*order the L2D'):
        PRISMAL2DReader(other.path)
    with open_cube(other.path) as reader:
        assert reader.info.crs is None
    with h5py.File(tmp_path / 'plain.h5', 'w') as file:
        file['cube'] = np.zeros((3, 4, 5))
    with pytest.raises(MetadataError, match='Expected a PRISMA L2D product'):
        PRISMAL2DReader(tmp_path / 'plain.h5')
    with pytest.raises(
        MetadataError, match="overlap as one of swir, vnir, all, got ''"
    ):
        PRISMAL2DReader(scene.path, overlap='')
    with pytest.raises(FileNotFoundError):
        PRISMAL2DReader(tmp_path / 'none.he5')


def test_damaged_files(scene: Scene, tmp_path: Path) -> None:
    content = scene.path.read_bytes()
    cut = tmp_path / 'cut.he5'
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match=r'cut.he5 is truncated'):
        PRISMAL2DReader(cut)
    (tmp_path / 'empty.he5').touch()
    with pytest.raises(CorruptFileError, match='0 bytes'):
        PRISMAL2DReader(tmp_path / 'empty.he5')
    broken = make_file(tmp_path, compress=True)
    with h5py.File(broken.path, 'r') as file:
        cube = file['HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube']
        start = cube.id.get_chunk_info(3).byte_offset
    with broken.path.open('r+b') as stream:
        stream.seek(start)
        stream.write(b'\xff' * 64)
    with (
        PRISMAL2DReader(broken.path) as reader,
        pytest.raises(CorruptFileError, match='its pixels cannot be read'),
    ):
        reader.read()
    with pytest.raises(CorruptFileError, match='is closed'):
        reader.read()
    with pytest.raises(CorruptFileError, match='is closed'):
        reader.read_quality(['invalid'])


def test_open_cube_knows_it_by_its_content(scene: Scene, tmp_path: Path) -> None:
    renamed = tmp_path / 'scene.h5'
    renamed.write_bytes(scene.path.read_bytes())
    with open_cube(renamed, overlap='all') as reader:
        assert isinstance(reader, PRISMAReader)
        assert reader.info.shape[0] == 234
    assert {'overlap', 'variable', 'layout', 'scale'} <= set(known_options(renamed))
    name = 'HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/SWIR_Cube'
    with open_cube(renamed, variable=name, layout='HWC') as reader:
        assert isinstance(reader, NetCDFReader)
    with pytest.raises(MetadataError, match='overlap= is for the whole cube'):
        open_cube(renamed, variable=name, overlap='all')
    with pytest.raises(MetadataError, match=r"no option 'band'.*overlap"):
        open_cube(renamed, band=3)


def test_reads_only_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_file(tmp_path, height=60, width=50)
    seen: list[tuple[Any, tuple[int, ...]]] = []
    original = h5py.Dataset.__getitem__

    def spy(self: Any, key: Any, **options: Any) -> Any:
        result = original(self, key, **options)
        seen.append((self.name, np.shape(result)))
        return result

    with PRISMAL2DReader(scene.path) as reader:
        monkeypatch.setattr(h5py.Dataset, '__getitem__', spy)
        reader.read([0, 100], Window(10, 20, 8, 6))
        reader.read([5, 6, 7], Window(10, 20, 8, 6))
    # two bands, once the bands that show the swath, and three bands
    assert all(shape[0] == 6 and shape[2] == 8 for _, shape in seen)
    assert sum(shape[1] for _, shape in seen) == 2 + 8 + 3


def test_needs_h5py(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match='pip install'):
        PRISMAL2DReader(scene.path)
