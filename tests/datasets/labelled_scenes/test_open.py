# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any cube with any labels."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import h5py
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from matplotlib.colors import to_rgb
from rasterio.crs import CRS
from scipy.io import savemat

from torchgeo_hsi.cli._splits import read_labels
from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster, open_labelled_scene
from torchgeo_hsi.datasets.labelled_scenes import (
    class_palette,
    load_scene_classes,
    select_bands,
)
from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnknownNameError,
)
from torchgeo_hsi.io import CubeInfo, open_cube

DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', '../shared/data'))
PLACE = Affine(30, 0, 366000, 0, -30, 5810000)
SHAPE = (18, 22)


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(1, 9000, (6, *SHAPE)).astype(np.int16)


@pytest.fixture
def codes() -> np.ndarray:
    rows, columns = np.indices(SHAPE)
    return ((rows // 6 + columns // 5) % 4 * 10).astype(np.uint8)


@pytest.fixture
def cube(tmp_path: Path, image: np.ndarray) -> Path:
    """An ENVI cube with one bad band and a corner without data."""
    image[:, 0, :2] = -1
    image.tofile(tmp_path / 'flight.dat')
    (tmp_path / 'flight.hdr').write_text(
        f'ENVI\nsamples = {SHAPE[1]}\nlines = {SHAPE[0]}\nbands = 6\ndata type = 2\n'
        'interleave = bsq\nbyte order = 0\ndata ignore value = -1\n'
        'wavelength units = Nanometers\nwavelength = {450, 550, 650, 850, 1650, 2200}\n'
        'bbl = {1, 1, 1, 1, 0, 1}\n'
        'map info = {UTM, 1, 1, 366000, 5810000, 30, 30, 33, North, WGS-84}\n'
    )
    return tmp_path / 'flight.hdr'


@pytest.fixture
def raster(tmp_path: Path, codes: np.ndarray) -> Path:
    path = tmp_path / 'labels.tif'
    with rasterio.open(
        path, 'w', 'GTiff', SHAPE[1], SHAPE[0], 1, 'EPSG:32633', PLACE, 'uint8'
    ) as dst:
        dst.write(codes, 1)
        dst.update_tags(class_names='{"10": "wheat", "20": "maize"}')
    return path


def test_envi_cube_and_raster(
    cube: Path, raster: Path, image: np.ndarray, codes: np.ndarray
) -> None:
    scene = open_labelled_scene(cube, raster)
    # as stored, without the bad band; 0 without data
    assert scene.image.dtype == np.int16
    kept = [0, 1, 2, 3, 5]
    assert (scene.image == np.where(image[kept] == -1, 0, image[kept])).all()
    assert not scene.valid[0, :2].any()
    assert scene.valid.sum() == scene.valid.size - 2
    assert scene.bands is not None
    assert scene.bands.wavelength.tolist() == [0.45, 0.55, 0.65, 0.85, 2.2]
    expected = np.select([codes == 10, codes == 20, codes == 30], [0, 1, 2], -1)
    expected[0, :2] = -1
    assert (scene.labels == expected).all()
    assert scene.class_names == ('wheat', 'maize', 'class 30')
    assert scene.class_colors == class_palette(3)
    assert scene.name == 'flight'
    assert scene.crs == CRS.from_epsg(32633)
    assert scene.transform == PLACE
    assert not scene.official


def test_choice_of_classes(cube: Path, raster: Path, codes: np.ndarray) -> None:
    scene = open_labelled_scene(
        cube,
        raster,
        classes=[30, 'wheat', '20'],
        class_names={30: 'rye'},
        class_colors=['#ff0000', '#00ff00', '#0000ff'],
        bands=[0.85, 0, 'B2'],
        name='test',
    )
    assert scene.class_names == ('rye', 'wheat', 'maize')
    assert scene.class_colors[0] == '#ff0000'
    assert (scene.labels[1:] == 0).sum() == (codes[1:] == 30).sum()
    assert scene.bands is not None
    assert scene.bands.names == ('B4', 'B1', 'B2')
    assert scene.name == 'test'
    # 0 is a class, and 30 is not
    scene = open_labelled_scene(cube, raster, ignore=30)
    assert scene.class_names == ('class 0', 'wheat', 'maize')


def test_polygons_over_a_cube(cube: Path, tmp_path: Path) -> None:
    squares = [
        shapely.box(366030, 5809760, 366150, 5809910),
        shapely.box(366300, 5809610, 366450, 5809760),
    ]
    frame = geopandas.GeoDataFrame(
        {'crop': ['rye', 'oats']}, geometry=squares, crs='EPSG:32633'
    )
    frame.to_crs(4326).to_file(tmp_path / 'fields.geojson')
    scene = open_labelled_scene(cube, tmp_path / 'fields.geojson', column='crop')
    assert scene.class_names == ('oats', 'rye')
    expected = np.full(SHAPE, -1)
    # the edges of the squares are edges of pixels, but for the rounding of degrees
    expected[3:8, 1:5], expected[8:13, 10:15] = 1, 0
    assert (scene.labels == expected).all()
    with pytest.raises(MetadataError, match='Columns: crop'):
        open_labelled_scene(cube, tmp_path / 'fields.geojson', column='kind')


def test_mat_cube(tmp_path: Path, image: np.ndarray, codes: np.ndarray) -> None:
    path = tmp_path / 'scene.mat'
    savemat(path, {'data': image.transpose(1, 2, 0), 'gt': codes})
    scene = open_labelled_scene(path, path, key='data', label_key='gt', bands=[5, -6])
    assert scene.image.dtype == np.int16
    assert (scene.image == image[[5, 0]]).all()
    assert scene.bands is None
    assert scene.transform is None
    assert scene.class_names == ('class 10', 'class 20', 'class 30')
    frame = geopandas.GeoDataFrame(
        {'crop': ['a']}, geometry=[shapely.box(0, 0, 1, 1)], crs='EPSG:4326'
    )
    frame.to_file(tmp_path / 'fields.gpkg')
    with pytest.raises(MetadataError, match='no georeference'):
        open_labelled_scene(path, tmp_path / 'fields.gpkg')
    with pytest.raises(MetadataError, match='by position'):
        open_labelled_scene(path, path, label_key='gt', bands=[0.66])
    scene = open_labelled_scene(
        path, path, label_key='gt', wavelength=[0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    )
    assert scene.bands is not None


def test_netcdf_cube(tmp_path: Path, image: np.ndarray, codes: np.ndarray) -> None:
    with h5py.File(tmp_path / 'scene.h5', 'w') as file:
        file['cube'], file['more'] = image, image
        file['gt'] = codes
    path = tmp_path / 'scene.h5'
    scene = open_labelled_scene(path, path, key='cube', label_key='gt', layout='CHW')
    assert (scene.image == image).all()


def test_empty_band(tmp_path: Path, image: np.ndarray, raster: Path) -> None:
    image[2] = -1
    path = tmp_path / 'cube.tif'
    with rasterio.open(
        path, 'w', 'GTiff', SHAPE[1], SHAPE[0], 6, 'EPSG:32633', PLACE, 'int16', -1
    ) as dst:
        dst.write(image)
    with pytest.raises(EmptyDataError, match=r'1 of 6 bands.*\(2\)'):
        open_labelled_scene(path, raster)
    assert open_labelled_scene(path, raster, bands=[0, 1, 3]).shape == (3, *SHAPE)


def test_mistakes(cube: Path, raster: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match=r'10 \(wheat\), 20 \(maize\), 30'):
        open_labelled_scene(cube, raster, classes=[1, 2])
    with pytest.raises(UnknownNameError, match='wheet'):
        open_labelled_scene(cube, raster, classes=['wheet'])
    with pytest.raises(BandMismatchError, match='3 class names'):
        open_labelled_scene(cube, raster, class_names=['a', 'b'])
    with pytest.raises(BandMismatchError, match="'abc'"):
        open_labelled_scene(cube, raster, class_names='abc')
    with pytest.raises(MetadataError, match="key='gt'"):
        open_labelled_scene(cube, raster, label_key='gt')
    with pytest.raises(MetadataError, match='no option'):
        open_labelled_scene(cube, raster, patch=3)
    with pytest.raises(FileNotFoundError, match='gone'):
        open_labelled_scene(tmp_path / 'gone.tif', raster)
    with pytest.raises(FileNotFoundError, match='gone'):
        open_labelled_scene(cube, tmp_path / 'gone.tif')
    with pytest.raises(MetadataError, match='quality'):
        open_labelled_scene(cube, raster, quality=['cloud'])


def test_select_bands() -> None:
    info = CubeInfo('cube', 'unknown', (4, 9, 9), 'int16', None, None)
    assert select_bands(info) == ([0, 1, 2, 3], None)
    with pytest.raises(BandMismatchError, match='0 to 3'):
        select_bands(info, [4])


def test_palette() -> None:
    many = class_palette(60)
    assert len(set(many)) == 60
    assert many[:3] == class_palette(3)
    assert many[:20] == class_palette(20)
    assert len(set(class_palette(400))) == 400
    assert closest(many[:30]) > 20


@pytest.mark.parametrize(
    'table',
    [
        'botswana',
        'houston_2013',
        'indian_pines',
        'ksc',
        'pavia_university',
        'salinas',
        'whu_hi_hanchuan',
        'whu_hi_honghu',
        'whu_hi_longkou',
    ],
)
def test_colors_of_benchmarks_look_different(table: str) -> None:
    assert closest(load_scene_classes(table).colors) > 22


def closest(colors: Sequence[str]) -> float:
    """Find how different the two colors are that look most alike, by CIELAB."""
    color = pytest.importorskip('skimage.color')
    lab = color.rgb2lab(np.array([to_rgb(c) for c in colors]))
    far = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return float(far[~np.eye(len(far), dtype=bool)].min())


def test_labels_of_the_command(raster: Path, codes: np.ndarray, tmp_path: Path) -> None:
    found, place = read_labels(str(raster), None)
    assert found.dtype == np.float64
    assert (found == codes).all()
    assert place['transform'] == PLACE
    np.save(tmp_path / 'labels.npy', codes)
    found, place = read_labels(str(tmp_path / 'labels.npy'), None)
    assert (found == codes).all()
    assert not place
    savemat(tmp_path / 'labels.mat', {'gt': codes})
    with pytest.raises(MetadataError, match='--label-key'):
        read_labels(str(tmp_path / 'labels.mat'), None)


@pytest.mark.realdata
def test_tiles_of_potsdam() -> None:
    folder = DATA / 'enmap_potsdam'
    if not folder.is_dir():
        pytest.skip(f'There is no {folder}.')
    scene = open_labelled_scene(folder / 'images', folder / 'labels')
    both: Any = EnMAPL2A(folder / 'images') & LabelRaster(
        folder / 'labels', (1, 2, 3, 4, 5, 6), 255
    )
    sample = both[both.bounds]
    mask = sample['mask'].numpy().astype(int)
    mask[~sample['valid'].numpy() | (mask == 255)] = -1
    assert (scene.labels == mask).all()
    assert (scene.image == sample['image'].numpy()).all()
    assert scene.shape[0] == 202
    # one tile alone is the same place
    tile = min((folder / 'images').glob('*.tif'))
    single = open_labelled_scene(tile, folder / 'labels')
    assert single.shape == (202, 32, 32)
    assert scene.transform is not None
    assert single.transform is not None
    left = round((single.transform.c - scene.transform.c) / 30)
    top = round((scene.transform.f - single.transform.f) / 30)
    part = np.s_[top : top + 32, left : left + 32]
    assert (single.image == scene.image[:, *part]).all()
    names = [scene.class_names[k] for k in np.unique(scene.labels[part]) if k >= 0]
    assert list(single.class_names) == names
    # and so is a list of them
    pair = sorted((folder / 'images').glob('*.tif'))[:2]
    assert open_labelled_scene(pair, folder / 'labels').shape[0] == 202
    with open_cube(tile) as reader:
        assert select_bands(reader.info)[1] == single.bands
    with pytest.raises(MetadataError, match='tiles'):
        open_labelled_scene(folder / 'images', folder / 'labels', key='data')
