# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels from rasters and arrays, against pixel-by-pixel truths."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS
from scipy.io import savemat

from tests.datasets.labelled_scenes.placed import PLACE, UTM, centers, info, write
from torchgeo_hsi.datasets import LabelMap, read_label_map
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
)


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (20, 24)).astype(np.uint8)


def test_raster_with_names_and_colors(tmp_path: Path, codes: np.ndarray) -> None:
    names = {1: 'tree', 3: 'road, paved'}
    path = write(
        tmp_path / 'labels.tif',
        codes,
        nodata=4,
        tags={'class_names': json.dumps(names)},
        colors={1: (0, 128, 0, 255), 3: (255, 10, 0, 255)},
    )
    found = read_label_map(path)
    assert (found.known == ((codes != 0) & (codes != 4))).all()
    assert (found.codes == np.where(found.known, codes, 0)).all()
    assert found.names == names
    assert (found.colors[1], found.colors[3]) == ('#008000', '#ff0a00')
    assert found.crs == UTM
    assert found.transform == PLACE
    counts = {k: int((codes == k).sum()) for k in (1, 2, 3)}
    assert found.counts() == counts
    assert read_label_map(path, ignore=None).counts() == {
        0: int((codes == 0).sum()),
        **counts,
    }


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('none; a; b; c; d', {0: 'none', 1: 'a', 2: 'b', 3: 'c', 4: 'd'}),
        ('a,b,c,d', {1: 'a', 2: 'b', 3: 'c', 4: 'd'}),
        ('["n", "a", "b, c", "d", "e"]', {0: 'n', 1: 'a', 2: 'b, c', 3: 'd', 4: 'e'}),
    ],
)
def test_lists_of_names(
    tmp_path: Path, codes: np.ndarray, text: str, expected: dict[int, str]
) -> None:
    path = write(tmp_path / 'labels.tif', codes, tags={'CLASS_NAMES': text})
    assert read_label_map(path).names == expected


def test_broken_names(tmp_path: Path, codes: np.ndarray) -> None:
    path = write(tmp_path / 'labels.tif', codes, tags={'class_names': '{"1": '})
    with pytest.raises(MetadataError, match='class_names'):
        read_label_map(path)


def test_categories_beside_a_raster(tmp_path: Path, codes: np.ndarray) -> None:
    path = write(tmp_path / 'labels.tif', codes)
    text = (
        '<PAMDataset><PAMRasterBand band="1"><CategoryNames>'
        '<Category>none</Category><Category>tree</Category>'
        '</CategoryNames></PAMRasterBand></PAMDataset>'
    )
    Path(f'{path}.aux.xml').write_text(text)
    assert read_label_map(path).names == {0: 'none', 1: 'tree'}
    Path(f'{path}.aux.xml').write_text(text[:-9])
    with pytest.raises(CorruptFileError, match=r'aux\.xml'):
        read_label_map(path)


def test_float_codes_and_nan(tmp_path: Path, codes: np.ndarray) -> None:
    values = codes.astype(np.float32)
    values[3, 4] = np.nan
    found = read_label_map(write(tmp_path / 'labels.tif', values))
    assert not found.known[3, 4]
    assert found.known.sum() == (values > 0).sum()
    values[0, 0] = 1.5
    with pytest.raises(MetadataError, match=r'1\.5'):
        read_label_map(write(tmp_path / 'labels.tif', values))


def test_envi_classification(tmp_path: Path, codes: np.ndarray) -> None:
    codes.tofile(tmp_path / 'labels.img')
    (tmp_path / 'labels.hdr').write_text(
        'ENVI\nsamples = 24\nlines = 20\nbands = 1\ndata type = 1\ninterleave = bsq\n'
        'byte order = 0\nfile type = ENVI Classification\nclasses = 5\n'
        'class names = {Unclassified, Tree,\n Road, Soil, Water}\n'
        'class lookup = {0, 0, 0, 0, 128, 0, 200, 200, 200, 90, 60, 0, 0, 0, 255}\n'
        'map info = {UTM, 1, 1, 366000, 5810000, 30, 30, 33, North, WGS-84}\n'
    )
    for name in ('labels.hdr', 'labels.img'):
        found = read_label_map(tmp_path / name, like=info())
        assert (found.codes == codes).all()
        assert found.names[2] == 'Road'
        assert (found.colors[1], found.colors[4]) == ('#008000', '#0000ff')


def test_arrays(tmp_path: Path, codes: np.ndarray) -> None:
    savemat(tmp_path / 'a.mat', {'gt': codes, 'note': np.arange(3)})
    np.save(tmp_path / 'a.npy', codes)
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['sub/gt'] = codes
    for name, key in (
        ('a.mat', None),
        ('a.mat', 'gt'),
        ('a.npy', None),
        ('a.h5', None),
    ):
        found = read_label_map(tmp_path / name, key=key, like=info())
        assert (found.codes == codes).all()
        # pixel by pixel, so the place is that of the scene
        assert found.transform == PLACE
    savemat(tmp_path / 'b.mat', {'gt': codes, 'other': codes})
    with pytest.raises(MetadataError, match='other'):
        read_label_map(tmp_path / 'b.mat')
    with pytest.raises(MetadataError, match='gone'):
        read_label_map(tmp_path / 'b.mat', key='gone')
    with pytest.raises(MetadataError, match='key='):
        read_label_map(tmp_path / 'a.npy', key='gt')
    with pytest.raises(BandMismatchError, match='20 rows and 30 columns'):
        read_label_map(tmp_path / 'a.mat', like=info((20, 30)))


@pytest.mark.parametrize('epsg', [32633, 32632, 4326, 3035])
def test_other_grid(tmp_path: Path, epsg: int) -> None:
    """Each pixel takes the pixel that its centre lies in, one by one."""
    rng = np.random.default_rng(1)
    values = rng.integers(1, 200, (60, 70)).astype(np.int32)
    other = CRS.from_epsg(epsg)
    convert = Transformer.from_crs(UTM, other, always_xy=True)
    west, north = convert.transform(366060, 5809900)
    step = 17.3 if other.is_projected else 17.3 / 100000
    place = Affine.translation(west, north) @ Affine.rotation(4)
    place = place @ Affine.scale(step, -step)
    path = write(tmp_path / 'labels.tif', values, crs=other, transform=place)
    scene = info()
    found = read_label_map(path, like=scene)
    x, y = centers(scene)
    expected = np.zeros(found.shape, int)
    for row, column in np.ndindex(found.shape):
        east, up = convert.transform(x[row, column], y[row, column])
        i, j = ~place @ (east, up)
        if 0 <= i < 70 and 0 <= j < 60:
            expected[row, column] = values[int(j), int(i)]
    assert (expected == 0).any()
    assert (expected > 0).any()
    assert (found.codes == expected).all()
    assert (found.known == (expected > 0)).all()
    assert found.crs == UTM


def test_raster_elsewhere(tmp_path: Path, codes: np.ndarray) -> None:
    far = Affine(30, 0, 500000, 0, -30, 5810000)
    path = write(tmp_path / 'labels.tif', codes, transform=far)
    with pytest.raises(EmptyDataError, match=r'500000.*366000.*EPSG:32633') as caught:
        read_label_map(path, like=info())
    assert 'scene.tif' in str(caught.value)


def test_no_georeference(tmp_path: Path, codes: np.ndarray) -> None:
    path = write(tmp_path / 'labels.tif', codes)
    bare = info(crs=None, transform=None)
    assert (read_label_map(path, like=bare).codes == codes).all()
    with pytest.raises(BandMismatchError, match='no georeference'):
        read_label_map(path, like=info((30, 24), None, None))


def test_several_rasters(tmp_path: Path, codes: np.ndarray) -> None:
    left, right = codes[:, :14].copy(), codes[:, 10:].copy()
    right[:, :4] = 9
    write(tmp_path / 'a.tif', left)
    write(tmp_path / 'b.tif', right, transform=PLACE @ Affine.translation(10, 0))
    found = read_label_map(tmp_path, like=info())
    expected = codes.astype(int)
    # the first file counts, where it has a code
    hidden = (codes == 0) & (np.arange(24) >= 10) & (np.arange(24) < 14)
    expected[hidden] = 9
    assert (found.codes == expected).all()
    with pytest.raises(MetadataError, match='like='):
        read_label_map(tmp_path)
    with pytest.raises(MetadataError, match='empty list'):
        read_label_map([])


def test_encode() -> None:
    codes = np.array([[5, 7, 0], [-3, 7, 9]])
    labels = LabelMap(codes, codes != 0)
    assert labels.encode([7, -3]).tolist() == [[-1, 0, -1], [1, 0, -1]]
    # 0 is unknown here, whatever the classes say
    assert labels.encode([0, 5]).tolist() == [[1, -1, -1], [-1, -1, -1]]
    for classes in ([], [7, 7]):
        with pytest.raises(BandMismatchError, match='different'):
            labels.encode(classes)
    with pytest.raises(BandMismatchError, match='shapes'):
        LabelMap(codes, codes[0] != 0)


def test_large_codes(tmp_path: Path) -> None:
    codes = np.full((20, 24), 2_000_000_001, dtype=np.int32)
    codes[0] = 2_000_000_003
    assert read_label_map(write(tmp_path / 'a.tif', codes)).counts() == {
        2_000_000_001: 19 * 24,
        2_000_000_003: 24,
    }
    with pytest.raises(MetadataError, match='apart'):
        read_label_map(write(tmp_path / 'a.tif', codes.astype(np.float32)))


def test_cube_is_no_label_map(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / 'cube.tif', 'w', 'GTiff', 24, 20, 3, UTM, PLACE, 'uint8'
    ) as dst:
        dst.write(np.ones((3, 20, 24), np.uint8))
    with pytest.raises(MetadataError, match='3 bands'):
        read_label_map(tmp_path / 'cube.tif')
    with pytest.raises(MetadataError, match='column='):
        read_label_map(tmp_path / 'cube.tif', column='kind')
