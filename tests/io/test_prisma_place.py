# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The place and the panchromatic image of PRISMA files."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from affine import Affine
from data.prisma_l2d.data import NORTH, RATIO, SCALES, WEST, Scene, make_file
from rasterio.windows import Window

from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.io import PRISMAL2DReader


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_file(tmp_path_factory.mktemp('prisma'))


def test_pan(scene: Scene) -> None:
    low, high = SCALES['Pan']
    expected = (low + scene.pan / 65535 * (high - low)) * 1e4
    with PRISMAL2DReader(scene.path) as reader:
        whole, valid = reader.read_pan()
        part, part_valid = reader.read_pan(Window(3, 2, 5, 4))
        outer, outer_valid = reader.read_pan(Window(-1, 14, 3, 4))
        info = reader.pan.info
        assert reader.pan is reader.pan
        again, _ = reader.pan.read([0, 0], Window(0, 30, 8, 8))
    np.testing.assert_allclose(whole[0], expected, rtol=2e-6)
    np.testing.assert_array_equal(valid[0], scene.pan > 0)
    np.testing.assert_array_equal(part, whole[:, 12:36, 18:48])
    np.testing.assert_array_equal(part_valid, valid[:, 12:36, 18:48])
    assert outer.shape == (1, 24, 18)
    np.testing.assert_array_equal(outer[0, :12, 6:], whole[0, 84:, :12])
    assert not outer_valid[0, 12:].any()
    assert not outer_valid[0, :, :6].any()
    np.testing.assert_array_equal(again, np.stack([whole[0, 30:38, :8]] * 2))
    assert info.shape == (1, 16 * RATIO, 14 * RATIO)
    assert info.transform == Affine(5, 0, WEST, 0, -5, NORTH)


def test_pan_is_missing_or_of_another_size(tmp_path: Path) -> None:
    bare = make_file(tmp_path / 'bare', pan=False)
    with (
        PRISMAL2DReader(bare.path) as reader,
        pytest.raises(MetadataError, match='no HDFEOS/SWATHS/PRS_L2D_PCO'),
    ):
        reader.read_pan()
    other = make_file(tmp_path / 'other')
    with h5py.File(other.path, 'r+') as file:
        fields = file['HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields']
        del fields['Cube']
        fields['Cube'] = np.ones((89, 84), np.uint16)
    with (
        PRISMAL2DReader(other.path) as reader,
        pytest.raises(MetadataError, match=r'96 rows and 84 columns.*\(89, 84\)'),
    ):
        _ = reader.pan


def test_pan_may_lack_a_margin(tmp_path: Path) -> None:
    scene = make_file(tmp_path)
    with h5py.File(scene.path, 'r+') as file:
        fields = file['HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields']
        del fields['Cube']
        fields['Cube'] = np.full((91, 89), 65535, np.uint16)
    with PRISMAL2DReader(scene.path) as reader:
        values, valid = reader.read_pan()
    assert values.shape == valid.shape == (1, 96, 84)
    np.testing.assert_array_equal(valid[0, :, 0], np.arange(96) < 91)
    np.testing.assert_allclose(values[valid], 5000, rtol=1e-6)


@pytest.mark.parametrize('corner', ['centre', 'pan', 'edge', 'swath'])
def test_place(tmp_path: Path, corner: str) -> None:
    scene = make_file(tmp_path, corner=corner, height=40, width=30)
    with PRISMAL2DReader(scene.path) as reader:
        transform = reader.info.transform
    assert transform is not None
    # fitted to latitudes and longitudes if the corners do not fit
    assert transform.almost_equals(Affine(30, 0, WEST, 0, -30, NORTH), 0.01)


def test_corners_may_be_missing(tmp_path: Path) -> None:
    scene = make_file(tmp_path, change={'Product_LRcorner_easting': None})
    with PRISMAL2DReader(scene.path) as reader:
        transform = reader.info.transform
    assert transform is not None
    assert transform.almost_equals(Affine(30, 0, WEST, 0, -30, NORTH), 0.01)


@pytest.mark.parametrize('damage', ['none', 'blank', 'skewed'])
def test_unknown_place(tmp_path: Path, damage: str) -> None:
    scene = make_file(tmp_path, corner='swath')
    with h5py.File(scene.path, 'r+') as file:
        group = file['HDFEOS/SWATHS/PRS_L2D_HCO/Geolocation Fields']
        if damage == 'none':
            del group['Latitude']
        elif damage == 'blank':
            group['Latitude'][:] = 0
        else:
            group['Longitude'][:] = np.linspace(12, 14, 14)
    with pytest.raises(MetadataError, match='do not fit its 16 x 14 pixels'):
        PRISMAL2DReader(scene.path)
