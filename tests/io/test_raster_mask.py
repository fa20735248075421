# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masks that are no nodata value: inside of a file, beside it, and alpha bands."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from data.desis_l2a.data import make_product as make_desis
from data.enmap_l2a.data import make_product as make_enmap
from helpers.tiffs import profile_of
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from torchgeo_hsi.errors import CorruptFileError
from torchgeo_hsi.io import (
    GeoTIFFReader,
    StoredSceneReader,
    open_cube,
    write_stored_scene,
)

SHAPE = (5, 40, 36)
HOLE = np.s_[5:9, 3:30]
WINDOWS = [None, Window(2, 4, 9, 3), Window(-3, -2, 12, 20), Window(30, 34, 16, 16)]


def cube(dtype: str = 'int16', bands: int = SHAPE[0]) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(1, 200, (bands, *SHAPE[1:])).astype(dtype)


def hole() -> np.ndarray:
    mask = np.ones(SHAPE[1:], bool)
    mask[HOLE] = False
    return mask


def write(path: Path, values: np.ndarray, inside: bool | None, **options: Any) -> Path:
    """Write a raster with a mask inside of the file, beside it, or none."""
    # GDAL would take the last band for alpha by itself
    profile = profile_of(values, **({'photometric': 'minisblack'} | options))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=bool(inside)),
        rasterio.open(path, 'w', **profile) as dst,
    ):
        dst.write(values)
        if inside is not None:
            dst.write_mask(hole())
    return path


def check(reader: GeoTIFFReader, stored: np.ndarray, valid: np.ndarray) -> None:
    for window in WINDOWS:
        values, mask = reader.read(None, window)
        masked = reader.read_masked(None, window)
        place = window or Window(0, 0, SHAPE[2], SHAPE[1])
        padded = np.pad(np.where(valid, stored, 0), ((0, 0), (16, 16), (16, 16)))
        inside = np.pad(valid, ((0, 0), (16, 16), (16, 16)))
        rows, columns = (slice(s.start + 16, s.stop + 16) for s in slices(place))
        np.testing.assert_array_equal(values, padded[:, rows, columns])
        np.testing.assert_array_equal(mask, inside[:, rows, columns])
        np.testing.assert_array_equal(masked.values, values)
        np.testing.assert_array_equal(masked.every, mask.all(axis=0))
        np.testing.assert_array_equal(masked.some, mask.any(axis=0))
        np.testing.assert_array_equal(masked.filled, mask.any(axis=(1, 2)))


def slices(window: Window) -> tuple[slice, slice]:
    top, left = int(window.row_off), int(window.col_off)
    return slice(top, top + int(window.height)), slice(left, left + int(window.width))


@pytest.mark.parametrize('inside', [True, False])
@pytest.mark.parametrize('interleave', ['band', 'pixel'])
def test_mask_counts(tmp_path: Path, inside: bool, interleave: str) -> None:
    values = cube()
    path = write(tmp_path / 'a.tif', values, inside, interleave=interleave)
    assert (tmp_path / 'a.tif.msk').exists() is not inside
    with GeoTIFFReader(path) as reader:
        assert reader.mask_bands == ()
        check(reader, values, np.broadcast_to(hole(), SHAPE))


@pytest.mark.parametrize('dtype', ['int16', 'float32'])
def test_mask_and_nodata_both_count(tmp_path: Path, dtype: str) -> None:
    values = cube(dtype)
    values[2, 20:25, 20:25] = 0
    values[3] = 0
    values[3, 6, 6] = 9
    path = write(tmp_path / 'a.tif', values, True, nodata=0)
    with GeoTIFFReader(path) as reader:
        # the only number of the fourth band is hidden
        check(reader, values, (values != 0) & hole())


def test_mask_without_a_hole(tmp_path: Path) -> None:
    values = cube()
    path = write(tmp_path / 'a.tif', values, None)
    with rasterio.open(path, 'r+') as dst:
        dst.write_mask(True)
    with GeoTIFFReader(path) as reader:
        check(reader, values, np.ones(SHAPE, bool))


def test_mask_beside_the_file_is_seen_in_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torchgeo's command sets it
    monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', 'EMPTY_DIR')
    path = write(tmp_path / 'a.tif', cube(), False)
    with GeoTIFFReader(path) as reader:
        _, valid = reader.read()
    np.testing.assert_array_equal(valid[0], hole())


@pytest.mark.parametrize(
    ('dtype', 'bands', 'full'), [('uint8', 4, 255), ('uint16', 2, 9), ('int16', 5, 1)]
)
def test_alpha_band(tmp_path: Path, dtype: str, bands: int, full: int) -> None:
    values = cube(dtype, bands)
    values[-1] = np.where(hole(), full, 0)
    path = write(tmp_path / 'a.tif', values, None)
    with rasterio.open(path, 'r+') as dst:
        dst.colorinterp = [*dst.colorinterp[:-1], ColorInterp.alpha]
    with GeoTIFFReader(path) as reader:
        assert reader.mask_bands == (bands - 1,)
        check(reader, values, np.broadcast_to(hole(), values.shape))


def test_second_of_many_bands_is_no_alpha_band(tmp_path: Path) -> None:
    # GDAL itself calls it so where it is told that there is one
    path = write(tmp_path / 'a.tif', cube(), None, alpha='yes')
    with rasterio.open(path) as src:
        assert src.colorinterp[1] == ColorInterp.alpha
    with GeoTIFFReader(path) as reader:
        assert reader.mask_bands == ()


def test_mask_and_alpha_band(tmp_path: Path) -> None:
    values = cube()
    values[-1] = 255
    values[-1, 30:] = 0
    path = write(tmp_path / 'a.tif', values, True)
    with rasterio.open(path, 'r+') as dst:
        dst.colorinterp = [*dst.colorinterp[:-1], ColorInterp.alpha]
    with GeoTIFFReader(path) as reader:
        check(reader, values, np.broadcast_to(hole() & (values[-1] > 0), SHAPE))


def test_band_with_a_wavelength_is_no_alpha_band(tmp_path: Path) -> None:
    values = cube('uint8', 4)
    values[-1, 3:5] = 0
    # GDAL takes the last of four bands of uint8 for an alpha band
    path = write(tmp_path / 'a.tif', values, None, photometric='RGB', alpha='yes')
    with GeoTIFFReader(path) as reader:
        assert reader.mask_bands == (3,)
    with GeoTIFFReader(path, wavelength=[0.45, 0.55, 0.65, 0.86]) as reader:
        assert reader.mask_bands == ()
        assert reader.read()[1].all()


def test_damaged_mask(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.tif', cube(), False)
    mask = tmp_path / 'a.tif.msk'
    with rasterio.open(mask) as src:
        offset = int(src.get_tag_item('BLOCK_OFFSET_0_0', 'TIFF', bidx=1))
    content = bytearray(mask.read_bytes())
    content[offset : offset + 20] = bytes(20)
    mask.write_bytes(content)
    with (
        GeoTIFFReader(path) as reader,
        pytest.raises(CorruptFileError, match=r'its mask in .* cannot be read'),
    ):
        reader.read()


@pytest.mark.parametrize('make', [make_enmap, make_desis])
def test_products(tmp_path: Path, make: Any) -> None:
    scene = make(tmp_path / 'in')
    folder = Path(scene.folder)
    (image,) = (
        path for path in folder.iterdir() if 'SPECTRAL_IMAGE' in path.name.upper()
    )
    with open_cube(folder) as reader:
        _, before = reader.read()
    mask = np.ones(before.shape[1:], bool)
    mask[:2] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(image, 'r+') as dst:
        dst.write_mask(mask)
    with open_cube(folder) as reader:
        np.testing.assert_array_equal(reader.read()[1], before & mask)


def test_mask_is_stored(tmp_path: Path) -> None:
    pytest.importorskip('numcodecs')
    values = cube()
    path = write(tmp_path / 'a.tif', values, True)
    with GeoTIFFReader(path) as reader:
        write_stored_scene(reader, tmp_path / 'store', shard=16)
    with StoredSceneReader(tmp_path / 'store') as reader:
        got, valid = reader.read()
        np.testing.assert_array_equal(valid, np.broadcast_to(hole(), SHAPE))
        np.testing.assert_array_equal(got, np.where(hole(), values, 0))
        part = reader.read_masked([1], Window(0, 3, 20, 20))
        np.testing.assert_array_equal(part.every, hole()[3:23, :20])
    shutil.rmtree(tmp_path / 'store')
    with GeoTIFFReader(write(tmp_path / 'b.tif', values, None)) as reader:
        write_stored_scene(reader, tmp_path / 'store', shard=16)
    assert not (tmp_path / 'store' / 'mask').exists()
