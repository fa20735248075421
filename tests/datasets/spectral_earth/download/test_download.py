# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Downloads, also those that go on where they stopped."""

import hashlib
import shutil
from pathlib import Path

import pytest
from data.spectral_earth.data import TREE, write_archive, write_tree

from tests.datasets.spectral_earth.download.server import (
    SECRETS,
    TAG,
    Server,
    content_of,
    get,
    source,
)
from torchgeo_hsi.datamodules import SpectralEarthDataModule
from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import _http
from torchgeo_hsi.datasets.spectral_earth.download import download_dlr
from torchgeo_hsi.datasets.spectral_earth.manifest import find_bases
from torchgeo_hsi.errors import CorruptFileError, DownloadError, HSIWarning, OutputError


class TestDownload:
    """What comes arrives whole."""

    def test_downstream(self, server: Server, archive: bytes, tmp_path: Path) -> None:
        root = tmp_path / 'new' / 'data'
        assert get(root) == root / 'enmap_cdl'
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        # neither the archive nor anything unfinished is left
        assert [item.name for item in root.iterdir()] == ['enmap_cdl']
        (request,) = server.requests
        assert request['path'] == '/downstream_tasks/enmap_cdl.tar.gz'
        # sent at once, without being asked for
        assert request['Authorization'] == f'Basic {SECRETS[1]}'
        assert 'Range' not in request

    def test_a_folder_in_the_archive_is_not_doubled(
        self, server: Server, tmp_path: Path, archive: bytes
    ) -> None:
        for prefix in ('enmap_cdl/', './enmap_cdl/', './'):
            packed = tmp_path / 'prefixed.tar.gz'
            write_archive(packed, tmp_path / 'source', prefix)
            server.files['downstream_tasks/enmap_cdl.tar.gz'] = packed.read_bytes()
            root = tmp_path / f'data{len(prefix)}'
            get(root)
            assert content_of(root / 'enmap_cdl') == source(tmp_path)

    def test_any_path(self, server: Server, archive: bytes, tmp_path: Path) -> None:
        server.files['other/thing.tar.gz'] = archive
        assert get(tmp_path / 'data', 'other/thing.tar.gz').name == 'thing'

    def test_keep(self, server: Server, archive: bytes, tmp_path: Path) -> None:
        root = tmp_path / 'data'
        get(root, keep_archive=True)
        assert (root / 'enmap_cdl.tar.gz').read_bytes() == archive
        # the archive that is there is used, and stays
        shutil.rmtree(root / 'enmap_cdl')
        get(root)
        assert len(server.requests) == 1
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        assert (root / 'enmap_cdl.tar.gz').is_file()

    def test_checksum(self, server: Server, archive: bytes, tmp_path: Path) -> None:
        root = tmp_path / 'data'
        with pytest.raises(CorruptFileError, match='SHA-256'):
            download_dlr('enmap_cdl', root, sha256='0' * 64)
        assert not (root / 'enmap_cdl').exists()
        # no warning where there is something to compare with
        right = hashlib.sha256(archive).hexdigest()
        assert download_dlr('enmap_cdl', root, sha256=right).is_dir()

    def test_without_a_length(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        server.length = False
        get(tmp_path / 'data')
        assert content_of(tmp_path / 'data/enmap_cdl') == source(tmp_path)


class TestResume:
    """What was downloaded once is not downloaded again."""

    def test_within_a_call(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        server.faults = [('cut', 50_000), 503, ('cut', 7), None]
        get(tmp_path / 'data')
        assert content_of(tmp_path / 'data/enmap_cdl') == source(tmp_path)
        ranges = [request.get('Range') for request in server.requests]
        assert ranges == [None, 'bytes=50000-', 'bytes=50000-', 'bytes=50007-']
        assert server.requests[1]['If-Range'] == TAG

    def test_in_a_later_call(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        server.faults = [('cut', 60_000), *[503] * _http._ATTEMPTS]
        with pytest.raises(DownloadError, match='60000 bytes are kept'):
            download_dlr('enmap_cdl', root)
        names = {path.name for path in root.iterdir()}
        assert names == {'enmap_cdl.tar.gz.part', 'enmap_cdl.tar.gz.part.tag'}
        server.requests.clear()
        get(root)
        assert [r['Range'] for r in server.requests] == ['bytes=60000-']
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        assert [item.name for item in root.iterdir()] == ['enmap_cdl']

    @pytest.mark.parametrize('change', ['version', 'ranges'])
    def test_not_from_another_file(
        self, server: Server, archive: bytes, tmp_path: Path, change: str
    ) -> None:
        root = tmp_path / 'data'
        root.mkdir()
        (root / 'enmap_cdl.tar.gz.part').write_bytes(b'x' * 1000)
        (root / 'enmap_cdl.tar.gz.part.tag').write_text('"version-0"')
        server.ranges = change == 'version'
        get(root)
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        assert server.requests[0]['Range'] == 'bytes=1000-'

    def test_complete_but_not_renamed(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        root.mkdir()
        (root / 'enmap_cdl.tar.gz.part').write_bytes(archive)
        get(root)
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        assert len(server.requests) == 1

    def test_more_than_there_is(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        root.mkdir()
        (root / 'enmap_cdl.tar.gz.part').write_bytes(archive + b'more')
        get(root)
        assert content_of(root / 'enmap_cdl') == source(tmp_path)
        assert [r.get('Range') for r in server.requests] == [
            f'bytes={len(archive) + 4}-',
            None,
        ]


class TestPretraining:
    """The nine parts of the pretraining set."""

    @pytest.fixture(autouse=True)
    def _parts(self, server: Server, tmp_path: Path) -> None:
        names = list(TREE)
        for part in range(1, 10):
            folder = tmp_path / f'part{part}'
            mine = names[part % len(names)]
            write_tree(folder, tree={mine: [f'{part:05d}']}, size=4)
            packed = tmp_path / 'part.tar.gz'
            write_archive(packed, folder)
            name = f'spectral_earth_part_{part}.tar.gz'
            server.files[name] = packed.read_bytes()

    def test_all_parts(self, server: Server, tmp_path: Path) -> None:
        root = tmp_path / 'data'
        with pytest.warns(HSIWarning):
            dataset = SpectralEarth(root, download=True)
        paths = [request['path'] for request in server.requests]
        assert paths == [f'/spectral_earth_part_{i}.tar.gz' for i in range(1, 10)]
        assert len(dataset) == len(TREE)
        assert sum(len(dataset.files(i)) for i in range(len(dataset))) == 9
        server.requests.clear()
        SpectralEarth(root, download=True)
        assert server.requests == []
        assert {item.name for item in root.iterdir()} == {'enmap', '.torchgeo_hsi'}

    def test_some_parts_then_the_rest(self, server: Server, tmp_path: Path) -> None:
        root = tmp_path / 'data'
        with pytest.warns(HSIWarning):
            dataset = SpectralEarth(root, download=True, parts=[4, 9])
        # both parts have the same location
        assert len(dataset) == 1
        assert len(dataset.files(0)) == 2
        server.requests.clear()
        with pytest.warns(HSIWarning):
            SpectralEarth(root, download=True, parts=[4, 5])
        assert len(server.requests) == 1

    def test_dates_of_a_new_part_are_listed(
        self, server: Server, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        for part, dates in ((4, 1), (9, 2)):
            with pytest.warns(HSIWarning, match=f'part_{part}'):
                dataset = SpectralEarth(root, download=True, parts=[part])
            # no folder is new, so the fingerprint of the tree stays
            assert len(dataset.files(0)) == dates

    def test_by_the_data_module(self, server: Server, tmp_path: Path) -> None:
        root = tmp_path / 'data'
        data = SpectralEarthDataModule(str(root), download=True, parts=[1])
        with pytest.warns(HSIWarning):
            data.prepare_data()
        assert len(server.requests) == 1
        assert find_bases(root) == ('enmap',)

    def test_an_interrupted_download_goes_on(
        self, server: Server, tmp_path: Path
    ) -> None:
        root = tmp_path / 'data'
        server.faults = [None, *[503] * _http._ATTEMPTS]
        with pytest.warns(HSIWarning), pytest.raises(DownloadError):
            SpectralEarth(root, download=True)
        server.requests.clear()
        with pytest.warns(HSIWarning):
            dataset = SpectralEarth(root, download=True)
        assert len(server.requests) == 8
        assert len(dataset) == len(TREE)

    def test_a_tree_that_is_there_is_enough(
        self, server: Server, tmp_path: Path
    ) -> None:
        write_tree(tmp_path / 'data')
        assert len(SpectralEarth(tmp_path / 'data', download=True)) == len(TREE)
        assert server.requests == []

    @pytest.mark.parametrize('parts', [[0], [10], []])
    def test_wrong_parts(
        self, server: Server, tmp_path: Path, parts: list[int]
    ) -> None:
        with pytest.raises(ValueError, match='parts from 1 to 9'):
            SpectralEarth(tmp_path / 'data', download=True, parts=parts)
        assert server.requests == []

    def test_root_cannot_be_made(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='cannot be'):
            SpectralEarth(tmp_path / 'file' / 'data', download=True)
