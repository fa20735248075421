# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from data.desis_l2a.data import EPSG, NODATA, NORTH, WEST, Scene, make_product
from data.enmap_l2a.data import make_product as make_enmap
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    UnitError,
)
from torchgeo_hsi.io import DESISL2AReader, EnMAPL2AReader, GeoTIFFReader, open_cube


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('desis'))


@pytest.mark.parametrize('name', ['folder', 'metadata', 'image'])
@pytest.mark.parametrize('plain_names', [False, True])
def test_opens_from_any_of_its_files(
    tmp_path: Path, name: str, plain_names: bool
) -> None:
    scene = make_product(tmp_path, plain_names=plain_names)
    with open_cube(getattr(scene, name)) as reader:
        assert isinstance(reader, DESISL2AReader)
        info = reader.info
        values, valid = reader.read()
    assert (info.sensor, info.dtype, info.nodata) == ('DESIS', 'int16', NODATA)
    assert info.path == str(scene.image)
    assert info.shape == (235, 16, 12)
    assert info.start == '2022-04-04T19:32:59.100000Z'
    assert info.stop == '2022-04-04T19:32:59.900000Z'
    assert info.spectral_source == 'scene'
    assert info.crs is not None
    assert info.crs.to_epsg() == EPSG
    assert info.transform == Affine(30, 0, WEST, 0, -30, NORTH)
    assert info.bands is not None
    assert info.bands.names == tuple(f'B{i}' for i in range(1, 236))
    assert info.bands.is_sorted
    np.testing.assert_allclose(info.bands.wavelength * 1e3, scene.wavelength, atol=1e-4)
    np.testing.assert_allclose(info.bands.fwhm * 1e3, scene.fwhm, atol=1e-4)
    np.testing.assert_array_equal(valid, np.broadcast_to(scene.data, valid.shape))
    np.testing.assert_array_equal(values, np.where(scene.data, scene.dn, 0))


def test_gain_and_offset_of_each_band(tmp_path: Path) -> None:
    scene = make_product(tmp_path, gain=0.0002, offset=0.05)
    with DESISL2AReader(scene.image) as reader:
        values, valid = reader.read([0, 200], Window(1, 2, 5, 6))
    with DESISL2AReader(scene.image, scale=2, nodata=7) as reader:
        plain, _ = reader.read([200], Window(1, 2, 5, 6))
    for k, band in enumerate((0, 200)):
        stored = scene.dn[band, 2:8, 1:6].astype(float)
        factor = 0.0002 * (1 + 0.01 * band)
        np.testing.assert_allclose(values[k], (stored * factor + 0.05) * 1e4, rtol=1e-6)
    assert valid.all()
    np.testing.assert_array_equal(plain[0], 2.0 * scene.dn[200, 2:8, 1:6])


def test_nodata_without_a_tag(tmp_path: Path) -> None:
    scene = make_product(tmp_path, nodata=None)
    with DESISL2AReader(scene.image) as reader:
        _, valid = reader.read([3])
    np.testing.assert_array_equal(valid[0], scene.data)


def test_order_follows_the_numbers_of_bands(tmp_path: Path) -> None:
    scene = make_product(tmp_path)
    text = scene.metadata.read_text()
    table = re.search(r'<bandCharacterisation>\n(.*)\n</bandCh', text, re.DOTALL)
    assert table is not None
    rows = table[1].split('\n')
    scene.metadata.write_text(text.replace(table[1], '\n'.join(rows[::-1])))
    with DESISL2AReader(scene.folder) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.is_sorted
    # numbers that repeat say nothing
    same = re.sub(r'<bandNumber>\d+', '<bandNumber>1', text)
    scene.metadata.write_text(same)
    with DESISL2AReader(scene.folder) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.is_sorted


def test_binned_bands(tmp_path: Path) -> None:
    scene = make_product(tmp_path, binning=4)
    with DESISL2AReader(scene.folder) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.names == tuple(f'B{i}' for i in range(1, 60))


@pytest.mark.parametrize(
    ('layer', 'flags'),
    [
        ('cloud', {'cloud_land', 'cloud_water'}),
        ('haze', {'haze_land', 'haze_water'}),
        ('shadow', {'shadow'}),
        ('snow', {'snow'}),
        ('land', {'land'}),
        ('water', {'water'}),
    ],
)
def test_quality_layers(scene: Scene, layer: str, flags: set[str]) -> None:
    window = Window(1, 0, 9, 15)
    with DESISL2AReader(scene.folder) as reader:
        assert layer in reader.quality_layers
        flagged = reader.read_quality([layer], window)
    expected = np.any([scene.flags[flag] for flag in flags], axis=0)
    assert expected.any()
    np.testing.assert_array_equal(flagged, expected[:15, 1:10])


def test_quality_layers_are_missing_or_do_not_fit(tmp_path: Path) -> None:
    bare = make_product(tmp_path / 'bare', quality=False)
    with DESISL2AReader(bare.folder) as reader:
        assert reader.quality_layers == ()
        with pytest.raises(MetadataError, match='It has: none'):
            reader.read_quality(['cloud'])
    other = make_product(tmp_path / 'other')
    with rasterio.open(other.quality) as src:
        profile = src.profile | {'count': 3}
    with rasterio.open(other.quality, 'w', **profile) as dst:
        dst.write(np.zeros((3, 16, 12), np.uint8))
    with (
        DESISL2AReader(other.folder) as reader,
        pytest.raises(MetadataError, match=r'at least 8 bands.*got \(3, 16, 12\)'),
    ):
        reader.read_quality(['cloud'])


def test_only_the_image_is_a_product(scene: Scene) -> None:
    with open_cube(scene.quality) as reader:
        assert type(reader) is GeoTIFFReader
        assert reader.info.shape[0] == 10


def test_enmap_stays_enmap(tmp_path: Path) -> None:
    scene = make_enmap(tmp_path)
    for path in (scene.folder, scene.metadata, scene.image):
        with open_cube(path) as reader:
            assert isinstance(reader, EnMAPL2AReader)


@pytest.mark.parametrize('plain_names', [False, True])
def test_other_levels(tmp_path: Path, plain_names: bool) -> None:
    scene = make_product(tmp_path, level='L1C', plain_names=plain_names)
    for path in (scene.folder, scene.metadata, scene.image):
        with pytest.raises(MetadataError, match=r'Expected an L2A product.*got L1C'):
            open_cube(path)


def test_missing_files(scene: Scene, tmp_path: Path) -> None:
    alone = tmp_path / scene.image.name
    shutil.copy(scene.image, alone)
    with pytest.raises(MetadataError, match=r'There is no .*METADATA.xml beside'):
        open_cube(alone)
    alone.unlink()
    shutil.copy(scene.metadata, tmp_path)
    with pytest.raises(EmptyDataError, match='no DESIS-HSI-L2A'):
        open_cube(tmp_path / scene.metadata.name)
    with pytest.raises(FileNotFoundError):
        DESISL2AReader(tmp_path / 'none.tif')
    with pytest.raises(EmptyDataError, match='no DESIS-HSI-L2A'):
        DESISL2AReader(scene.quality)


def test_several_scenes_in_a_folder(tmp_path: Path) -> None:
    for date in ('20220404T193259', '20220504T193259'):
        scene = make_product(tmp_path, date=date)
        for file in scene.folder.iterdir():
            file.rename(tmp_path / file.name)
        scene.folder.rmdir()
    with pytest.raises(MetadataError, match='holds 2 scenes'):
        open_cube(tmp_path)
    with open_cube(tmp_path / scene.image.name) as reader:
        assert reader.info.start == '2022-05-04T19:32:59.100000Z'
        assert 'cloud' in reader.quality_layers


@pytest.mark.parametrize(
    ('old', 'new', 'error', 'match'),
    [
        ('</hsi_doc>', '', CorruptFileError, 'truncated, damaged or unsafe'),
        (
            '<hsi_doc',
            '<!DOCTYPE x [<!ENTITY a "b">]><hsi_doc',
            CorruptFileError,
            'unsafe',
        ),
        ('hsi_doc', 'level_X', MetadataError, 'Expected DESIS metadata'),
        ('bandCharacterisation', 'other', MetadataError, 'no bandCharacterisation'),
        ('<gainOfBand>0.0001', '<gainOfBand>0', MetadataError, 'for 235 bands'),
        (
            '<gainOfBand>0.0001',
            '<gainOfBand>',
            MetadataError,
            'gainOfBand of every band',
        ),
        (
            'wavelengthWidthOfBand',
            'w',
            MetadataError,
            'wavelengthWidthOfBand of every band',
        ),
        (
            '<band><bandNumber>7<',
            '<a><band/></a><x><bandNumber>7<',
            CorruptFileError,
            'unsafe',
        ),
    ],
)
def test_damaged_metadata(
    tmp_path: Path, old: str, new: str, error: type[Exception], match: str
) -> None:
    scene = make_product(tmp_path)
    scene.metadata.write_text(scene.metadata.read_text().replace(old, new))
    with pytest.raises(error, match=match):
        DESISL2AReader(scene.folder)


def test_metadata_of_another_product(tmp_path: Path) -> None:
    scene = make_product(tmp_path / 'a')
    other = make_product(tmp_path / 'b', binning=2)
    shutil.copy(other.metadata, scene.metadata)
    with pytest.raises(MetadataError, match=r'describes 118 bands, but .* has 235'):
        DESISL2AReader(scene.folder)


def test_time_of_the_name(tmp_path: Path) -> None:
    scene = make_product(tmp_path)
    text = scene.metadata.read_text()
    scene.metadata.write_text(text.replace('temporalCoverage', 'time'))
    with DESISL2AReader(scene.folder) as reader:
        assert reader.info.start == '2022-04-04T19:32:59'
        assert reader.info.stop is None


def test_own_wavelengths(scene: Scene) -> None:
    with DESISL2AReader(
        scene.image, wavelength=np.linspace(400, 1000, 235), wavelength_unit='nm'
    ) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.wavelength[0] == pytest.approx(0.4)
        assert reader.info.spectral_source == 'user'
    with pytest.raises(BandMismatchError, match='Expected 235 wavelengths'):
        DESISL2AReader(scene.image, wavelength=[0.4])
    with pytest.raises(UnitError):
        DESISL2AReader(scene.image, wavelength=np.linspace(400, 1000, 235))


def test_truncated_image(tmp_path: Path) -> None:
    scene = make_product(tmp_path)
    content = scene.image.read_bytes()
    scene.image.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match=r'SPECTRAL_IMAGE.tif is truncated'):
        DESISL2AReader(scene.folder)
