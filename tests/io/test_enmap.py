# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products: bands, values and quality layers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from data.enmap_l2a.data import (
    DEFECT,
    FLAGS,
    MEDIUM_CIRRUS,
    NODATA,
    OUTSIDE,
    Scene,
    make_product,
    nominal,
)
from rasterio.windows import Window

from torchgeo_hsi.errors import CorruptFileError, EmptyDataError, MetadataError
from torchgeo_hsi.io import EnMAPL2AReader
from torchgeo_hsi.io.enmap import QUALITY_LAYERS


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('enmap'))


@pytest.mark.parametrize('name', ['folder', 'metadata', 'image'])
def test_opens_from_any_of_its_files(scene: Scene, name: str) -> None:
    with EnMAPL2AReader(getattr(scene, name)) as reader:
        info = reader.info
        values, valid = reader.read()
    assert info.sensor == 'EnMAP'
    assert info.path == str(scene.image)
    assert info.shape == (224, 16, 14)
    assert info.start == '2022-07-24T10:45:26.160668Z'
    assert info.spectral_source == 'scene'
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength * 1e3, scene.wavelength, atol=6e-4)
    np.testing.assert_allclose(info.bands.fwhm, scene.fwhm / 1e3, atol=1e-6)
    assert info.bands.names == tuple(scene.names)
    np.testing.assert_array_equal(valid, scene.data)
    np.testing.assert_array_equal(values, np.where(scene.data, scene.dn, 0))


def test_order_of_the_overlap_follows_the_detector_lists(scene: Scene) -> None:
    # the shift of this scene exchanges B81 and B93 against the nominal table
    centres, _ = nominal()
    assert centres[80] > centres[92]
    position = scene.names.index('B81')
    assert scene.names[position + 1] == 'B93'
    with EnMAPL2AReader(scene.folder) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.names[position : position + 2] == ('B81', 'B93')


def test_without_detector_lists_the_rank_decides(tmp_path: Path) -> None:
    made = make_product(tmp_path, detector_lists=False, shift=(0.4, 0.4))
    with EnMAPL2AReader(made.folder) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.names == tuple(made.names)
        assert reader.info.bands.good.sum() == 222


def test_bad_bands(scene: Scene) -> None:
    with EnMAPL2AReader(scene.folder) as reader:
        assert reader.info.bands is not None
        bad = np.array(reader.info.bands.names)[~reader.info.bands.good]
        assert sorted(bad) == ['B130', 'B131']
        assert reader.metadata is not None
        assert reader.metadata.empty.sum() == 2


def test_missing_channels_are_bad(tmp_path: Path) -> None:
    made = make_product(tmp_path, empty=())
    text = made.metadata.read_text()
    text = text.replace('<missingChannelsList />', '<missingChannelsList>7</>', 1)
    made.metadata.write_text(text.replace('</>', '</missingChannelsList>'))
    with EnMAPL2AReader(made.folder) as reader:
        assert reader.info.bands is not None
        assert np.flatnonzero(~reader.info.bands.good).tolist() == [6]


def test_gain_and_offset_lead_to_reflectance_times_10000(tmp_path: Path) -> None:
    made = make_product(tmp_path, gain=0.0002, offset=-0.05, empty=())
    with EnMAPL2AReader(made.folder) as reader:
        values, valid = reader.read()
    reflectance = made.dn * 0.0002 - 0.05
    np.testing.assert_allclose(
        values[valid], reflectance[valid] * 1e4, rtol=1e-5, atol=1e-3
    )
    assert not values[~valid].any()
    with EnMAPL2AReader(made.folder, scale=1.0) as reader:
        np.testing.assert_array_equal(reader.read([3])[0][0][:14], made.dn[3][:14])


def test_nodata_tag_wins_over_the_metadata(scene: Scene, tmp_path: Path) -> None:
    # the metadata of real products say 0
    with EnMAPL2AReader(scene.folder) as reader:
        assert reader.info.nodata == NODATA
        assert reader.metadata is not None
        assert reader.metadata.background == 0
    copy = tmp_path / scene.folder.name
    shutil.copytree(scene.folder, copy)
    with rasterio.open(copy / scene.image.name, 'r+') as dst:
        dst.nodata = None
    with EnMAPL2AReader(copy) as reader:
        assert reader.info.nodata == NODATA
        np.testing.assert_array_equal(reader.read()[1], scene.data)


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('cloud', 'QL_QUALITY_CLOUD'),
        ('cloudshadow', 'QL_QUALITY_CLOUDSHADOW'),
        ('haze', 'QL_QUALITY_HAZE'),
        ('snow', 'QL_QUALITY_SNOW'),
        ('cirrus', 'QL_QUALITY_CIRRUS'),
        ('low_quality', 'QL_QUALITY_TESTFLAGS'),
    ],
)
def test_quality_layers(scene: Scene, name: str, part: str) -> None:
    expected = np.zeros((16, 14), bool)
    expected[FLAGS[part][0]] = True
    with EnMAPL2AReader(scene.folder) as reader:
        np.testing.assert_array_equal(reader.read_quality([name]), expected)
        cut = reader.read_quality([name], Window(1, 2, 5, 9))
    np.testing.assert_array_equal(cut, expected[2:11, 1:6])


def test_thick_cirrus(scene: Scene) -> None:
    expected = np.zeros((16, 14), bool)
    expected[MEDIUM_CIRRUS] = True
    with EnMAPL2AReader(scene.folder) as reader:
        np.testing.assert_array_equal(reader.read_quality(['thick_cirrus']), expected)


def test_defects_count_in_the_bands_read(scene: Scene) -> None:
    band, row, column = DEFECT
    with EnMAPL2AReader(scene.folder) as reader:
        hit = reader.read_quality(['defective'], indexes=[3, band])
        missed = reader.read_quality(['defective'], indexes=[3, 4])
    # the background value 255 is no defect
    assert np.argwhere(hit).tolist() == [[row, column]]
    assert not missed.any()


def test_layers_add_up(scene: Scene) -> None:
    with EnMAPL2AReader(scene.folder) as reader:
        assert reader.quality_layers == tuple(QUALITY_LAYERS)
        single = [reader.read_quality([name]) for name in ('cloud', 'haze')]
        both = reader.read_quality(['cloud', 'haze'])
        assert not reader.read_quality([]).any()
    np.testing.assert_array_equal(both, single[0] | single[1])


def test_unknown_or_missing_layers(tmp_path: Path) -> None:
    made = make_product(tmp_path, layers=False)
    with EnMAPL2AReader(made.folder) as reader:
        assert reader.quality_layers == ()
        with pytest.raises(MetadataError, match=r"Unknown quality layers 'fog'"):
            reader.read_quality(['fog'])
        with pytest.raises(MetadataError, match='QL_QUALITY_CLOUD beside'):
            reader.read_quality(['cloud'])


def test_layer_of_another_size(tmp_path: Path) -> None:
    small = make_product(tmp_path / 'a', height=15)
    made = make_product(tmp_path / 'b')
    part = 'QL_QUALITY_CLOUD'
    shutil.copy(small.quality[part], made.quality[part])
    with (
        EnMAPL2AReader(made.folder) as reader,
        pytest.raises(MetadataError, match=r'QL_QUALITY_CLOUD\.TIF, as in the image'),
    ):
        reader.read_quality(['cloud'])


@pytest.mark.parametrize(
    ('suffix', 'prefix'),
    [('_COG.tiff', True), ('.tiff', True), ('.TIF', False), ('_COG.TIF', False)],
)
def test_other_names(tmp_path: Path, suffix: str, prefix: bool) -> None:
    made = make_product(tmp_path, suffix=suffix, prefix=prefix)
    for path in (made.folder, made.metadata, made.image):
        with EnMAPL2AReader(path) as reader:
            assert reader.metadata is not None
            assert reader.quality_layers == tuple(QUALITY_LAYERS)


def test_layers_of_another_scene_are_not_taken(tmp_path: Path) -> None:
    first = make_product(tmp_path / 'a')
    second = make_product(tmp_path / 'b', date='20230101T101010', layers=False)
    for file in second.folder.iterdir():
        shutil.move(file, first.folder)
    with EnMAPL2AReader(first.folder / second.image.name) as reader:
        assert reader.quality_layers == ()
        assert reader.info.start == '2023-01-01T10:10:10.160668Z'
    with pytest.raises(MetadataError, match='holds 2 scenes'):
        EnMAPL2AReader(first.folder)


def test_folder_without_image(tmp_path: Path) -> None:
    made = make_product(tmp_path)
    made.image.unlink()
    for path in (made.folder, made.metadata):
        with pytest.raises(EmptyDataError, match='SPECTRAL_IMAGE'):
            EnMAPL2AReader(path)


def test_truncated_image(tmp_path: Path) -> None:
    made = make_product(tmp_path)
    made.image.write_bytes(made.image.read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match=r'SPECTRAL_IMAGE\.TIF'):
        EnMAPL2AReader(made.folder)


def test_outside_is_no_data(scene: Scene) -> None:
    with EnMAPL2AReader(scene.folder) as reader:
        values, valid = reader.read([0, 223])
    assert not valid[:, *OUTSIDE].any()
    assert not values[:, *OUTSIDE].any()


@pytest.mark.realdata
def test_potsdam_is_in_detector_order(potsdam: Path) -> None:
    with EnMAPL2AReader(potsdam / 'images/enmap_potsdam_tile_96_0.tif') as reader:
        bands = reader.info.bands
        assert bands is not None
    assert bands.names == tuple(f'B{i + 1}' for i in range(224))
    centres, _ = nominal()
    # scenes carry their own wavelengths
    shift = bands.wavelength * 1e3 - centres
    assert 0.1 < np.abs(shift).max() < 1.0
    assert np.array(bands.names)[~bands.good].tolist() == [
        f'B{i}' for i in range(130, 136)
    ]
