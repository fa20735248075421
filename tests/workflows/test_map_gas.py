# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of maps of gases, from files to files."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from matplotlib.figure import Figure
from workflows.gas_scenes import (
    BANDS,
    CENTERS,
    COLUMNS,
    CRS,
    PLACE,
    ROWS,
    SUN,
    ground,
    truth,
    write_plume,
)

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    NodataWarning,
    OutputError,
    UnknownNameError,
)
from torchgeo_hsi.io import open_cube, simulate_enmap
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.physics.gases import MatchedFilter, get_gas
from torchgeo_hsi.workflows import GasReport, _gas_figure, _gas_scene, map_gas
from torchgeo_hsi.workflows._gas_bands import WINDOWS, find_sun


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with rasterio.open(path) as src:
        column, error = src.read()
    return column, error


def test_plume_is_mapped(tmp_path: Path) -> None:
    scene, out = write_plume(tmp_path), tmp_path / 'maps' / 'gas.tif'
    told: list[str] = []
    report = map_gas(
        scene,
        out,
        sun_zenith=SUN,
        clusters=2,
        figure=tmp_path / 'gas.png',
        progress=lambda what, share: told.append(what),
    )
    with rasterio.open(out) as src:
        assert (src.crs, src.transform) == (rasterio.CRS.from_string(CRS), PLACE)
        assert src.dtypes == ('float32', 'float32')
        assert np.isnan(src.nodata)
        assert src.descriptions[0] == 'Methane enhancement (ppm m)'
        assert src.tags()['units'] == 'ppm m'
        assert src.tags()['gas'] == 'methane'
    column, error = read(out)
    assert np.isnan(column[:3]).all()
    assert np.isfinite(column[3:]).all()
    plume = truth()
    seen = plume[3:] > 500
    slope, shift = np.polyfit(plume[3:][seen], column[3:][seen], 1)
    # lines saturate, so that thick columns are underestimated
    assert 0.8 < slope < 1.02
    assert abs(shift) < 250
    away = (column / error)[3:][plume[3:] < 1]
    # so large a plume is not left out altogether, and errors are too large
    assert 0.75 < np.std(away) < 1.05
    assert -0.3 < np.mean(away) < 0.1
    assert report.above[5] > 20
    assert report.below[5] == 0
    assert plume[report.place] > 2000
    assert report.valid == pytest.approx(69 / 72)
    assert report.error == pytest.approx(np.nanmedian(error), rel=0.01)
    assert report.pixels == plume.size
    assert report.windows == WINDOWS['methane']
    json.dumps(report.to_dict())
    assert (tmp_path / 'gas.png').stat().st_size > 10_000
    assert list(dict.fromkeys(told)) == ['Grouping', 'Observing', 'Mapping', 'Writing']
    assert {p.name for p in out.parent.iterdir()} == {'gas.tif'}


@pytest.mark.parametrize('background', ['plain', 'trimmed', 'sparse'])
def test_it_is_the_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: Any
) -> None:
    scene = write_plume(tmp_path)
    monkeypatch.setattr(_gas_scene, '_NUMBERS', 20_000)
    words: dict[str, Any] = {'windows': [(2.095, 2.405)], 'sun_zenith': SUN}
    report = map_gas(
        scene,
        tmp_path / 'gas.tif',
        background=background,
        clusters=1,
        view_zenith=10,
        albedo=False,
        **words,
    )
    inside = (CENTERS > 2.095) & (CENTERS < 2.405)
    assert report.bands == tuple(np.array(BANDS.names)[inside].tolist())
    with open_cube(scene) as reader:
        values, valid = reader.read(np.flatnonzero(inside).tolist())
    absorption = get_gas('methane').absorption_coefficients(
        BANDS.select(np.flatnonzero(inside).tolist()), sun_zenith=SUN, view_zenith=10
    )
    made = MatchedFilter(absorption, background=background, albedo=False)
    image, mask = torch.from_numpy(values), torch.from_numpy(valid.all(0))
    found = made.fit(image, mask)(image, mask)
    for got, expected in zip(read(tmp_path / 'gas.tif'), found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=0.05)


def test_columns_have_their_own_background(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    words: dict[str, Any] = {'windows': [(2.2, 2.4)], 'sun_zenith': SUN}
    words |= {'background': 'plain'}
    report = map_gas(scene, tmp_path / 'gas.tif', columns=25, **words)
    whole, _ = read(tmp_path / 'gas.tif')
    with rasterio.open(scene) as src:
        cube = src.read()
    part = write_plume(tmp_path, cube=cube[:, :, 25:50], overwrite=True)
    map_gas(part, tmp_path / 'part.tif', clusters=1, **words)
    alone, _ = read(tmp_path / 'part.tif')
    np.testing.assert_allclose(whole[:, 25:50], alone, rtol=1e-4, atol=0.05)
    # the last ten columns are enough
    assert report.valid == pytest.approx(69 / 72)


def test_strips_and_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_plume(tmp_path)
    maps = []
    for name, numbers in (('a', 2**22), ('b', 2**22), ('c', 15_000)):
        monkeypatch.setattr(_gas_scene, '_NUMBERS', numbers)
        path = tmp_path / f'{name}.tif'
        map_gas(scene, path, sun_zenith=SUN, clusters=2, seed=3)
        maps.append(read(path)[0])
    np.testing.assert_array_equal(maps[0], maps[1])
    # all pixels of so small a scene are in the sample
    np.testing.assert_allclose(maps[0], maps[2], rtol=1e-3, atol=1)


def test_clipped_water_does_not_hinder_the_rest(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    with rasterio.open(scene) as src:
        cube = src.read()
    water = np.s_[:, 48:68, 30:50]
    light = 400 * np.exp(-3 * CENTERS) * (CENTERS < 1.55)
    random = np.random.default_rng(0).random((1, 20, 20))
    cube[water] = light[:, None, None] * (1 + 0.05 * random)
    # as products of level 2A have it: 0 but for a few numbers in one band
    cube[np.flatnonzero(CENTERS > 1.55)[0]][water[1:]] = np.round(3 * random[0])
    scene = write_plume(tmp_path, cube=cube, overwrite=True)
    report = map_gas(scene, tmp_path / 'gas.tif', sun_zenith=SUN, clusters=3)
    column, _ = read(tmp_path / 'gas.tif')
    assert np.isnan(column[water[1:]]).all()
    assert report.valid == pytest.approx((69 * 60 - 400) / truth().size)
    assert report.above[5] > 20


def test_picture_of_a_large_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every n-th pixel is drawn, and the map is never read as a whole."""
    scene, out = write_plume(tmp_path), tmp_path / 'gas.tif'
    report = map_gas(scene, out, sun_zenith=SUN, clusters=2)
    monkeypatch.setattr(_gas_figure, '_MOST', 20)
    monkeypatch.setattr(_gas_figure, '_ROWS', 10)
    whole = np.stack(read(out))
    thin, step = _gas_figure._thinned(out)
    assert step == 4
    np.testing.assert_array_equal(thin, whole[:, ::4, ::4])
    figure = _gas_figure.draw_gas(scene, out, report)
    shown = figure.axes[1].images[0].get_array()
    assert shown is not None
    assert shown.shape == (18, 15)
    plt.close(figure)


def test_picture_without_visible_bands_is_gray(tmp_path: Path) -> None:
    infrared = CENTERS > 1.5
    bands = BandSet(CENTERS[infrared], np.full(infrared.sum(), 0.01))
    cube = ground()[infrared].astype('float32')
    cube[:, :3] = -9999
    scene = write_plume(tmp_path, bands=bands, cube=cube)
    with open_cube(scene) as reader:
        view = _gas_figure._view(reader, 2)
    assert view.shape == (ROWS // 2, COLUMNS // 2, 3)
    assert (view == view[..., :1]).all()
    # rows 0 and 2 have no data
    assert len(np.unique(view[:2])) == 1
    values = cube[len(bands) // 2, ::2, ::2][2:]
    low, high = np.quantile(values, (0.02, 0.98))
    want = np.clip((values - low) / (high - low), 0, 1)
    np.testing.assert_allclose(view[2:, :, 0], want, atol=1e-6)


def test_interrupted_picture_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_plume(tmp_path)

    def stop(self: Figure, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, 'savefig', stop)
    words: dict[str, Any] = {'sun_zenith': SUN, 'clusters': 2}
    with pytest.raises(KeyboardInterrupt):
        map_gas(scene, tmp_path / 'gas.tif', figure=tmp_path / 'gas.png', **words)
    assert {path.name for path in tmp_path.iterdir()} == {'scene.tif', 'gas.tif'}


def test_bands_without_data_are_left_out(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    with rasterio.open(scene) as src:
        cube = src.read()
    lost = int(np.abs(CENTERS - 2.3).argmin())
    cube[lost, :, 20:] = -9999
    cube[2, 30:] = -9999
    scene = write_plume(tmp_path, cube=cube, overwrite=True)
    with pytest.warns(NodataWarning, match=f'{BANDS.names[lost]} of .* lack data'):
        report = map_gas(scene, tmp_path / 'gas.tif', sun_zenith=SUN, clusters=2)
    assert report.left_out == (BANDS.names[lost],)
    assert BANDS.names[lost] not in report.bands
    assert report.valid == pytest.approx(69 / 72)


def test_carbon_dioxide(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    report = map_gas(
        scene, tmp_path / 'gas.tif', 'carbon_dioxide', sun_zenith=SUN, clusters=2
    )
    with rasterio.open(tmp_path / 'gas.tif') as src:
        assert src.descriptions[0].startswith('Carbon dioxide')
    # the plume is one of methane
    assert report.above[5] < 10


def test_product_knows_sun_and_clouds(tmp_path: Path) -> None:
    simulate_enmap(tmp_path / 'scene', size=64, seed=1, cloud_cover=0.2)
    report = map_gas(tmp_path / 'scene', tmp_path / 'gas.tif', clusters=2)
    assert report.sun_zenith == pytest.approx(31.6, abs=0.01)
    with open_cube(tmp_path / 'scene') as reader:
        hidden = reader.read_quality(['cloud', 'cloudshadow'])
        assert find_sun(reader, 12.0) == 12
    column, _ = read(tmp_path / 'gas.tif')
    assert hidden.any()
    assert np.isnan(column[hidden]).all()
    shown = map_gas(
        tmp_path / 'scene', tmp_path / 'all.tif', clusters=2, quality=[], darkest=0
    )
    assert shown.valid > report.valid
    with pytest.raises(MetadataError, match="quality layers 'fog'"):
        map_gas(tmp_path / 'scene', tmp_path / 'fog.tif', quality=['fog'])
    assert not (tmp_path / 'fog.tif').exists()


def test_outputs_are_protected(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    words: dict[str, Any] = {'sun_zenith': SUN, 'clusters': 2}
    out = tmp_path / 'gas.tif'
    out.write_text('mine')
    with pytest.raises(OutputError, match='exists already'):
        map_gas(scene, out, **words)
    assert out.read_text() == 'mine'
    with pytest.raises(OutputError, match='scene itself'):
        map_gas(scene, scene, overwrite=True, **words)
    with pytest.raises(OutputError, match='maps are GeoTIFFs'):
        map_gas(scene, tmp_path / 'gas.png', **words)
    with pytest.raises(OutputError, match='suffixes'):
        map_gas(scene, tmp_path / 'new.tif', figure=tmp_path / 'gas.doc', **words)
    with pytest.raises(OutputError, match='and its picture'):
        map_gas(scene, tmp_path / 'a.tif', figure=tmp_path / 'a.tif', **words)
    content = scene.read_bytes()
    with pytest.raises(OutputError, match='lies in, the scene'):
        map_gas(scene, tmp_path / 'new.tif', figure=scene, **words)
    assert scene.read_bytes() == content
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(OutputError, match='is a folder'):
        map_gas(scene, tmp_path / 'new.tif', figure=tmp_path / 'folder.png', **words)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(EmptyDataError, match='bright enough'):
        map_gas(scene, out, overwrite=True, darkest=50, **words)
    assert out.read_text() == 'mine'
    assert {path.name for path in tmp_path.iterdir()} == before
    assert isinstance(map_gas(scene, out, overwrite=True, **words), GasReport)


@pytest.mark.parametrize(
    ('words', 'error', 'expected'),
    [
        ({'gas': 'methan'}, UnknownNameError, 'methane'),
        ({'sun_zenith': None}, MetadataError, 'how high the sun stood'),
        ({'sun_zenith': 89}, ValueError, 'sun_zenith'),
        ({'windows': [(2100, 2450)]}, ValueError, 'Divide nanometres'),
        ({'windows': [(2.4, 2.1)]}, ValueError, 'lower to higher'),
        ({'windows': [(2.2, 2.22)]}, BandMismatchError, 'at least 8 good bands'),
        ({'clusters': 2, 'columns': 5}, ValueError, 'got both'),
        ({'clusters': 0}, ValueError, 'kind of ground'),
        ({'columns': 0}, ValueError, 'at least 1 column'),
        ({'columns': 1}, EmptyDataError, 'fewer groups'),
        ({'albdo': True}, ValueError, 'got albdo'),
        ({'background': 'none'}, ValueError, 'plain, trimmed, sparse'),
        ({'quality': ['cloud']}, MetadataError, 'quality layers'),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, words: dict[str, Any], error: type[Exception], expected: str
) -> None:
    scene = write_plume(tmp_path)
    with pytest.raises(error, match=expected):
        map_gas(scene, tmp_path / 'gas.tif', **{'sun_zenith': SUN, **words})
    assert {path.name for path in tmp_path.iterdir()} == {'scene.tif'}


def test_scenes_that_cannot_be(tmp_path: Path) -> None:
    words: dict[str, Any] = {'sun_zenith': SUN}
    few = CENTERS < 1.0
    with rasterio.open(write_plume(tmp_path)) as src:
        cube = src.read()
    out = tmp_path / 'gas.tif'
    bands = BandSet(CENTERS[few], np.full(few.sum(), 0.01))
    scene = write_plume(tmp_path, cube=cube[few], bands=bands, overwrite=True)
    with pytest.raises(BandMismatchError, match=r'bands from 0.45 to 0.95 µm'):
        map_gas(scene, out, **words)
    scene = write_plume(tmp_path, bands=BandSet(CENTERS), overwrite=True)
    with pytest.raises(MetadataError, match=r'no widths of bands'):
        map_gas(scene, out, **words)
    scene = write_plume(tmp_path, bands=None, overwrite=True)
    with pytest.raises(MetadataError, match=r'no wavelengths'):
        map_gas(scene, out, **words)
    scene = write_plume(tmp_path, cube=np.full_like(cube, -9999), overwrite=True)
    with pytest.raises(EmptyDataError, match='pixels with data'):
        map_gas(scene, out, clusters=1, **words)
    with pytest.raises(EmptyDataError, match='different spectra'):
        map_gas(scene, out, **words)
    swir = CENTERS > 2.2
    bands = BandSet(CENTERS[swir], np.full(swir.sum(), 0.01))
    scene = write_plume(tmp_path, cube=cube[swir], bands=bands, overwrite=True)
    with pytest.raises(BandMismatchError, match='Pass clusters=1'):
        map_gas(scene, out, **words)
    assert map_gas(scene, out, clusters=1, **words).above[5] > 10


def test_wavelengths_in_nanometres(tmp_path: Path) -> None:
    scene = write_plume(tmp_path, bands=None)
    options = {
        'wavelength': 1000 * CENTERS,
        'wavelength_unit': 'nm',
        'fwhm': np.full(len(CENTERS), 10.0),
    }
    report = map_gas(
        scene, tmp_path / 'gas.tif', sun_zenith=SUN, clusters=2, reader_options=options
    )
    assert report.above[5] > 20
