# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products of which nothing is left where writing fails."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.enmap_parts import HEIGHT, PARTS, PLACE, WIDTH, bands, parts_of, read
from rasterio.windows import Window

from torchgeo_hsi.errors import BandMismatchError, MetadataError, OutputError
from torchgeo_hsi.io import enmap_writer
from torchgeo_hsi.io.enmap_writer import EnMAPL2AWriter, write_enmap_l2a
from torchgeo_hsi.physics import BandSet


class TestFailures:
    def test_error_in_the_middle_leaves_nothing(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        out.write(Window(0, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        with pytest.raises(RuntimeError, match='mine'), out:
            raise RuntimeError('mine')
        assert list(tmp_path.iterdir()) == []

    def test_full_disk(self, tmp_path: Path, image: np.ndarray) -> None:
        resource = pytest.importorskip('resource', reason='needs file size limits')
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, old[1]))
        try:
            with pytest.raises(OutputError, match='could not be written'):
                write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize('step', ['check_blocks', 'write_metadata', 'os.fsync'])
    def test_failure_at_the_end_keeps_the_old_product(
        self,
        tmp_path: Path,
        image: np.ndarray,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
    ) -> None:
        folder = write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(f'{enmap_writer.__name__}.{step}', full)
        with pytest.raises(OutputError, match=r'No space left.*GiB are free'):
            write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_old_product_comes_back_if_the_new_one_cannot_be_moved(
        self, tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        move = os.replace

        def refuse(source: Any, target: Any) -> None:
            if Path(source).name == 'product':
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            move(source, target)

        monkeypatch.setattr(os, 'replace', refuse)
        with pytest.raises(OutputError, match='Permission denied'):
            write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        np.testing.assert_array_equal(read(folder, 'SPECTRAL_IMAGE'), image)

    def test_existing_folder(self, tmp_path: Path, image: np.ndarray) -> None:
        folder = tmp_path / 's'
        folder.mkdir()
        write_enmap_l2a(folder, image, bands(), *PLACE)
        with pytest.raises(OutputError, match='not empty'):
            write_enmap_l2a(folder, image, bands(), *PLACE)
        write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        assert not read(folder, 'SPECTRAL_IMAGE').any()
        assert parts_of(folder) == PARTS

    def test_somebody_else_was_faster(self, tmp_path: Path, image: np.ndarray) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        out.write(Window(0, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        (tmp_path / 's').mkdir()
        (tmp_path / 's' / 'file').touch()
        with pytest.raises(OutputError, match='someone else'):
            out.close()
        assert [path.name for path in (tmp_path / 's').iterdir()] == ['file']
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_folder_that_cannot_be_made(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='another folder'):
            write_enmap_l2a(tmp_path / 'file' / 's', image, bands(), *PLACE)

    def test_closed_writer(self, tmp_path: Path, image: np.ndarray) -> None:
        parts = {'SPECTRAL_IMAGE': image}
        with EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE) as out:
            out.write(Window(0, 0, WIDTH, HEIGHT), parts)
        with pytest.raises(OutputError, match='is closed'):
            out.write(Window(0, 0, WIDTH, HEIGHT), parts)
        out.close()
        out.abort()
        assert (tmp_path / 's').is_dir()

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            ({'QL_CLOUDS': np.zeros((HEIGHT, WIDTH), np.uint8)}, 'QL_CLOUDS'),
            ({'QL_QUALITY_CLOUD': np.zeros((HEIGHT, WIDTH))}, 'got float64'),
            ({'QL_QUALITY_CLOUD': np.zeros((4, 4), np.uint8)}, r'shape \(1, 4, 4\)'),
        ],
    )
    def test_parts_that_do_not_fit(
        self,
        tmp_path: Path,
        image: np.ndarray,
        change: dict[str, np.ndarray],
        message: str,
    ) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        window = Window(0, 0, WIDTH, HEIGHT)
        with pytest.raises(OutputError, match=message):
            out.write(window, {'SPECTRAL_IMAGE': image, **change})
        assert list(tmp_path.iterdir()) == []

    def test_image_is_missing(self, tmp_path: Path) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        with pytest.raises(OutputError, match='Expected SPECTRAL_IMAGE'):
            out.write(Window(0, 0, WIDTH, HEIGHT), {})

    def test_window_outside(self, tmp_path: Path, image: np.ndarray) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        with pytest.raises(OutputError, match='inside'):
            out.write(Window(5, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        assert list(tmp_path.iterdir()) == []

    def test_bands_that_do_not_fit(self, tmp_path: Path, image: np.ndarray) -> None:
        with pytest.raises(BandMismatchError, match='image of 224 bands'):
            write_enmap_l2a(tmp_path / 's', image[:9], bands(), *PLACE)
        bare = BandSet(bands().wavelength, names=bands().names)
        with pytest.raises(MetadataError, match='FWHM'):
            write_enmap_l2a(tmp_path / 's', image, bare, *PLACE)
        names = ('X1', *bands().names[1:])
        other = BandSet(bands().wavelength, bands().fwhm, names)
        with pytest.raises(MetadataError, match='B1 to B224'):
            write_enmap_l2a(tmp_path / 's', image, other, *PLACE)
        assert list(tmp_path.iterdir()) == []
