# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A server for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from data.spectral_earth.data import write_archive

from tests.datasets.spectral_earth.download.server import PASSWORD, USER, Server
from torchgeo_hsi.datasets.spectral_earth import _http, download


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server()
    monkeypatch.setattr(download, '_SERVER', server.url)
    monkeypatch.setattr(_http, '_PAUSE', 0.0)
    monkeypatch.setenv('DLR_USER', USER)
    monkeypatch.setenv('DLR_PASSWORD', PASSWORD)
    monkeypatch.setenv('NETRC', str(tmp_path / 'no netrc'))
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def archive(server: Server, tmp_path: Path) -> bytes:
    """Serve a downstream set; return its archive."""
    folder = tmp_path / 'source'
    for part in ('enmap', 'cdl'):
        for i in range(4):
            path = folder / part / f'000000{i}' / '00001.tif'
            path.parent.mkdir(parents=True)
            path.write_bytes(os.urandom(20_000))
    packed = tmp_path / 'packed.tar.gz'
    write_archive(packed, folder)
    content = packed.read_bytes()
    server.files['downstream_tasks/enmap_cdl.tar.gz'] = content
    return content
