# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels that cannot be used: what was wrong, and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
from affine import Affine
from data.small_scene.data import make_scene, write_scene

from torchgeo_hsi.datasets import open_labelled_scene, read_label_map
from torchgeo_hsi.datasets.labelled_scenes._benchmark_files import read_regions
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIError,
    MetadataError,
)
from torchgeo_hsi.io import CubeInfo, write_cog

PLACE = Affine(30, 0, 366000, 0, -30, 5810000)
INFO = CubeInfo(
    *('scene.tif', 'unknown', (5, 6, 8), 'int16', None, None),
    crs=rasterio.crs.CRS.from_epsg(32633),
    transform=PLACE,
)

CODES = np.arange(48).reshape(6, 8) % 5


def write_array(path: Path, values: np.ndarray) -> Path:
    np.save(path / 'labels.npy', values)
    return path / 'labels.npy'


def truncated(path: Path) -> Path:
    file = write_array(path, CODES)
    file.write_bytes(file.read_bytes()[:-20])
    return file


@pytest.mark.parametrize(
    ('make', 'kind', 'message'),
    [
        (truncated, CorruptFileError, 'holds no array of numbers.*numpy.save'),
        (
            lambda path: write_array(path, CODES.astype(np.complex64)),
            MetadataError,
            'got complex64. Write them as integers',
        ),
        (
            lambda path: write_array(path, CODES.astype(np.uint64) + 2**63),
            MetadataError,
            'do not fit into int64. Write smaller ones',
        ),
        (
            lambda path: write_array(path, np.stack([CODES, CODES])),
            MetadataError,
            r'rows and columns .* got shape \(2, 6, 8\). Choose another',
        ),
        (
            lambda path: write_array(path, CODES + 0.25),
            MetadataError,
            r'got 0\.25. Is this the label map',
        ),
    ],
)
def test_arrays(
    tmp_path: Path, make: Callable[[Path], Path], kind: type[HSIError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_label_map(make(tmp_path))


@pytest.mark.parametrize('axis', [0, 2])
def test_array_of_one_plane(tmp_path: Path, axis: int) -> None:
    path = write_array(tmp_path, np.expand_dims(CODES, axis))
    assert np.array_equal(read_label_map(path).codes, CODES)


def test_features(tmp_path: Path) -> None:
    table = tmp_path / 'table.gpkg'
    pyogrio.write_dataframe(pandas.DataFrame({'crop': ['wheat']}), table)
    with pytest.raises(MetadataError, match=r'a table without shapes. Check'):
        read_label_map(table, like=INFO)
    none = geopandas.GeoDataFrame({'crop': []}, geometry=[], crs='EPSG:32633')
    none.to_parquet(tmp_path / 'none.parquet')
    with pytest.raises(EmptyDataError, match=r'holds no feature. Check'):
        read_label_map(tmp_path / 'none.parquet', like=INFO)


def write_raster(path: Path, transform: Affine) -> Path:
    words: dict[str, Any] = {'driver': 'GTiff', 'count': 1, 'height': 6, 'width': 8}
    words |= {'dtype': 'uint8', 'crs': 'EPSG:32633', 'transform': transform}
    with rasterio.open(path, 'w', **words) as dst:
        dst.write(CODES.astype('uint8'), 1)
    return path


def test_several_files(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match='empty list'):
        read_label_map([], like=INFO)
    (tmp_path / 'folder').mkdir()
    with pytest.raises(MetadataError, match=r'no GeoTIFF \(.tif\). Name the file'):
        read_label_map(tmp_path / 'folder', like=INFO)
    here = write_raster(tmp_path / 'here.tif', PLACE)
    with pytest.raises(MetadataError, match='Merge the features'):
        read_label_map([here, tmp_path / 'a.gpkg'], like=INFO)
    far = [
        write_raster(tmp_path / f'{east}.tif', PLACE @ Affine.translation(east, 0))
        for east in (1000, 2000)
    ]
    # one that is elsewhere is left out, unless all are
    assert np.array_equal(read_label_map([far[0], here], like=INFO).codes, CODES)
    with pytest.raises(EmptyDataError):
        read_label_map(far, like=INFO)


def test_scene_without_labels(tmp_path: Path) -> None:
    scene = make_scene()
    cube, labels = write_scene(tmp_path, scene)
    with rasterio.open(labels) as file:
        place = file.transform

    def write(codes: np.ndarray) -> None:
        codes = codes[None].astype('uint8')
        words = {'crs': 'EPSG:32633', 'transform': place, 'overwrite': True}
        write_cog(labels, codes, nodata=0, **words)

    assert not scene.valid.all()
    write(~scene.valid)
    with pytest.raises(EmptyDataError, match=r'only labels without data.*\(ignore=\)'):
        open_labelled_scene(cube, labels)
    write(np.zeros_like(scene.valid))
    with pytest.raises(EmptyDataError, match=r'no label from .* same place'):
        open_labelled_scene(cube, labels)


REGIONS = """; ENVI Output of ROIs (5.3)
; Number of ROIs: 2
; File Dimension: 8 x 6
; ROI name: water
; ROI npts: 2
; ROI name: forest
; ROI npts: 1
  1  1  1
  2  8  6

  1  3  2
"""


def test_regions(tmp_path: Path) -> None:
    path = tmp_path / 'rois.txt'
    path.write_text(REGIONS)
    want = np.zeros((6, 8), int)
    want[0, 0] = want[5, 7] = 1
    want[1, 2] = 2
    assert np.array_equal(read_regions(str(path), (6, 8)), want)
    for text, kind, message in (
        ('water 1 1', CorruptFileError, 'no list of regions'),
        (REGIONS.replace('2  8  6', '2  9  6'), BandMismatchError, 'points outside'),
        (REGIONS.replace('8 x 6', '9 x 6'), BandMismatchError, 'got 6 and 9'),
        (REGIONS[:-10], CorruptFileError, 'truncated.*Download or copy it again'),
        (
            REGIONS.replace('npts: 2', 'npts'),
            CorruptFileError,
            'damaged.*copy it again',
        ),
        (REGIONS.replace('npts: 2', 'npts: x'), CorruptFileError, 'damaged.*again'),
        (
            REGIONS.replace('npts: 2', 'npts: -2'),
            CorruptFileError,
            'damaged.*-2 points',
        ),
        (REGIONS.replace('8 x 6', '8'), CorruptFileError, 'damaged.*copy it again'),
        (REGIONS.replace('8  6', '8'), CorruptFileError, 'damaged.*copy it again'),
        (REGIONS.replace('8  6', 'a  b'), CorruptFileError, 'damaged.*copy it again'),
        (REGIONS.replace('8  6', '1e30  nan'), CorruptFileError, 'damaged.*again'),
        (REGIONS.replace('8  6', '1e30  1'), BandMismatchError, 'points outside'),
        ('', CorruptFileError, 'no list of regions.*as ASCII'),
    ):
        path.write_text(text)
        with pytest.raises(kind, match=message):
            read_regions(str(path), (6, 8))
