# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is refused before a scene is restored, and what is left where it fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import scipy.io
from scenes.scene_files import BANDS, NODATA, Centered, Identity, cube, stored, write
from torch import Tensor, nn

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    OutputError,
)
from torchgeo_hsi.scenes import restore_scene


def test_reader_options(tmp_path: Path) -> None:
    values = cube()
    content = {'a': values.transpose(1, 2, 0), 'b': values.transpose(1, 2, 0) + 1}
    scipy.io.savemat(tmp_path / 'in.mat', content)
    options = {'key': 'b'}
    out = restore_scene(
        Identity(), tmp_path / 'in.mat', tmp_path / 'out.tif', reader_options=options
    )
    np.testing.assert_array_equal(stored(out), values + 1)


def test_progress_rises(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    source = write(tmp_path / 'in.tif', cube())
    restore_scene(
        Centered(),
        source,
        tmp_path / 'out.tif',
        tile_size=64,
        overlap=16,
        progress=lambda what, share: told.append((what, share)),
    )
    assert list(dict.fromkeys(what for what, _ in told)) == [
        'Reading',
        'Observing',
        'Restoring',
        'Writing',
    ]
    for stage in ('Reading', 'Observing', 'Restoring'):
        shares = [share for what, share in told if what == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_existing_output(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube())
    out = tmp_path / 'out.tif'
    out.write_text('mine')
    with pytest.raises(OutputError, match='exists already'):
        restore_scene(Identity(), source, out)
    assert out.read_text() == 'mine'
    restore_scene(Identity(), source, out, overwrite=True)
    np.testing.assert_array_equal(stored(out), cube())


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = 3

        def forward(self, image: Tensor) -> Tensor:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return image

    source = write(tmp_path / 'in.tif', cube())
    out = tmp_path / 'out.tif'
    out.write_text('mine')
    with pytest.raises(KeyboardInterrupt):
        restore_scene(Broken(), source, out, tile_size=48, overlap=8, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in.tif', 'out.tif']
    assert out.read_text() == 'mine'


def test_network_of_another_shape(tmp_path: Path) -> None:
    class Classes(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image[:, :2]

    source = write(tmp_path / 'in.tif', cube())
    with pytest.raises(BandMismatchError, match='made for 5 bands'):
        restore_scene(Classes(), source, tmp_path / 'out.tif')
    assert [p.name for p in tmp_path.iterdir()] == ['in.tif']


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        ({'tile_size': 100}, 'multiples of 8'),
        ({'overlap': 72}, 'half'),
        ({'passes': 0}, 'pass'),
        ({'scaling': 'max'}, 'percentile'),
        ({'scaling': -3}, 'positive'),
        ({'scaling': float('nan')}, 'positive'),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    source = write(tmp_path / 'in.tif', cube())
    with pytest.raises(ValueError, match=reason):
        restore_scene(Identity(), source, tmp_path / 'out.tif', **options)


def test_scene_without_data(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', np.full((BANDS, 20, 20), NODATA, 'int16'))
    with pytest.raises(EmptyDataError, match='nodata value'):
        restore_scene(Identity(), source, tmp_path / 'out.tif')


def test_constant_scene(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', np.full((BANDS, 20, 20), 7, 'int16'))
    with pytest.raises(EmptyDataError, match='everywhere'):
        restore_scene(Identity(), source, tmp_path / 'out.tif', scaling='min_max')


def test_output_that_is_the_input(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube())
    with pytest.raises(OutputError, match='the scene itself'):
        restore_scene(Identity(), source, source, overwrite=True)


def test_folder_needs_a_product(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube())
    with pytest.raises(OutputError, match=r'Name a \.tif file'):
        restore_scene(Identity(), source, tmp_path / 'out')
    (tmp_path / 'x.tif').mkdir()
    with pytest.raises(OutputError, match='Name a file in it'):
        restore_scene(Identity(), source, tmp_path / 'x.tif')


def test_folder_of_tiles(tmp_path: Path) -> None:
    tiles, out = tmp_path / 'tiles', tmp_path / 'out.tif'
    for number in (1, 2):
        write(tiles / f'{number}.tif', cube()[:, :16, :16])
    (tiles / 'notes.txt').touch()
    with pytest.raises(EmptyDataError, match='folder of 2 files') as error:
        restore_scene(Identity(), tiles, out)
    # what the message says, done
    words: dict[str, Any] = {'out': tmp_path, 'model': Identity()}
    words |= {'Path': Path, 'restore_scene': restore_scene}
    loop = str(error.value).split('For each: ')[1].split('; in a shell')[0]
    exec(loop, words)  # noqa: S102
    for number in (1, 2):
        found = stored(tmp_path / f'{number}.tif')
        np.testing.assert_array_equal(found, stored(tiles / f'{number}.tif'))
    assert f'for f in {tiles}/*.tif; do torchgeo-hsi restore denoise' in str(
        error.value
    )
    (tiles / '2.tif').unlink()
    with pytest.raises(EmptyDataError, match='SPECTRAL_IMAGE'):
        restore_scene(Identity(), tiles, out)


def test_complex_numbers(tmp_path: Path) -> None:
    path = tmp_path / 'in.tif'
    profile = {'driver': 'GTiff', 'count': 1, 'height': 9, 'width': 9}
    with rasterio.open(path, 'w', dtype='complex64', **profile) as dst:
        dst.write(np.ones((1, 9, 9), 'complex64'))
    with pytest.raises(MetadataError, match='complex64'):
        restore_scene(Identity(), path, tmp_path / 'out.tif')


def test_one_pixel(tmp_path: Path) -> None:
    source = write(tmp_path / 'in.tif', cube()[:, :1, :1])
    out = restore_scene(Identity(), source, tmp_path / 'out.tif')
    np.testing.assert_array_equal(stored(out), cube()[:, :1, :1])
