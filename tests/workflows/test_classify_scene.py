# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of maps from files to files."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from scipy.special import softmax
from workflows.scenes import (
    COLORS,
    COLUMNS,
    CRS,
    FIELD,
    NAMES,
    PLACE,
    ROWS,
    fields,
    make_scene,
    write_scene,
)
from workflows.toy import imitate, toy

from torchgeo_hsi.errors import EmptyDataError, OutputError, UnknownNameError
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.workflows import (
    FittedMethod,
    _figure,
    _scene_map,
    classify_scene,
    cross_validate,
    fit_method,
)
from torchgeo_hsi.workflows._scene_map import map_codes, probability_path, write_maps

__all__ = ('toy',)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_maps_of_a_raster_of_labels(toy: str, tmp_path: Path) -> None:
    scene, labels = write_scene(tmp_path, codes=(2, 9, 5))
    out = tmp_path / 'maps' / 'map.tif'
    names = dict(zip((2, 9, 5), NAMES, strict=True))
    report = classify_scene(scene, labels, out, toy, folds=3, class_names=names)
    own = make_scene()
    # classes come in the order of their codes
    order = [0, 2, 1]
    relabelled = np.where(own.labels < 0, -1, np.argsort(order)[own.labels])
    own = make_scene(labels=relabelled)
    distances = imitate(own, own.labels >= 0)
    with rasterio.open(out) as src:
        codes, place = src.read(1), (src.crs, src.transform, src.nodata)
        table, tags = src.colormap(1), src.tags(1)
        assert src.dtypes == ('uint8',)
        assert src.tags()['method'] == 'toy'
    assert place == (rasterio.CRS.from_string(CRS), PLACE, 0)
    expected = np.where(own.valid, np.array([2, 5, 9])[distances.argmin(0)], 0)
    np.testing.assert_array_equal(codes, expected)
    assert json.loads(tags['class_names']) == {'2': 'water', '5': 'wood', '9': 'soil'}
    assert len({table[code][:3] for code in (2, 5, 9)}) == 3
    with rasterio.open(probability_path(out)) as src:
        stored = src.read()
        assert src.descriptions == ('water', 'wood', 'soil')
        assert src.scales == (1 / 250,) * 3
        assert src.nodata == 255
    probabilities = softmax(-distances, axis=0)
    assert (stored[:, ~own.valid] == 255).all()
    found = stored[:, own.valid] / 250
    np.testing.assert_allclose(found, probabilities[:, own.valid], atol=0.5001 / 250)
    again = cross_validate(own, toy, folds=3)
    np.testing.assert_array_equal(report.counts, again.counts)
    assert report.class_names == ('water', 'wood', 'soil')
    assert files_in(out.parent) == {'map.tif', 'map_probabilities.tif'}


def test_maps_of_polygons(toy: str, tmp_path: Path) -> None:
    """Polygons in another CRS, with names in a column."""
    scene, _ = write_scene(tmp_path)
    shapes, crops = [], []
    truth = fields()
    for r in range(0, ROWS, FIELD):
        for c in range(0, COLUMNS, FIELD):
            corners = PLACE @ (c + 1, r + 1), PLACE @ (c + FIELD - 1, r + FIELD - 1)
            (x0, y1), (x1, y0) = corners
            shapes.append(shapely.box(x0, y0, x1, y1))
            crops.append(NAMES[truth[r, c]])
    table = geopandas.GeoDataFrame({'crop': crops}, geometry=shapes, crs=CRS)
    table.to_crs('EPSG:4326').to_file(tmp_path / 'fields.gpkg')
    out, picture = tmp_path / 'map.tif', tmp_path / 'figures' / 'map.png'
    report = classify_scene(
        scene,
        tmp_path / 'fields.gpkg',
        out,
        toy,
        folds=2,
        column='crop',
        probabilities=False,
        figure=picture,
    )
    assert report.class_names == ('soil', 'water', 'wood')
    assert report.overall_accuracy.min() > 0.95
    with rasterio.open(out) as src:
        codes = src.read(1)
    own = make_scene()
    # 1, 2, 3 in the order of the names
    expected = np.array([2, 1, 3])[truth]
    assert (codes[own.labels >= 0] == expected[own.labels >= 0]).mean() > 0.95
    assert not probability_path(out).exists()
    assert picture.stat().st_size > 10_000


def test_code_zero_may_be_a_class(toy: str, tmp_path: Path) -> None:
    """Then a map has codes of its own, for 0 stands for no data in it."""
    scene, _ = write_scene(tmp_path)
    labels, out = tmp_path / 'labels.npy', tmp_path / 'map.tif'
    np.save(labels, fields())
    report = classify_scene(scene, labels, out, toy, folds=2, ignore=None)
    assert report.class_names == ('class 0', 'class 1', 'class 2')
    with rasterio.open(out) as src:
        codes, names = src.read(1), json.loads(src.tags(1)['class_names'])
    assert names == {'1': 'class 0', '2': 'class 1', '3': 'class 2'}
    valid = make_scene().valid
    assert (codes[valid] == fields()[valid] + 1).mean() > 0.95
    assert (codes[~valid] == 0).all()


def test_scene_with_its_own_labels(toy: str, tmp_path: Path) -> None:
    scene = make_scene()
    classify_scene(scene, None, tmp_path / 'map.tif', toy, folds=2)
    with rasterio.open(tmp_path / 'map.tif') as src:
        assert set(np.unique(src.read(1))) == {0, 1, 2, 3}
        found = {
            '#{:02x}{:02x}{:02x}'.format(*src.colormap(1)[k][:3]) for k in (1, 2, 3)
        }
    assert found == set(COLORS)


@pytest.mark.parametrize('rows', [1, 7, 60])
def test_strips_make_the_same_file(toy: str, tmp_path: Path, rows: int) -> None:
    scene = make_scene()
    fitted = fit_method(scene, toy)
    words = {'probabilities': True, 'overwrite': False, 'tell': lambda *_: None}
    write_maps(fitted, scene, tmp_path / 'map.tif', (1, 2, 3), rows=rows, **words)
    whole = fitted.rows(scene, 0, ROWS)
    with rasterio.open(tmp_path / 'map_probabilities.tif') as src:
        stored = src.read()
    expected = np.where(scene.valid, np.rint(250 * whole), 255)
    np.testing.assert_array_equal(stored, expected)


def test_memory_holds_a_strip(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scene_map, '_NUMBERS', 12 * COLUMNS * 10)
    scene = make_scene()
    fitted = fit_method(scene, toy)
    seen = []
    rows = fitted.rows
    monkeypatch.setattr(
        fitted, 'rows', lambda s, a, b: (seen.append(b - a), rows(s, a, b))[1]
    )
    words = {'probabilities': False, 'overwrite': False, 'tell': lambda *_: None}
    write_maps(fitted, scene, tmp_path / 'map.tif', (1, 2, 3), **words)
    assert seen == [10] * 6


def test_codes_of_maps() -> None:
    assert map_codes([3, 1, 400], 3) == (3, 1, 400)
    # 0 stands for no data
    assert map_codes([0, 1, 2], 3) == (1, 2, 3)
    assert map_codes([-4, 1], 2) == map_codes([70_000, 1], 2) == (1, 2)
    assert map_codes(None, 2) == (1, 2)


def test_large_codes(toy: str, tmp_path: Path) -> None:
    scene = make_scene()
    words = {'probabilities': False, 'overwrite': False, 'tell': lambda *_: None}
    write_maps(
        fit_method(scene, toy), scene, tmp_path / 'map.tif', (7, 300, 999), **words
    )
    with rasterio.open(tmp_path / 'map.tif') as src:
        assert src.dtypes == ('uint16',)
        assert set(np.unique(src.read(1))) == {0, 7, 300, 999}


def test_existing_maps_are_safe(toy: str, tmp_path: Path) -> None:
    scene = make_scene()
    out = tmp_path / 'map.tif'
    probability_path(out).write_text('precious')
    with pytest.raises(OutputError, match=r'_probabilities\.tif exists already'):
        classify_scene(scene, None, out, toy, folds=2)
    classify_scene(scene, None, out, toy, folds=2, probabilities=False)
    assert probability_path(out).read_text() == 'precious'
    with pytest.raises(OutputError, match=r'map\.tif exists already'):
        classify_scene(scene, None, out, toy, folds=2, probabilities=False)
    classify_scene(scene, None, out, toy, folds=2, overwrite=True)
    with rasterio.open(probability_path(out)) as src:
        assert src.count == 3


def test_failure_leaves_nothing(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene()
    fitted = fit_method(scene, toy)
    rows = fitted.rows

    def fail(scene: object, start: int, stop: int) -> object:
        if start:
            raise RuntimeError('broken')
        return rows(scene, start, stop)

    assert isinstance(fitted, FittedMethod)
    monkeypatch.setattr(fitted, 'rows', fail)
    words = {'probabilities': True, 'overwrite': True, 'tell': lambda *_: None}
    with pytest.raises(RuntimeError, match='broken'):
        write_maps(fitted, scene, tmp_path / 'map.tif', (1, 2, 3), rows=20, **words)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    ('changes', 'kind', 'expected'),
    [
        ({'output': 'map.png'}, OutputError, r'no \.tif file'),
        ({'output': 'folder.tif'}, OutputError, 'is a folder'),
        ({'method': 'svn'}, UnknownNameError, 'Did you mean svm'),
        ({'figure': 'map.tiffany'}, OutputError, 'suffixes'),
        ({'ignore': 9, 'classes': [77]}, EmptyDataError, 'There are'),
        ({'window': 2}, ValueError, 'odd window'),
    ],
)
def test_what_cannot_be(
    toy: str, tmp_path: Path, changes: dict, kind: type[Exception], expected: str
) -> None:
    scene, labels = write_scene(tmp_path)
    (tmp_path / 'folder.tif').mkdir()
    words = {'output': 'out.tif', 'method': toy, 'folds': 2, **changes}
    words['output'] = tmp_path / words['output']
    before = files_in(tmp_path)
    with pytest.raises(kind, match=expected):
        classify_scene(scene, labels, **words)
    assert files_in(tmp_path) == before


def test_picture_of_bands_that_nobody_sees() -> None:
    """Three early bands, stretched over what is valid, stand for red, green and blue."""
    whole = make_scene()
    infrared = BandSet(1 + whole.bands.wavelength, whole.bands.fwhm)
    for bands in (None, infrared):
        scene = make_scene(bands=bands)
        view = _figure._view(scene, 2)
        valid = scene.valid[::2, ::2]
        assert view.shape == (*valid.shape, 3)
        assert len(np.unique(view[~valid], axis=0)) == 1
        chosen = [len(scene.image) // 4, len(scene.image) // 8, 0]
        for channel, band in zip(np.moveaxis(view, -1, 0), chosen, strict=True):
            values = scene.image[band, ::2, ::2][valid].astype(float)
            low, high = np.quantile(values, (0.02, 0.98))
            want = np.clip((values - low) / (high - low), 0, 1)
            np.testing.assert_allclose(channel[valid], want, atol=1e-6)
