# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole scenes on a finer grid: tiles, places, gaps, and what can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from scenes.finer_scenes import BANDS, HEIGHT, WIDTH, Centered, Repeat, cube, finer
from scenes.scene_files import NODATA, PLACE, stored, write
from torch import Tensor, nn

from torchgeo_hsi.io import CubeWriter, open_cube, write_cog
from torchgeo_hsi.models import Bicubic, SubspaceSuperResolver
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.physics.resampling import imresize_up
from torchgeo_hsi.scenes import _strip, superresolve_scene


def whole(values: NDArray[Any], scale: int) -> NDArray[np.float64]:
    tensor = torch.from_numpy(values.astype('float64'))[None]
    result: NDArray[np.float64] = imresize_up(tensor, scale)[0].numpy()
    return result


@pytest.mark.parametrize('is_large', [False, True])
@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize(
    ('tile_size', 'overlap'), [(32, 8), (25, 5), (40, 20), (128, 0)]
)
def test_tiles_leave_no_seam(
    tmp_path: Path,
    tile_size: int,
    overlap: int,
    scale: int,
    is_large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_large:
        # a scene so wide that its row of tiles is kept on disk
        monkeypatch.setattr(_strip, '_SMALL', 0)
    values = cube('float32')
    source, out = write(tmp_path / 'in.tif', values, None), tmp_path / 'out.tif'
    options = {'tile_size': tile_size, 'overlap': overlap}
    assert superresolve_scene(Bicubic(scale), source, out, **options) == out
    found = stored(out)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole(values, scale), rtol=0, atol=6000 * 1e-6)


@pytest.mark.parametrize('scale', [2, 3])
def test_place_and_tags(tmp_path: Path, scale: int) -> None:
    source = write(tmp_path / 'in.tif', cube())
    out = superresolve_scene(Bicubic(scale), source, tmp_path / 'out.tif', name='cubic')
    with open_cube(source) as old, open_cube(out) as new:
        assert new.info.shape == (BANDS, scale * HEIGHT, scale * WIDTH)
        assert new.info.crs == CRS.from_epsg(32633)
        assert new.info.transform == PLACE @ Affine.scale(1 / scale)
        assert new.info.nodata == NODATA
        assert old.info.bands is not None
        assert new.info.bands is not None
        np.testing.assert_allclose(new.info.bands.wavelength, old.info.bands.wavelength)
        np.testing.assert_allclose(new.info.bands.fwhm, old.info.bands.fwhm)
        assert new.info.bands.names == old.info.bands.names
    with rasterio.open(source) as old, rasterio.open(out) as new:
        np.testing.assert_allclose(new.bounds, old.bounds)
        assert new.dtypes == old.dtypes
        assert new.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        expected = f'method=cubic, source=in.tif, scale={scale}, scaling='
        assert new.tags()['restoration'].startswith(expected)


def test_ground_control_points_and_polynomials(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, col, 10 + 0.1 * col, 50 - 0.1 * row)
        for row, col in ((0, 0), (0, 91), (75, 0), (75, 91))
    ]
    line = [0.0, 0.0, 1.0] + [0.0] * 17
    sample = [0.0, 1.0] + [0.0] * 18
    one = [1.0] + [0.0] * 19
    rpc = RPC(
        0, 100, 50, 5, line, one, 37.0, 37.5, 10, 5, one, sample, 45.0, 45.5, 0, 0
    )
    profile = {'driver': 'GTiff', 'count': BANDS, 'height': HEIGHT, 'width': WIDTH}
    with rasterio.open(tmp_path / 'in.tif', 'w', dtype='int16', **profile) as dst:
        dst.write(cube())
        dst.gcps = points, CRS.from_epsg(4326)
        dst.rpcs = rpc
    out = superresolve_scene(Bicubic(2), tmp_path / 'in.tif', tmp_path / 'out.tif')
    with rasterio.open(out) as src:
        found, crs = src.gcps
        assert crs == CRS.from_epsg(4326)
        assert [(p.row, p.col, p.x, p.y) for p in found] == [
            (2 * p.row, 2 * p.col, p.x, p.y) for p in points
        ]
        # the middle of a coarse pixel lies between two fine ones
        assert (src.rpcs.line_off, src.rpcs.line_scale) == (74.5, 75.0)
        assert (src.rpcs.samp_off, src.rpcs.samp_scale) == (90.5, 91.0)


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16', 'int32', 'float64'])
@pytest.mark.parametrize('scaling', ['min_max', 'percentile', 'reflectance', 250.0])
def test_repeating_keeps_every_number(tmp_path: Path, dtype: str, scaling: Any) -> None:
    values = cube(dtype) if dtype != 'uint8' else (cube() // 24).astype('uint8')
    source, out = write(tmp_path / 'in.tif', values, None), tmp_path / 'out.tif'
    result = stored(superresolve_scene(Repeat(3), source, out, scaling=scaling))
    assert result.dtype == dtype
    tolerance = 1e-6 if dtype == 'float64' else 0
    np.testing.assert_allclose(result, finer(values, 3), rtol=tolerance)


def test_scale_and_offset_stay(tmp_path: Path) -> None:
    values = cube('uint16')
    source = tmp_path / 'in.tif'
    with CubeWriter(
        source, values.shape, 'uint16', nodata=0, scale=2e-5, offset=-0.01
    ) as out:
        out.write(rasterio.windows.Window(0, 0, WIDTH, HEIGHT), values)
    result = superresolve_scene(Repeat(), source, tmp_path / 'out.tif')
    np.testing.assert_array_equal(stored(result), finer(values, 2))
    with open_cube(source) as old, open_cube(result) as new:
        np.testing.assert_allclose(new.info.gain, old.info.gain, rtol=1e-12)
        np.testing.assert_allclose(new.info.offset, old.info.offset, rtol=1e-12)


def test_gaps_keep_their_outline_and_do_not_spread(tmp_path: Path) -> None:
    values = np.full((BANDS, HEIGHT, WIDTH), 3000, 'int16')
    values += np.arange(BANDS, dtype='int16')[:, None, None]
    values[:, 0, 0] += 500
    values[:, 20:40, 30:50] = NODATA
    # one band lacks some pixels; it must not be filled with those of the others
    values[2, 60:63, 10:20] = NODATA
    source, out = write(tmp_path / 'in.tif', values), tmp_path / 'out.tif'
    for model in (Bicubic(2), SubspaceSuperResolver(Bicubic(2), 2)):
        superresolve_scene(model, source, out, tile_size=24, overlap=8, overwrite=True)
        found = stored(out)
        np.testing.assert_array_equal(found == NODATA, finer(values, 2) == NODATA)
        far = np.s_[:, 10:, 10:]
        np.testing.assert_array_equal(found[far], finer(values, 2)[far])


def test_pixels_without_most_bands_are_repeated(tmp_path: Path) -> None:
    values = cube()
    values[1:, 30, 40] = NODATA
    source = write(tmp_path / 'in.tif', values)
    found = stored(superresolve_scene(Bicubic(2), source, tmp_path / 'out.tif'))
    assert (found[0, 60:62, 80:82] == values[0, 30, 40]).all()
    assert (found[1:, 60:62, 80:82] == NODATA).all()
    assert (found[0, 62:64, 82:84] != values[0, 31, 41]).any()


def test_tiles_without_data_are_not_computed(tmp_path: Path) -> None:
    values = cube()
    values[:, :40] = NODATA
    values[3] = NODATA
    source, model = write(tmp_path / 'in.tif', values), Repeat()
    out = superresolve_scene(
        model, source, tmp_path / 'out.tif', tile_size=20, overlap=0
    )
    assert len(model.seen) == 2 * 5
    assert {image.shape[1] for image in model.seen} == {BANDS - 1}
    np.testing.assert_array_equal(stored(out), finer(values, 2))


def test_masks_are_repeated(tmp_path: Path) -> None:
    values, mask = cube(), np.ones((HEIGHT, WIDTH), bool)
    mask[10:20, 10:30] = False
    profile = {'driver': 'GTiff', 'count': BANDS, 'height': HEIGHT, 'width': WIDTH}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(tmp_path / 'in.tif', 'w', dtype='int16', **profile) as dst,
    ):
        dst.write(values)
        dst.write_mask(mask)
    out = superresolve_scene(Repeat(), tmp_path / 'in.tif', tmp_path / 'out.tif')
    with rasterio.open(out) as src:
        np.testing.assert_array_equal(src.dataset_mask() > 0, finer(mask, 2))
        np.testing.assert_array_equal(src.read()[:, ::2, ::2], values)


def test_data_never_become_nodata_and_bad_bands_stay(tmp_path: Path) -> None:
    values = cube('uint16')
    values[:, :9] = 0
    values[4] = 7
    good = np.array([True, False, True, True, True])
    bands = BandSet(np.linspace(0.45, 2.3, BANDS), good=good)
    source = write_cog(tmp_path / 'in.tif', values, nodata=0, bands=bands)

    class Zero(Repeat):
        def enlarge(self, image: Tensor) -> Tensor:
            return super().enlarge(image) * 0

    options = {'scaling': 'reflectance'}
    found = stored(superresolve_scene(Zero(), source, tmp_path / 'o.tif', **options))
    assert set(np.unique(found[[0, 2, 3], 18:])) == {1}
    np.testing.assert_array_equal(found[[1, 4]], finer(values[[1, 4]], 2))
    assert not found[:4, :18].any()


def test_tiles_share_the_statistics_of_the_scene(tmp_path: Path) -> None:
    values = cube('float32')
    values[:, :30, :40] = NODATA
    source, model = write(tmp_path / 'in.tif', values), Centered()
    out, stages = tmp_path / 'out.tif', []
    superresolve_scene(
        *(model.train(), source, out),
        scaling='reflectance',
        tile_size=20,
        overlap=6,
        progress=lambda what, share: stages.append((what, share)),
    )
    valid = values != NODATA
    mean = np.array([v[k].mean() for v, k in zip(values, valid, strict=True)])
    expected = np.where(valid, values - mean[:, None, None], NODATA)
    np.testing.assert_allclose(stored(out), finer(expected, 2), atol=0.01)
    assert not model.is_settled
    assert model.training
    names = list(dict.fromkeys(what for what, _ in stages))
    assert names == ['Reading', 'Observing', 'Restoring', 'Writing']
    for name in names:
        assert [share for what, share in stages if what == name][-1] == 1


def test_subspace_of_the_scene(tmp_path: Path) -> None:
    """Tiles and the whole scene agree: with a network that looks at one pixel."""

    class Curved(Repeat):
        def enlarge(self, image: Tensor) -> Tensor:
            return super().enlarge(image + 0.1 * image.square())

    rng = np.random.default_rng(0)
    spectra = rng.uniform(1000, 4000, (3, 12))
    values = np.tensordot(spectra.T, rng.random((3, HEIGHT, WIDTH)), 1)
    values = (values + rng.normal(0, 20, values.shape)).astype('float32')
    source = write(tmp_path / 'in.tif', values, None)
    results = []
    for number, (tile_size, overlap) in enumerate(((128, 0), (20, 8))):
        model = SubspaceSuperResolver(Curved(), 3)
        out = tmp_path / f'{number}.tif'
        words = {'tile_size': tile_size, 'overlap': overlap}
        results.append(stored(superresolve_scene(model, source, out, **words)))
    np.testing.assert_allclose(*results, rtol=0, atol=0.5)
    assert np.abs(results[0] - whole(values, 2)).max() > 50


def test_half_precision(tmp_path: Path) -> None:
    class Half(Repeat):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones((), dtype=torch.bfloat16))

        def enlarge(self, image: Tensor) -> Tensor:
            return super().enlarge(image) * self.one

    source, model = write(tmp_path / 'in.tif', cube()), Half()
    found = stored(superresolve_scene(model, source, tmp_path / 'out.tif'))
    assert model.seen[0].dtype == torch.bfloat16
    np.testing.assert_allclose(found, finer(cube(), 2), rtol=0, atol=30)
