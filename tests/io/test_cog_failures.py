# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the raster writer when disks are full and processes die."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from helpers.cogs import leftovers, make_cube
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError, OutputError
from torchgeo_hsi.io import cog as cog_module
from torchgeo_hsi.io._gdal import check_blocks
from torchgeo_hsi.io.cog import CubeWriter, write_cog
from torchgeo_hsi.physics import BandSet

# arrays without a georeference are read back on purpose
pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)


class TestFailures:
    def test_error_in_the_middle_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'))
        before = path.read_bytes()
        out = CubeWriter(path, (1, 4, 4), 'uint8', overwrite=True)
        out.write(Window(0, 0, 4, 2), np.zeros((2, 4), 'uint8'))
        with pytest.raises(RuntimeError, match='my own'), out:
            raise RuntimeError('my own error')
        assert path.read_bytes() == before
        assert leftovers(tmp_path) == []

    def test_existing_file_is_kept(self, tmp_path: Path) -> None:
        path = write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'))
        with pytest.raises(OutputError, match='exists already'):
            write_cog(path, np.zeros((4, 4), 'uint8'))
        write_cog(path, np.zeros((4, 4), 'uint8'), overwrite=True)
        with rasterio.open(path) as src:
            assert src.read().max() == 0

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='another folder'):
            write_cog(tmp_path / 'file' / 'c.tif', np.ones((4, 4), 'uint8'))

    @pytest.mark.parametrize(
        ('window', 'array', 'message'),
        [
            (Window(0, 0, 4, 4), np.ones((2, 4, 4), 'uint8'), 'Expected 1 bands'),
            (Window(2, 0, 4, 4), np.ones((1, 4, 4), 'uint8'), 'inside 4 x 4'),
            (Window(-1, 0, 4, 4), np.ones((1, 4, 4), 'uint8'), 'column -1'),
            (Window(0, 0, 4, 4), np.ones((1, 4, 4), 'float32'), 'got float32'),
        ],
    )
    def test_bad_window(
        self, tmp_path: Path, window: Window, array: np.ndarray, message: str
    ) -> None:
        with pytest.raises(OutputError, match=message):
            CubeWriter(tmp_path / 'c.tif', (1, 4, 4), 'uint8').write(window, array)
        assert list(tmp_path.iterdir()) == []

    def test_closed_writer(self, tmp_path: Path) -> None:
        with CubeWriter(tmp_path / 'c.tif', (1, 4, 4), 'uint8') as out:
            out.write(Window(0, 0, 4, 4), np.ones((4, 4), 'uint8'))
        with pytest.raises(OutputError, match='is closed'):
            out.write(Window(0, 0, 4, 4), np.ones((4, 4), 'uint8'))
        out.close()
        out.abort()
        assert (tmp_path / 'c.tif').exists()

    def test_bands_that_do_not_fit(self, tmp_path: Path) -> None:
        bands = BandSet(np.array([0.5, 0.6]))
        with pytest.raises(BandMismatchError, match='Expected 3 band'):
            write_cog(tmp_path / 'c.tif', make_cube((3, 4, 4)), bands=bands)
        with pytest.raises(BandMismatchError, match='uint8 or uint16'):
            write_cog(tmp_path / 'c.tif', make_cube((1, 4, 4)), colormap={1: (0, 0, 0)})
        for bad in ({'compress': 'jpeg'}, {'overview_resampling': 'best'}):
            with pytest.raises(ValueError, match=r'jpeg|best'):
                write_cog(tmp_path / 'c.tif', make_cube((1, 4, 4)), **bad)
        with pytest.raises(OutputError, match=r'out of range|nodata'):
            write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'), nodata=-9999)
        assert list(tmp_path.iterdir()) == []

    def test_full_disk_while_writing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = CubeWriter(tmp_path / 'c.tif', (1, 4, 4), 'uint8')

        class Full:
            closed = False

            def write(self, *_: Any, **__: Any) -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def close(self) -> None:
                self.closed = True

        out._dataset.close()
        monkeypatch.setattr(out, '_dataset', Full())
        with pytest.raises(OutputError, match=r'No space left.*GiB are free'):
            out.write(Window(0, 0, 4, 4), np.ones((4, 4), 'uint8'))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize('name', ['fsync', 'replace'])
    def test_full_disk_at_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(cog_module.os, name, full)
        with pytest.raises(OutputError, match='No space left'):
            write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ('size', 'limit'),
        # while a window is written, while the file is closed, while overviews are added
        [(700, 1_100_000), (300, 100_000), (700, 2_200_000)],
    )
    def test_real_write_errors(self, tmp_path: Path, size: int, limit: int) -> None:
        code = (
            'import resource, signal, sys, numpy as np\n'
            'from torchgeo_hsi.io.cog import write_cog\n'
            'from torchgeo_hsi.errors import OutputError\n'
            'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
            'hard = resource.RLIM_INFINITY\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))\n'
            'shape = (1, int(sys.argv[3]), int(sys.argv[3]))\n'
            'noise = np.random.default_rng(0).integers(0, 65535, shape)\n'
            'try:\n'
            '    write_cog(sys.argv[1], noise.astype("uint16"))\n'
            'except OutputError as error:\n'
            '    print("expected:", error)\n'
        )
        run = subprocess.run(
            [
                sys.executable,
                '-c',
                code,
                str(tmp_path / 'c.tif'),
                str(limit),
                str(size),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.startswith('expected:'), run.stdout
        assert list(tmp_path.iterdir()) == []

    def test_truncated_file_is_noticed(self, tmp_path: Path) -> None:
        path = write_cog(tmp_path / 'c.tif', make_cube((3, 600, 600)))
        check_blocks(path)
        os.truncate(path, path.stat().st_size - 1000)
        with pytest.raises(OSError, match='block is missing'):
            check_blocks(path)

    def test_missing_block_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / 'c.tif'
        options = {'tiled': True, 'blockxsize': 64, 'blockysize': 64}
        with rasterio.open(
            path, 'w', 'GTiff', 128, 64, 1, dtype='uint8', SPARSE_OK=True, **options
        ) as out:
            out.write(np.ones((64, 64), 'uint8'), 1, window=Window(0, 0, 64, 64))
        check_blocks(path, np.array([[[True, False]]]))
        with pytest.raises(OSError, match='block is missing'):
            check_blocks(path, np.array([[[True, True]]]))


class TestKill:
    def test_leftovers_of_a_kill_are_removed(self, tmp_path: Path) -> None:
        path = tmp_path / 'c.tif'
        code = (
            'import os, signal, sys, numpy as np\n'
            'from rasterio.windows import Window\n'
            'from torchgeo_hsi.io.cog import CubeWriter\n'
            'out = CubeWriter(sys.argv[1], (1, 64, 64), "uint8")\n'
            'out.write(Window(0, 0, 64, 32), np.ones((32, 64), "uint8"))\n'
            'os.kill(os.getpid(), signal.SIGKILL)\n'
        )
        run = subprocess.run([sys.executable, '-c', code, str(path)], check=False)
        assert run.returncode == -signal.SIGKILL
        assert not path.exists()
        assert len(leftovers(tmp_path)) == 1
        write_cog(path, np.full((64, 64), 7, 'uint8'))
        assert leftovers(tmp_path) == []
        with rasterio.open(path) as src:
            assert (src.read() == 7).all()

    def test_a_run_that_is_going_on_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / 'c.tif'
        with CubeWriter(path, (1, 4, 4), 'uint8', overwrite=True) as first:
            write_cog(path, np.full((4, 4), 1, 'uint8'))
            first.write(Window(0, 0, 4, 4), np.full((4, 4), 2, 'uint8'))
        with rasterio.open(path) as src:
            assert (src.read() == 2).all()
        assert leftovers(tmp_path) == []

    def test_folder_without_lock_is_removed_when_old(self, tmp_path: Path) -> None:
        young, old = tmp_path / '.c.tif.young.part', tmp_path / '.c.tif.old.part'
        young.mkdir()
        old.mkdir()
        os.utime(old, (0, 0))
        write_cog(tmp_path / 'c.tif', np.ones((4, 4), 'uint8'))
        assert leftovers(tmp_path) == [young.name]
