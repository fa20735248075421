# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of reading stores from web servers and object storage."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_store import SPEC, arrays, items

from torchgeo_hsi.errors import AccessError, CorruptFileError, DownloadError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.store import StoreReader

pytest.importorskip('aiohttp')


class Server(ThreadingHTTPServer):
    """Serves a folder by ranges of bytes, and counts."""

    root: Path
    #: Bytes that were asked for, of each file.
    asked: list[tuple[str, str | None]]
    status: int | None = None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        wanted = self.headers.get('Range')
        self.server.asked.append((self.path, wanted))
        file = self.server.root / self.path.lstrip('/')
        if self.server.status is not None or not file.is_file():
            self.send_error(self.server.status or 404)
            return
        content, status = file.read_bytes(), 200
        size = len(content)
        if wanted:
            start, _, stop = wanted.removeprefix('bytes=').partition('-')
            if int(start) >= size:
                self.send_error(416)
                return
            content, status = content[int(start) : int(stop) + 1], 206
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        self.send_header('Accept-Ranges', 'bytes')
        if wanted:
            end = int(start) + len(content) - 1
            self.send_header('Content-Range', f'bytes {start}-{end}/{size}')
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def server(store: Path) -> Iterator[Server]:
    with Server(('127.0.0.1', 0), Handler) as found:
        found.root, found.asked = store, []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def address(server: Server) -> str:
    return f'http://127.0.0.1:{server.server_address[1]}'


def _length(wanted: str | None) -> int:
    assert wanted is not None
    start, stop = map(int, wanted.removeprefix('bytes=').split('-'))
    return stop + 1 - start


class TestWebServer:
    def test_read(self, address: str) -> None:
        reader = StoreReader(f'{address}/')
        assert reader.spec == SPEC
        assert list(reader.items) == items()
        many = reader.read_many([7, 0, 4])
        for name, array in arrays().items():
            assert np.array_equal(many[name], array[[7, 0, 4]])

    def test_only_what_is_needed_is_read(self, address: str, server: Server) -> None:
        reader = StoreReader(address)
        server.asked.clear()
        reader.read(1, [0, 1, 7], ['image'])
        # the index, then one of two groups of bands
        (_, index), (_, group) = server.asked
        server.asked.clear()
        found = reader.read(1, fields=['image'])['image']
        # neighbours in the file come in one piece
        assert len(server.asked) == 1
        assert np.array_equal(found, arrays()['image'][1])
        assert _length(index) == 4 * 2 * 16 + 4
        assert 1.6 * _length(group) < _length(server.asked[0][1])

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
    def test_fork(self, address: str) -> None:
        reader = StoreReader(address)
        reader.read(0)
        pid = os.fork()
        if not pid:
            good = np.array_equal(reader.read(4)['image'], arrays()['image'][4])
            os._exit(0 if good else 1)
        assert os.waitpid(pid, 0)[1] == 0

    def test_nothing_there(self, address: str) -> None:
        with pytest.raises(FileNotFoundError, match=r'no store at .*/nothing'):
            StoreReader(f'{address}/nothing')

    def test_file_missing(self, address: str, server: Server, tmp_path: Path) -> None:
        reader = StoreReader(address)
        server.root = tmp_path
        with pytest.raises(CorruptFileError, match=r'lacks image/c\.0'):
            reader.read(0, fields=['image'])

    @pytest.mark.parametrize(
        ('status', 'error'), [(403, AccessError), (500, DownloadError)]
    )
    def test_refused(
        self, address: str, server: Server, status: int, error: type[Exception]
    ) -> None:
        server.status = status
        with pytest.raises(error, match='cannot be read'):
            StoreReader(address)

    def test_no_server(self) -> None:
        with pytest.raises(DownloadError, match='Try again'):
            StoreReader('http://127.0.0.1:9')

    def test_unknown_protocol(self) -> None:
        with pytest.raises(DownloadError, match='cannot be opened'):
            StoreReader('nothing://bucket/store')

    def test_patches_are_no_scene(self, address: str) -> None:
        with pytest.raises(ValueError, match='StoredPatches'):
            open_cube(address)


def test_object_storage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('s3fs')
    moto = pytest.importorskip('moto.server')
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'testing')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'testing')
    monkeypatch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
    import s3fs

    server = moto.ThreadedMotoServer(ip_address='127.0.0.1', port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {'client_kwargs': {'endpoint_url': f'http://{host}:{port}'}}
        files = s3fs.S3FileSystem(**options)
        files.mkdir('bucket')
        files.put(str(store), 'bucket/store', recursive=True)
        reader = StoreReader('s3://bucket/store', options=options)
        sample = reader.read(4, bands=[3, 0], fields=['image', 'label'])
        assert np.array_equal(sample['image'], arrays()['image'][4, [3, 0]])
        with pytest.raises(FileNotFoundError, match='no store'):
            StoreReader('s3://bucket/other', options=options)
        with pytest.raises((FileNotFoundError, DownloadError)):
            StoreReader('s3://nothing/store', options=options)
    finally:
        server.stop()
