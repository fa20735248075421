# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""PRISMA products in the geometry of the sensor: L1 and L2C."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.prisma_l2d.data import ERRORS, FACTORS, SCALES, make_file
from rasterio.windows import Window

from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.io import PRISMAL2DReader
from torchgeo_hsi.io.prisma import PRISMAReader

#: Bands in an order of their own.
NAMES = ('SWIR100', 'VNIR37', 'SWIR1')


def values_of(stored: np.ndarray, detector: str, level: str) -> np.ndarray:
    """Turn stored numbers into values, as the documents of the product say."""
    numbers = np.maximum(stored.astype(np.float64), 1)
    if level == '1':
        factor, offset = FACTORS[detector]
        return numbers / factor - offset
    low, high = SCALES[detector]
    return (low + numbers / 65535 * (high - low)) * 1e4


@pytest.mark.parametrize('level', ['1', '2C', '2D'])
def test_levels(tmp_path: Path, level: str) -> None:
    scene = make_file(tmp_path, level=level)
    with PRISMAReader(scene.path) as reader:
        assert reader.level == level
        info = reader.info
        assert info.bands is not None
        values, valid = reader.read(info.bands.indices(NAMES))
        pan, pan_valid = reader.read_pan(Window(2, 3, 5, 6))
        grid = reader.pan.info.transform
    assert info.sensor == 'PRISMA'
    assert info.shape == (230, 16, 14)
    # only L2D lies on a map grid
    placed = level == '2D'
    assert (info.crs is not None) == placed
    assert (info.transform is not None) == placed
    assert (grid is not None) == placed
    for k, name in enumerate(NAMES):
        stored = scene.stored[name[:4]][:, int(name[4:]) - 1]
        expected = values_of(stored, name[:4].capitalize(), level) * scene.inside
        np.testing.assert_allclose(values[k], expected, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(valid[k], scene.inside)
    part = scene.pan[18:54, 12:42]
    expected = values_of(part, 'Pan', level)
    np.testing.assert_allclose(pan[0][part > 0], expected[part > 0], rtol=1e-5)
    np.testing.assert_array_equal(pan_valid[0], part > 0)


@pytest.mark.parametrize(
    ('layer', 'codes'), [('invalid', {1, 4}), ('saturated', {2}), ('resampled', {3})]
)
def test_quality_layers_of_l1(tmp_path: Path, layer: str, codes: set[int]) -> None:
    scene = make_file(tmp_path, level='1')
    with PRISMAReader(scene.path) as reader:
        assert reader.quality_layers == ('invalid', 'saturated', 'resampled')
        flagged = reader.read_quality([layer])
    expected = np.zeros(scene.inside.shape, dtype=bool)
    for (_, _, row, column), code in ERRORS.items():
        expected[row, column] |= code in codes
    assert expected.any()
    np.testing.assert_array_equal(flagged, expected)


def test_quality_layers_of_l2c(tmp_path: Path) -> None:
    with PRISMAReader(make_file(tmp_path, level='2C').path) as reader:
        assert reader.quality_layers == ('invalid', 'negative', 'saturated')
        assert reader.read_quality(['negative']).sum() == 1


def test_cubes_that_are_not_registered_do_not_matter(tmp_path: Path) -> None:
    scene = make_file(tmp_path, level='1')
    with h5py.File(scene.path, 'r+') as file:
        fields = file.create_group('HDFEOS/SWATHS/PRS_L1_HRC/Data Fields')
        fields['VNIR_Cube'] = np.ones((3, 66, 3), np.uint16)
    with PRISMAReader(scene.path) as reader:
        assert reader.info.shape == (230, 16, 14)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'ScaleFactor_Swir': None}, 'ScaleFactor_Swir'),
        ({'ScaleFactor_Vnir': np.float32(0)}, 'Expected a positive ScaleFactor_Vnir'),
        ({'Offset_Vnir': None}, 'Offset_Vnir'),
    ],
)
def test_scales_of_l1(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    scene = make_file(tmp_path, level='1', change=change)
    with pytest.raises(MetadataError, match=match):
        PRISMAReader(scene.path)
    with PRISMAReader(scene.path, scale=2) as reader:
        assert reader.info.gain is not None
        assert set(reader.info.gain) == {2.0}


def test_levels_that_are_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(
        MetadataError, match='Expected a PRISMA L2D product, got level 1'
    ):
        PRISMAL2DReader(make_file(tmp_path, level='1').path)
    scene = make_file(tmp_path, level='2B')
    with pytest.raises(MetadataError, match='L1 or L2C or L2D product, got level 2B'):
        PRISMAReader(scene.path)
    with PRISMAL2DReader(make_file(tmp_path).path) as reader:
        assert reader.level == '2D'


def test_a_pan_that_is_missing(tmp_path: Path) -> None:
    scene = make_file(tmp_path, level='2C', pan=False)
    with (
        PRISMAReader(scene.path) as reader,
        pytest.raises(MetadataError, match='no HDFEOS/SWATHS/PRS_L2C_PCO'),
    ):
        reader.read_pan()
