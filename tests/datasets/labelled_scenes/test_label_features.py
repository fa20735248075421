# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels from features, against pixel-by-pixel truths."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import shapely
from pyproj import Transformer

from tests.datasets.labelled_scenes.placed import PLACE, centers, info
from torchgeo_hsi.datasets import read_label_map
from torchgeo_hsi.errors import (
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    NodataWarning,
)

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
