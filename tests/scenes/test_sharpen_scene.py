# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sharpening of files: tiles, grids, nodata, and what can be wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from torch import Tensor

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    NotFiniteError,
    OutputError,
)
from torchgeo_hsi.io import open_cube, write_cog
from torchgeo_hsi.models import EXP, GSA, MTFGLPFS, Pansharpener
from torchgeo_hsi.models.pansharpening import Pair
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.scenes import sharpen_scene
from torchgeo_hsi.scenes._overlay import find_overlay

RATIO, BANDS, HEIGHT, WIDTH = 3, 4, 50, 61
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)
CENTERS = [0.45, 0.55, 0.65, 0.85]


def _fine(seed: int = 0) -> np.ndarray:
    """Make a cube at the resolution of the PAN, with edges and textures."""
    random = np.random.default_rng(seed)
    rows, cols = np.mgrid[: RATIO * HEIGHT, : RATIO * WIDTH]
    base = 1000 * (((rows // 11) + (cols // 17)) % 3) + 200 * random.random(rows.shape)
    return np.stack([2000 + (1 + 0.2 * band) * base for band in range(BANDS)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return _write(tmp_path)


def _write(
    folder: Path, *, hole: bool = False, dtype: str = 'int16', **options: Any
) -> tuple[Path, Path]:
    fine = _fine()
    cube = fine.reshape(BANDS, HEIGHT, RATIO, WIDTH, RATIO).mean((2, 4))
    pan = fine[:3].mean(0, keepdims=True)
    if hole:
        cube[:, 20:24, 30:33] = -9999
        pan[0, 5:9, 100:104] = -9999
    bands = BandSet(CENTERS, [0.01] * BANDS)
    words = {'crs': 'EPSG:32633', 'nodata': -9999}
    write_cog(
        folder / 'cube.tif', cube.astype(dtype), transform=PLACE, bands=bands, **words
    )
    place = options.pop('place', PLACE @ Affine.scale(1 / RATIO))
    words |= options
    write_cog(folder / 'pan.tif', pan.astype('float32'), transform=place, **words)
    return folder / 'pan.tif', folder / 'cube.tif'


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        return src.read()


def _whole(model: Pansharpener, pan: Path, cube: Path) -> np.ndarray:
    tensors = [torch.from_numpy(_read(path)).float()[None] for path in (cube, pan)]
    masks = [(x[:, 0] != -9999) for x in tensors]
    result: Tensor = model(*tensors, valid=masks[0], pan_valid=masks[1])
    return result[0].numpy()


@pytest.mark.parametrize('model', [EXP, GSA, MTFGLPFS])
def test_tiles_are_the_whole(
    files: tuple[Path, Path], tmp_path: Path, model: type[Pansharpener]
) -> None:
    method, out = model(), tmp_path / 'sharp.tif'
    expected = _whole(method, *files)
    stages = []
    sharpen_scene(
        method,
        *files,
        out,
        tile_size=16,
        progress=lambda what, share: stages.append(what),
    )
    found = _read(out)
    assert found.dtype == np.int16
    # rounded to whole numbers
    np.testing.assert_allclose(found, expected, atol=0.501 + 1e-4 * expected.max())
    assert ('Observing' in stages) == method.needs_scene
    assert not getattr(method, 'is_settled', False)


def test_context_is_needed_and_enough(files: tuple[Path, Path], tmp_path: Path) -> None:
    class Shy(MTFGLPFS):
        context = 1

    expected = _whole(MTFGLPFS(), *files)
    errors = []
    for number, method in enumerate((MTFGLPFS(), Shy())):
        sharpen_scene(method, *files, tmp_path / f'{number}.tif', tile_size=10)
        errors.append(np.abs(_read(tmp_path / f'{number}.tif') - expected).max())
    assert errors[0] < 1.5
    assert errors[1] > 10


def test_output_is_like_the_cube(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / 'sharp.tif'
    sharpen_scene(GSA(), *files, out, name='gsa')
    with open_cube(out) as reader:
        info = reader.info
        assert info.shape == (BANDS, RATIO * HEIGHT, RATIO * WIDTH)
        assert info.crs == CRS.from_epsg(32633)
        assert info.transform is not None
        assert info.transform.almost_equals(PLACE @ Affine.scale(1 / RATIO))
        assert info.bands is not None
        np.testing.assert_allclose(info.bands.wavelength, CENTERS)
    with rasterio.open(out) as src:
        assert src.tags()['restoration'] == 'method=gsa, source=cube.tif, pan=pan.tif'
        assert src.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'


@pytest.mark.parametrize('tile_size', [16, 64])
def test_nodata_stays_and_does_not_spread(tmp_path: Path, tile_size: int) -> None:
    pan, cube = _write(tmp_path, hole=True)
    out = tmp_path / 'sharp.tif'
    sharpen_scene(GSA(), pan, cube, out, tile_size=tile_size)
    found = _read(out)
    hole = np.zeros(found.shape[1:], bool)
    hole[60:72, 90:99] = True
    hole[5:9, 100:104] = True
    assert (found[:, hole] == -9999).all()
    assert found[:, ~hole].min() > 1500
    np.testing.assert_allclose(
        found[:, ~hole], _whole(GSA(), pan, cube)[:, ~hole], atol=2
    )


def test_different_areas(tmp_path: Path) -> None:
    # the PAN begins 7 fine pixels before the cube and ends before it, and half a
    # pixel beside its grid
    place = PLACE @ Affine.scale(1 / RATIO) @ Affine.translation(-6.7, 4.2)
    pan, cube = _write(tmp_path, place=place)
    out = tmp_path / 'sharp.tif'
    sharpen_scene(EXP(), pan, cube, out)
    with open_cube(pan) as first, open_cube(cube) as second:
        found = find_overlay(second.info, first.info)
    assert (found.row, found.col) == (2, 0)
    assert (found.pan_row, found.pan_col) == (2, 7)
    assert (found.height, found.width) == (48, (RATIO * WIDTH - 7) // RATIO)
    with rasterio.open(out) as src:
        assert src.shape == (3 * found.height, 3 * found.width)
        assert src.transform.almost_equals(
            PLACE @ Affine.translation(0, 2) @ Affine.scale(1 / 3)
        )
        values = src.read()
    # the samples of the cube stay where they are
    coarse = _read(cube)[:, 2:, : found.width]
    np.testing.assert_array_equal(values[:, 1::3, 1::3], coarse)


def test_constant_bands_are_repeated(tmp_path: Path) -> None:
    pan, cube = _write(tmp_path)
    values = _read(cube)
    values[2] = 7
    write_cog(tmp_path / 'flat.tif', values, 'EPSG:32633', PLACE, -9999)
    sharpen_scene(GSA(), pan, tmp_path / 'flat.tif', tmp_path / 'sharp.tif')
    found = _read(tmp_path / 'sharp.tif')
    assert (found[2] == 7).all()
    assert (found[1] != 7).all()


def test_wavelengths_reach_the_method(files: tuple[Path, Path], tmp_path: Path) -> None:
    seen = []

    class Curious(EXP):
        def sharpen(self, pair: Pair) -> Tensor:
            seen.append(self.wavelength)
            return super().sharpen(pair)

    model = Curious()
    sharpen_scene(model, *files, tmp_path / 'sharp.tif')
    assert seen[0] == pytest.approx(CENTERS)
    assert model.wavelength is None


def test_grids_that_do_not_fit(tmp_path: Path) -> None:
    out = tmp_path / 'sharp.tif'
    pan, cube = _write(tmp_path, place=PLACE @ Affine.scale(1 / 2.5))
    with pytest.raises(BandMismatchError, match=r'2.5 x 2.5 pan.*gdalwarp'):
        sharpen_scene(EXP(), pan, cube, out)
    (tmp_path / 'b').mkdir()
    pan, _ = _write(tmp_path / 'b', crs='EPSG:32632')
    with pytest.raises(MetadataError, match='gdalwarp -t_srs'):
        sharpen_scene(EXP(), pan, cube, out)
    (tmp_path / 'c').mkdir()
    far = PLACE @ Affine.scale(1 / RATIO) @ Affine.translation(9999, 0)
    pan, _ = _write(tmp_path / 'c', place=far)
    with pytest.raises(EmptyDataError, match='does not cover any pixel'):
        sharpen_scene(EXP(), pan, cube, out)
    with pytest.raises(MetadataError, match='one panchromatic band'):
        sharpen_scene(EXP(), cube, cube, out)
    with pytest.raises(MetadataError, match='no panchromatic image of its own'):
        sharpen_scene(EXP(), '-', cube, out)
    assert not out.exists()


def test_ratio_can_be_asked_for(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BandMismatchError, match='ratio of 6'):
        sharpen_scene(EXP(), *files, tmp_path / 'sharp.tif', ratio=6)


def test_outputs_that_cannot_be(files: tuple[Path, Path], tmp_path: Path) -> None:
    pan, cube = files
    for output, words in (
        (cube, 'the scene itself'),
        (pan, 'the PAN itself'),
        (tmp_path / 'folder', 'Name a .tif file'),
    ):
        with pytest.raises(OutputError, match=words):
            sharpen_scene(EXP(), pan, cube, output, overwrite=True)
    before = _read(cube), _read(pan)
    assert before[0].shape == (BANDS, HEIGHT, WIDTH)
    (tmp_path / 'there.tif').write_bytes(b'mine')
    with pytest.raises(OutputError, match='exists already'):
        sharpen_scene(EXP(), pan, cube, tmp_path / 'there.tif')
    assert (tmp_path / 'there.tif').read_bytes() == b'mine'


def test_failures_leave_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    class Broken(EXP):
        def sharpen(self, pair: Pair) -> Tensor:
            return super().sharpen(pair) / 0

    class Fewer(EXP):
        def sharpen(self, pair: Pair) -> Tensor:
            return super().sharpen(pair)[:, 1:]

    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotFiniteError, match='Broken gives NaN'):
        sharpen_scene(Broken(), *files, tmp_path / 'sharp.tif')
    with pytest.raises(BandMismatchError, match='made for 4 bands'):
        sharpen_scene(Fewer(), *files, tmp_path / 'sharp.tif')
    with pytest.raises(ValueError, match='at least one pixel'):
        sharpen_scene(EXP(), *files, tmp_path / 'sharp.tif', tile_size=0)
    assert sorted(tmp_path.iterdir()) == before


def test_files_without_coordinates(tmp_path: Path) -> None:
    pan, cube = _write(tmp_path)
    values = _read(pan)[:, :-2]
    write_cog(tmp_path / 'bare.tif', values)
    sharpen_scene(EXP(), tmp_path / 'bare.tif', cube, tmp_path / 'sharp.tif')
    with rasterio.open(tmp_path / 'sharp.tif') as src:
        # the last row of the cube is not covered
        assert src.shape == (RATIO * (HEIGHT - 1), RATIO * WIDTH)
    write_cog(tmp_path / 'odd.tif', _read(pan)[:, :-20])
    with pytest.raises(BandMismatchError, match='a georeference'):
        sharpen_scene(EXP(), tmp_path / 'odd.tif', cube, tmp_path / 'other.tif')
