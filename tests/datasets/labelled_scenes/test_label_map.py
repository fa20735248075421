# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels from rasters, arrays and features, against pixel-by-pixel truths."""

import json
from pathlib import Path
from typing import Any

import geopandas
import h5py
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS
from scipy.io import savemat

from torchgeo_hsi.datasets import LabelMap, read_label_map
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    NodataWarning,
)
from torchgeo_hsi.io import CubeInfo

UTM = CRS.from_epsg(32633)
PLACE = Affine(30, 0, 366000, 0, -30, 5810000)


def info(
    shape: tuple[int, int] = (20, 24), crs: Any = UTM, transform: Any = PLACE
) -> CubeInfo:
    return CubeInfo(
        'scene.tif',
        'unknown',
        (5, *shape),
        'int16',
        None,
        None,
        crs=crs,
        transform=transform,
    )


def write(path: Path, codes: np.ndarray, **options: Any) -> Path:
    tags = options.pop('tags', {})
    colors = options.pop('colors', None)
    profile = {'crs': UTM, 'transform': PLACE, **options}
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=codes.shape[0],
        width=codes.shape[1],
        count=1,
        dtype=codes.dtype,
        **profile,
    ) as dst:
        dst.write(codes, 1)
        dst.update_tags(**tags)
        if colors:
            dst.write_colormap(1, colors)
    return path


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (20, 24)).astype(np.uint8)


def centers(scene: CubeInfo) -> tuple[np.ndarray, np.ndarray]:
    assert scene.transform is not None
    y, x = np.mgrid[0 : scene.shape[1], 0 : scene.shape[2]] + 0.5
    return scene.transform @ (x, y)


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


FIELDS = {
    'kind': ['wheat', 'maize', None, 'barley', 'wheat'],
    'code': [3.0, 7.0, 2.0, 0.0, float('nan')],
    'digits': ['10', '2', '5', ' 2 ', ''],
}


def fields() -> geopandas.GeoDataFrame:
    def box(left: float, top: float, width: float, height: float) -> Any:
        corner = PLACE @ (left, top)
        return shapely.box(
            corner[0], corner[1] - 30 * height, corner[0] + 30 * width, corner[1]
        )

    triangle = shapely.Polygon([PLACE @ p for p in ((2.2, 12), (9.7, 10.3), (6, 19.1))])
    shapes = [box(1, 1, 8, 6), box(5.4, 3.2, 9, 9), box(14, 1, 5, 5), triangle]
    # reaches out of the scene
    shapes.append(box(18, 12, 40, 40))
    return geopandas.GeoDataFrame(FIELDS, geometry=shapes, crs='EPSG:32633')


def burn(frame: geopandas.GeoDataFrame, codes: list[int | None]) -> np.ndarray:
    """Ask for each pixel which is the last shape that holds its centre."""
    x, y = centers(info())
    expected = np.zeros(x.shape, int)
    for shape, code in zip(frame.geometry, codes, strict=True):
        if code is not None:
            for place in np.ndindex(x.shape):
                if shape.contains(shapely.Point(x[place], y[place])):
                    expected[place] = code
    return expected


@pytest.mark.parametrize('suffix', ['gpkg', 'geojson', 'shp', 'parquet'])
def test_polygons(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'fields.{suffix}'
    frame = fields()
    stored = frame.to_crs(4326) if suffix in ('geojson', 'gpkg') else frame
    if suffix == 'parquet':
        pytest.importorskip('pyarrow')
        stored.to_parquet(path)
    else:
        stored.to_file(path)
    found = read_label_map(path, column='kind', like=info())
    # sorted: barley 1, maize 2, wheat 3
    expected = burn(frame, [3, 2, None, 1, 3])
    assert (found.codes == expected).all()
    assert (found.known == (expected > 0)).all()
    assert found.names == {1: 'barley', 2: 'maize', 3: 'wheat'}
    # later ones win where they lie over each other
    assert found.codes[5, 7] == 2
    found = read_label_map(path, column='code', like=info())
    # the code 0 takes labels away
    assert (found.codes == burn(frame, [3, 7, 2, 0, None])).all()
    assert not found.names
    found = read_label_map(path, column='digits', like=info())
    assert (found.codes == burn(frame, [10, 2, 5, 2, None])).all()


def test_points_and_lines(tmp_path: Path) -> None:
    points = [PLACE @ place for place in ((3.5, 4.5), (20.1, 0.2), (99, 3))]
    frame = geopandas.GeoDataFrame(
        {'kind': ['b', 'a', 'c']},
        geometry=[shapely.Point(point) for point in points],
        crs='EPSG:32633',
    )
    frame.to_file(tmp_path / 'points.gpkg')
    found = read_label_map(tmp_path / 'points.gpkg', like=info())
    expected = np.zeros((20, 24), int)
    expected[4, 3], expected[0, 20] = 2, 1
    assert (found.codes == expected).all()
    line = shapely.LineString([PLACE @ (2.5, 7.5), PLACE @ (9.5, 7.5)])
    frame = geopandas.GeoDataFrame({'kind': ['x']}, geometry=[line], crs='EPSG:32633')
    frame.to_file(tmp_path / 'line.gpkg')
    found = read_label_map(tmp_path / 'line.gpkg', like=info())
    assert found.known.sum() == found.known[7].sum() == 8


def test_lost_classes_are_told(tmp_path: Path) -> None:
    frame = fields().iloc[:2]
    speck = shapely.Point(PLACE @ (2.1, 2.1)).buffer(5)
    frame.loc[7] = ['rye', 4.0, '1', speck]
    frame.to_file(tmp_path / 'fields.gpkg')
    with pytest.warns(NodataWarning, match='rye'):
        found = read_label_map(tmp_path / 'fields.gpkg', column='kind', like=info())
    assert 2 not in found.counts()


def test_bad_features(tmp_path: Path) -> None:
    path = tmp_path / 'fields.gpkg'
    fields().to_file(path)
    with pytest.raises(MetadataError, match='like='):
        read_label_map(path, column='kind')
    with pytest.raises(MetadataError, match='kind, code, digits'):
        read_label_map(path, like=info())
    with pytest.raises(MetadataError, match='gone'):
        read_label_map(path, column='gone', like=info())
    with pytest.raises(MetadataError, match='no georeference'):
        read_label_map(path, column='kind', like=info(crs=None, transform=None))
    with pytest.raises(MetadataError, match='key='):
        read_label_map(path, key='gt', like=info())
    fields().assign(code=0.5).to_file(path)
    with pytest.raises(MetadataError, match=r'0\.5'):
        read_label_map(path, column='code', like=info())
    fields().assign(kind=None).to_file(path)
    with pytest.raises(EmptyDataError, match='kind'):
        read_label_map(path, column='kind', like=info())
    (tmp_path / 'text.geojson').write_text('{"type": ')
    with pytest.raises(CorruptFileError, match='vector file'):
        read_label_map(tmp_path / 'text.geojson', like=info())
    fields().to_file(tmp_path / 'fields.shp')
    (tmp_path / 'fields.prj').unlink()
    with pytest.raises(MetadataError, match='CRS'):
        read_label_map(tmp_path / 'fields.shp', column='kind', like=info())
    with pytest.raises(FileNotFoundError, match='gone'):
        read_label_map(tmp_path / 'gone.gpkg', like=info())


def test_features_elsewhere(tmp_path: Path) -> None:
    frame = fields()
    frame.geometry = frame.translate(200000, 0)
    frame.to_crs(4326).to_file(tmp_path / 'fields.gpkg')
    with pytest.raises(EmptyDataError, match=r'5660.*366000') as caught:
        read_label_map(tmp_path / 'fields.gpkg', column='kind', like=info())
    assert 'EPSG:32633' in str(caught.value)


def test_shapes_without_a_place_are_left_out(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    frame = fields().iloc[:2].assign(kind=['wheat', 'maize'])
    frame.loc[7] = ['rye', 4.0, '1', None]
    frame.loc[8] = ['oat', 4.0, '1', shapely.Polygon()]
    frame.to_file(tmp_path / 'fields.gpkg')
    found = read_label_map(tmp_path / 'fields.gpkg', column='kind', like=info())
    assert (found.codes == burn(frame.iloc[:2], [4, 1])).all()
    assert not [entry for entry in recwarn if 'shape' in str(entry.message)]


@pytest.mark.parametrize('crs', ['EPSG:4326', 'EPSG:3035', 'EPSG:3857'])
def test_large_shapes(tmp_path: Path, crs: str) -> None:
    """A degree wide, the world, and where the projection of the scene has no place."""
    x, y = centers(info())
    turn = Transformer.from_crs('EPSG:32633', crs, always_xy=True)
    east, north = turn.transform(x, y)
    # its edge runs through the scene, and is a straight line in its own CRS only
    far = 40 if crs == 'EPSG:4326' else 4e6
    edge = float(np.median(north))
    wide = shapely.box(east.min() - far, edge - far / 4, east.max() + far, edge)
    every = shapely.box(-180, -85, 180, 85)
    away = [shapely.box(-170, -80, -160, 85), shapely.Point(0, 90)]
    world = geopandas.GeoSeries([every, *away], crs='EPSG:4326')
    if crs == 'EPSG:4326':
        shapes = [*world[:1], wide, *world[1:]]
        names = ['land', 'wide', 'away', 'pole']
    else:
        shapes, names = [wide], ['wide']
    frame = geopandas.GeoDataFrame({'kind': names}, geometry=shapes, crs=crs)
    frame.to_file(tmp_path / 'fields.gpkg')
    found = read_label_map(tmp_path / 'fields.gpkg', like=info())
    below = north < edge
    assert 0.2 < below.mean() < 0.8
    code = {name: k for k, name in found.names.items()}
    assert (found.codes == np.where(below, code['wide'], code.get('land', 0))).all()


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / 'fields.gpkg'
    fields().to_file(path, layer='crops')
    # what QGIS puts into such files
    style = pandas.DataFrame({'styleName': ['crops'], 'kind': ['x']})
    pyogrio.write_dataframe(style, path, layer='layer_styles')
    expected = burn(fields(), [3, 2, None, 1, 3])
    assert (read_label_map(path, column='kind', like=info()).codes == expected).all()
    fields()[['geometry']].assign(soil='clay').to_file(path, layer='soils')
    assert (read_label_map(path, column='kind', like=info()).codes == expected).all()
    fields()[['kind', 'geometry']].to_file(path, layer='last year')
    with pytest.raises(MetadataError, match='crops, last year'):
        read_label_map(path, column='kind', like=info())


@pytest.mark.parametrize('digits', ['123456789012345678901234', '-9223372036854775808'])
def test_codes_that_do_not_fit(tmp_path: Path, digits: str) -> None:
    fields().assign(digits=digits).to_file(tmp_path / 'fields.gpkg')
    with pytest.raises(MetadataError, match=f'{digits}.*int64'):
        read_label_map(tmp_path / 'fields.gpkg', column='digits', like=info())


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
