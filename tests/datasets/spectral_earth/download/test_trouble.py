# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Servers, disks and archives that are not as they should be."""

import errno
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from data.spectral_earth.data import write_archive

from tests.datasets.spectral_earth.download.server import (
    Server,
    content_of,
    get,
    source,
)
from torchgeo_hsi.datasets.spectral_earth import download
from torchgeo_hsi.datasets.spectral_earth.download import download_dlr
from torchgeo_hsi.errors import CorruptFileError, DownloadError, HSIWarning, OutputError


class TestTrouble:
    """Servers and disks that fail."""

    def test_missing(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match='status 404'):
            download_dlr('enmap_none', tmp_path / 'data')
        assert len(server.requests) == 1

    def test_no_server(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, '_SERVER', 'http://127.0.0.1:1/')
        with pytest.raises(DownloadError, match='cannot be downloaded'):
            download_dlr('enmap_cdl', tmp_path / 'data')

    def test_too_little_space(
        self,
        server: Server,
        archive: bytes,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
        with pytest.raises(OutputError, match='GB are free'):
            download_dlr('enmap_cdl', tmp_path / 'data')
        assert list((tmp_path / 'data').iterdir()) == []

    @pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full')
    def test_disk_full_while_downloading(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        root.mkdir()
        (root / 'enmap_cdl.tar.gz.part').symlink_to('/dev/full')
        with pytest.raises(OutputError, match='No space left') as caught:
            download_dlr('enmap_cdl', root)
        assert 'run it again' in str(caught.value)
        assert len(server.requests) == 1
        assert not (root / 'enmap_cdl.tar.gz').exists()

    def test_disk_full_while_extracting(
        self,
        server: Server,
        archive: bytes,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        root = tmp_path / 'data'
        copy, calls = shutil.copyfileobj, []

        def full(source: Any, target: Any, length: int) -> None:
            calls.append(target)
            target.write(source.read(5000))
            if len(calls) == 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            copy(source, target, length)

        monkeypatch.setattr(shutil, 'copyfileobj', full)
        with (
            pytest.warns(HSIWarning),
            pytest.raises(OutputError, match='No space left'),
        ):
            download_dlr('enmap_cdl', root)
        # what there is is whole, and the archive is kept
        there, whole = content_of(root / 'enmap_cdl'), source(tmp_path)
        assert len(there) == 3
        assert there.items() <= whole.items()
        assert (root / 'enmap_cdl.tar.gz').read_bytes() == archive
        monkeypatch.undo()
        calls.clear()
        get(root)
        assert content_of(root / 'enmap_cdl') == whole

    def test_extraction_skips_what_is_complete(
        self,
        server: Server,
        archive: bytes,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        root = tmp_path / 'data'
        get(root, keep_archive=True)
        (root / 'enmap_cdl/cdl/0000002/00001.tif').unlink()
        copied = []
        copy = shutil.copyfileobj
        monkeypatch.setattr(
            shutil,
            'copyfileobj',
            lambda s, t, n: copied.append(t.name) or copy(s, t, n),
        )
        get(root)
        assert [Path(name).parent.name for name in copied] == ['0000002']
        assert content_of(root / 'enmap_cdl') == source(tmp_path)

    @pytest.mark.parametrize('how', ['truncated', 'garbage', 'flipped'])
    def test_a_damaged_archive(
        self, server: Server, archive: bytes, tmp_path: Path, how: str
    ) -> None:
        root = tmp_path / 'data'
        middle = len(archive) // 2
        bad = {
            'truncated': archive[:middle],
            'garbage': b'not an archive' * 1000,
            'flipped': archive[:middle] + b'\xff' * 99 + archive[middle + 99 :],
        }[how]
        server.files['downstream_tasks/enmap_cdl.tar.gz'] = bad
        with (
            pytest.warns(HSIWarning),
            pytest.raises(CorruptFileError, match=r'Remove it and download it again'),
        ):
            download_dlr('enmap_cdl', root)
        # what was extracted is as long as it should be, and nothing is half-named
        sizes = {len(content) for content in content_of(root / 'enmap_cdl').values()}
        assert sizes <= {20_000}
        # and nothing of it stays when a whole archive is there
        (root / 'enmap_cdl.tar.gz').write_bytes(archive)
        get(root)
        assert content_of(root / 'enmap_cdl') == source(tmp_path)

    @pytest.mark.parametrize('name', ['../../evil.tif', 'a/../../../evil.tif'])
    def test_names_that_lead_out(
        self, server: Server, archive: bytes, tmp_path: Path, name: str
    ) -> None:
        packed = tmp_path / 'evil.tar.gz'
        write_archive(packed, tmp_path / 'source', extra=[tarfile.TarInfo(name)])
        server.files['downstream_tasks/enmap_cdl.tar.gz'] = packed.read_bytes()
        with pytest.warns(HSIWarning), pytest.raises(CorruptFileError, match='unsafe'):
            download_dlr('enmap_cdl', tmp_path / 'a' / 'b' / 'data')
        assert not list(tmp_path.rglob('evil.tif'))

    def test_names_from_the_root(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        packed = tmp_path / 'evil.tar.gz'
        outside = tmp_path / 'outside.tif'
        member = tarfile.TarInfo(str(outside))
        write_archive(packed, tmp_path / 'source', extra=[member])
        server.files['downstream_tasks/enmap_cdl.tar.gz'] = packed.read_bytes()
        folder = get(tmp_path / 'data')
        assert not outside.exists()
        assert (folder / str(outside).lstrip('/')).is_file()

    @pytest.mark.parametrize(
        'kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE]
    )
    def test_links_and_devices_are_left_out(
        self, server: Server, archive: bytes, tmp_path: Path, kind: bytes
    ) -> None:
        member = tarfile.TarInfo('enmap/0000000/00002.tif')
        member.type, member.linkname = kind, '/etc/passwd'
        packed = tmp_path / 'links.tar.gz'
        write_archive(packed, tmp_path / 'source', extra=[member])
        server.files['downstream_tasks/enmap_cdl.tar.gz'] = packed.read_bytes()
        get(tmp_path / 'data')
        assert content_of(tmp_path / 'data/enmap_cdl') == source(tmp_path)

    def test_a_folder_that_cannot_be_made(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='cannot be created'):
            download_dlr('enmap_cdl', tmp_path / 'file' / 'data')
