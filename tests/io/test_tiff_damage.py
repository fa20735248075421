# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""TIFF files that are damaged, missing, or none."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiffs import CODECS, STRIPS, TILES, cube, write
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.io import read_tiff, tiff_info

pytestmark = pytest.mark.usefixtures('decoders')


def test_no_file_stays_open(tmp_path: Path) -> None:
    if not os.path.isdir('/proc/self/fd'):
        pytest.skip('needs /proc')
    write(tmp_path / 'plain.tif')
    write(tmp_path / 'packed.tif', compress='zstd')
    before = len(os.listdir('/proc/self/fd'))
    arrays = [read_tiff(path) for path in sorted(tmp_path.glob('*.tif')) * 5]
    infos = [tiff_info(path) for path in tmp_path.glob('*.tif')]
    assert infos[0].crs == CRS.from_epsg(32633)
    assert len(os.listdir('/proc/self/fd')) == before
    del arrays


def test_missing_file(tmp_path: Path) -> None:
    for read in (read_tiff, tiff_info):
        for path in (tmp_path / 'nothing.tif', tmp_path):
            with pytest.raises(FileNotFoundError, match='Check the path'):
                read(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'II', 'no TIFF'),
        (b'<html><body>403</body></html>', 'no TIFF'),
        (b'II*\0', 'is truncated'),
        (b'MM\0*\0\0\1\0', 'is truncated'),
        (b'II+\0\x08\0\0\0' + b'\xff' * 8, 'is truncated'),
    ],
)
def test_not_a_tiff(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / 'cube.tif'
    path.write_bytes(content)
    for read in (read_tiff, tiff_info):
        with pytest.raises(CorruptFileError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)
        assert 'ownload' in str(error.value)


@pytest.mark.parametrize('codec', ['none', 'zstd2'])
@pytest.mark.parametrize('blocks', [STRIPS, TILES], ids=['strips', 'tiles'])
def test_truncated(tmp_path: Path, codec: str, blocks: dict[str, Any]) -> None:
    path = tmp_path / 'cube.tif'
    write(path, **CODECS[codec], **blocks)
    whole = path.read_bytes()
    for size in (20, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        # found even where the missing part is not asked for
        for window in (None, Window(0, 0, 2, 2)):
            with pytest.raises(CorruptFileError, match='truncated') as error:
                read_tiff(path, None, window)
            assert str(path) in str(error.value)


@pytest.mark.parametrize('codec', ['deflate2', 'zstd2'])
def test_damaged_block(tmp_path: Path, codec: str) -> None:
    path = tmp_path / 'cube.tif'
    write(path, **CODECS[codec])
    data = bytearray(path.read_bytes())
    data[len(data) - 900 :] = b'\x5a' * 900
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match='cannot be decoded') as error:
        read_tiff(path)
    assert str(path) in str(error.value)


def test_any_damage_is_a_corrupt_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / 'cube.tif'
    logging.getLogger('rasterio').setLevel(logging.CRITICAL)
    outcomes = {True: 0, False: 0}
    for options in ({}, {'compress': 'zstd', 'interleave': 'band', 'BIGTIFF': 'YES'}):
        # GDAL reads what it replaces
        path.unlink(missing_ok=True)
        write(path, **options)
        whole = path.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for place in rng.integers(0, 400, 3):
                data[place] = rng.integers(256)
            path.write_bytes(data[: rng.integers(len(data) // 2, 2 * len(data))])
            for read in (read_tiff, tiff_info):
                with warnings.catch_warnings():
                    warnings.simplefilter('ignore', NotGeoreferencedWarning)
                    try:
                        read(path)
                        outcomes[True] += 1
                    except CorruptFileError:
                        outcomes[False] += 1
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize('bands', [[5], [-1], [0, 7], []])
def test_band_that_does_not_exist(tmp_path: Path, bands: list[int]) -> None:
    write(tmp_path / 'cube.tif')
    with pytest.raises(BandMismatchError, match='0 to 4'):
        read_tiff(tmp_path / 'cube.tif', bands)


@pytest.mark.parametrize(
    'window',
    [Window(-1, 0, 5, 5), Window(0, 30, 5, 8), Window(40, 0, 2, 2), Window(3, 3, 0, 5)],
)
@pytest.mark.parametrize('bits', [7, 8])
def test_window_outside(tmp_path: Path, window: Window, bits: int) -> None:
    write(tmp_path / 'cube.tif', cube('uint8'), nbits=bits)
    with pytest.raises(ValueError, match='inside of the 37 rows and 41 columns'):
        read_tiff(tmp_path / 'cube.tif', None, window)
