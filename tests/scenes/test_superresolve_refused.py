# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What super-resolution refuses, and what it leaves where it fails."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from scenes.finer_scenes import BANDS, WIDTH, Repeat, cube, finer
from scenes.scene_files import NODATA, stored, write
from torch import Tensor, nn

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    NotFiniteError,
    OutputError,
)
from torchgeo_hsi.models import Bicubic
from torchgeo_hsi.scenes import superresolve_scene


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube())
    for output, words in (
        (source, 'the scene itself'),
        (tmp_path / 'folder', 'Name a .tif file'),
    ):
        with pytest.raises(OutputError, match=words):
            superresolve_scene(Repeat(), source, output, overwrite=True)
    (tmp_path / 'there.tif').write_bytes(b'mine')
    with pytest.raises(OutputError, match='exists already'):
        superresolve_scene(Repeat(), source, tmp_path / 'there.tif')
    assert (tmp_path / 'there.tif').read_bytes() == b'mine'


def test_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = cube()
    source = write(tmp_path / 'in.tif', values)
    # the fine image, and a row of fine tiles in float32
    needed = 16 * values.nbytes + 4 * BANDS * 16 * 32 * WIDTH
    for free, fits in ((needed, True), (needed - 1, False)):
        usage = type('Usage', (), {'free': free})
        monkeypatch.setattr('shutil.disk_usage', lambda path, usage=usage: usage)
        words = (Repeat(4), source, tmp_path / 'out.tif')
        if fits:
            superresolve_scene(*words, tile_size=32, overwrite=True)
        else:
            with pytest.raises(OutputError, match='are free in'):
                superresolve_scene(*words, tile_size=32, overwrite=True)


def test_failures_leave_nothing(tmp_path: Path) -> None:
    class Broken(Repeat):
        def enlarge(self, image: Tensor) -> Tensor:
            return super().enlarge(image) / 0

    class Fewer(Repeat):
        def enlarge(self, image: Tensor) -> Tensor:
            return super().enlarge(image)[:, 1:]

    class Other(Repeat):
        in_channels = 4

    class Stopped(Repeat):
        def enlarge(self, image: Tensor) -> Tensor:
            if len(self.seen) > 2:
                raise KeyboardInterrupt
            return super().enlarge(image)

    source, out = write(tmp_path / 'in.tif', cube()), tmp_path / 'out.tif'
    out.write_text('mine')
    for model, error, words in (
        (Broken(), NotFiniteError, 'Broken gives NaN'),
        (Fewer(), BandMismatchError, 'made for 5 bands'),
        (Other(), BandMismatchError, 'Expected 4 bands, got 5'),
        (Stopped(), KeyboardInterrupt, ''),
    ):
        with pytest.raises(error, match=words):
            superresolve_scene(
                model, source, out, tile_size=20, overlap=4, overwrite=True
            )
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in.tif', 'out.tif']
    assert out.read_text() == 'mine'


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        ({'tile_size': 0}, 'at least 1'),
        ({'overlap': 40}, 'half'),
        ({'scaling': 'max'}, 'percentile'),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    source = write(tmp_path / 'in.tif', cube())
    with pytest.raises(ValueError, match=reason):
        superresolve_scene(Repeat(), source, tmp_path / 'out.tif', **options)


def test_scenes_that_cannot_be(tmp_path: Path) -> None:
    empty = write(tmp_path / 'in.tif', np.full((BANDS, 20, 20), NODATA, 'int16'))
    with pytest.raises(EmptyDataError, match='nodata value'):
        superresolve_scene(Repeat(), empty, tmp_path / 'out.tif')
    path = tmp_path / 'complex.tif'
    profile = {'driver': 'GTiff', 'count': 1, 'height': 9, 'width': 9}
    with rasterio.open(path, 'w', dtype='complex64', **profile) as dst:
        dst.write(np.ones((1, 9, 9), 'complex64'))
    with pytest.raises(MetadataError, match='complex64'):
        superresolve_scene(Repeat(), path, tmp_path / 'out.tif')


def test_folder_of_tiles(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f'ENMAP01-{number}-SPECTRAL_IMAGE.TIF', cube())
    with pytest.raises(
        MetadataError, match=r'of 2 files, .* superresolve_scene\(model'
    ):
        superresolve_scene(Repeat(), tmp_path, tmp_path.with_suffix('.tif'))


def test_one_pixel(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube()[:, :1, :1])
    out = superresolve_scene(Bicubic(4), source, tmp_path / 'out.tif')
    np.testing.assert_array_equal(stored(out), finer(cube()[:, :1, :1], 4))


def test_one_number(tmp_path: Path) -> None:
    """A range of a single number is no range."""
    source = write(tmp_path / 'in.tif', cube()[:1, :1, :1])
    for scaling in ('percentile', 'min_max'):
        options: dict[str, Any] = {'scaling': scaling, 'overwrite': True}
        out = superresolve_scene(Bicubic(2), source, tmp_path / 'out.tif', **options)
        np.testing.assert_array_equal(stored(out), finer(cube()[:1, :1, :1], 2))


def test_other_networks(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube())
    denoiser: Any = nn.Identity()
    with pytest.raises(TypeError, match='got Identity'):
        superresolve_scene(denoiser, source, tmp_path / 'out.tif')


def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    peaks = []
    for height in (64, 1024):
        values = np.tile(cube()[:, :64], (1, height // 64, 1))
        source = write(tmp_path / f'{height}.tif', values)
        out = tmp_path / f'out_{height}.tif'
        tracemalloc.start()
        superresolve_scene(
            *(Bicubic(2), source, out),
            tile_size=32,
            overlap=8,
            # the statistics of small scenes are those of one block
            progress=lambda what, share: what == 'Reading' and tracemalloc.reset_peak(),
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
