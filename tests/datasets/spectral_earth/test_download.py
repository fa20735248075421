# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Downloads from a server of our own that can do what goes wrong."""

import base64
import errno
import hashlib
import io
import logging
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from data.spectral_earth.data import TREE, write_archive, write_tree

from torchgeo_hsi.datamodules import SpectralEarthDataModule
from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth import _http, download
from torchgeo_hsi.datasets.spectral_earth.download import download_dlr
from torchgeo_hsi.datasets.spectral_earth.manifest import find_bases
from torchgeo_hsi.errors import (
    AccessError,
    CorruptFileError,
    DownloadError,
    HSIWarning,
    OutputError,
)

USER, PASSWORD = 'someone', 'vErY-s3cret:word'
SECRETS = (PASSWORD, base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode())
TAG = '"version-1"'


class Server:
    """A server of archives; its attributes say what it does."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[dict[str, str]] = []
        self.tag: str | None = TAG
        self.ranges = True
        #: What to do for the next requests: a status, or ('cut', bytes) or ('hurry',).
        self.faults: list[Any] = []
        self.redirect = ''
        self.html = False
        self.length = True
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                server.answer(self)

        self.httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.httpd.server_port}/'
        threading.Thread(
            target=self.httpd.serve_forever, args=(0.01,), daemon=True
        ).start()

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        self.requests.append({'path': to.path, **dict(to.headers.items())})
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return self.send(to, fault, b'', {})
        if self.redirect:
            return self.send(to, 302, b'', {'Location': self.redirect + to.path[1:]})
        if to.headers['Authorization'] != f'Basic {SECRETS[1]}':
            return self.send(to, 401, b'', {'WWW-Authenticate': 'Basic'})
        if self.html:
            page = b'<html>Please accept the license</html>'
            return self.send(to, 200, page, {'Content-Type': 'text/html'})
        if to.path[1:] not in self.files:
            return self.send(to, 404, b'', {})
        content = self.files[to.path[1:]]
        headers = {'ETag': self.tag} if self.tag else {}
        asked, status, start = to.headers['Range'], 200, 0
        if asked and self.ranges and to.headers['If-Range'] in (None, self.tag):
            start = int(asked.removeprefix('bytes=').removesuffix('-'))
            if start >= len(content):
                total = {'Content-Range': f'bytes */{len(content)}'}
                return self.send(to, 416, b'', total)
            status = 206
            last, size = len(content) - 1, len(content)
            headers['Content-Range'] = f'bytes {start}-{last}/{size}'
        body = content[start:]
        if fault is None:
            return self.send(to, status, body, headers)
        # promises everything and closes the connection
        to.send_response(status)
        for key, value in {**headers, 'Content-Length': str(len(body))}.items():
            to.send_header(key, value)
        to.end_headers()
        to.wfile.write(body[: fault[1]])
        to.close_connection = True
        return None

    def send(
        self,
        to: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
    ) -> None:
        to.send_response(status)
        if self.length:
            headers = {**headers, 'Content-Length': str(len(body))}
        else:
            headers = {**headers, 'Connection': 'close'}
            to.close_connection = True
        for key, value in headers.items():
            to.send_header(key, value)
        to.end_headers()
        to.wfile.write(body)


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


def get(root: Path, name: str = 'enmap_cdl', **options: Any) -> Path:
    with pytest.warns(HSIWarning, match='no checksum'):
        return download_dlr(name, root, **options)


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def source(tmp_path: Path) -> dict[str, bytes]:
    return content_of(tmp_path / 'source')


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


class TestAccess:
    """Who has no account learns how to get one, and no password gets out."""

    @pytest.fixture(autouse=True)
    def _no_account(
        self, server: Server, archive: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv('DLR_USER')
        monkeypatch.delenv('DLR_PASSWORD')

    def netrc(self, monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)
        monkeypatch.setenv('NETRC', str(path))

    def test_none(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(AccessError) as caught:
            download_dlr('enmap_cdl', tmp_path / 'data')
        for word in (
            'https://geoservice.dlr.de/web/datasets/enmap_spectralearth',
            '.netrc',
            'machine download.geoservice.dlr.de',
            'DLR_USER',
            'DLR_PASSWORD',
        ):
            assert word in str(caught.value)
        assert isinstance(caught.value, PermissionError)
        assert server.requests == []

    def test_netrc(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = f'machine 127.0.0.1 login {USER} password {PASSWORD}\n'
        self.netrc(monkeypatch, tmp_path / 'netrc', text)
        get(tmp_path / 'data')
        assert content_of(tmp_path / 'data/enmap_cdl') == source(tmp_path)

    def test_netrc_in_the_home_folder(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / 'home'
        home.mkdir()
        text = f'machine 127.0.0.1\n  login {USER}\n  password {PASSWORD}\n'
        self.netrc(monkeypatch, home / '.netrc', text)
        monkeypatch.delenv('NETRC')
        monkeypatch.setenv('HOME', str(home))
        get(tmp_path / 'data')

    def test_environment_comes_first(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = 'machine 127.0.0.1 login other password other\n'
        self.netrc(monkeypatch, tmp_path / 'netrc', text)
        monkeypatch.setenv('DLR_USER', USER)
        monkeypatch.setenv('DLR_PASSWORD', PASSWORD)
        get(tmp_path / 'data')

    @pytest.mark.parametrize(
        'text',
        [
            f'machine elsewhere.org login {USER} password {PASSWORD}\n',
            f'default login {USER} password {PASSWORD}\n',
        ],
    )
    def test_accounts_of_others_are_not_sent(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        self.netrc(monkeypatch, tmp_path / 'netrc', text)
        with pytest.raises(AccessError, match='There is no account'):
            download_dlr('enmap_cdl', tmp_path / 'data')
        assert server.requests == []

    def test_a_broken_netrc_is_not_quoted(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = f'machine 127.0.0.1 login {USER}\n {PASSWORD}\n'
        self.netrc(monkeypatch, tmp_path / 'netrc', text)
        with pytest.raises(AccessError, match='syntax') as caught:
            download_dlr('enmap_cdl', tmp_path / 'data')
        assert_silent(caught.value, '')

    @pytest.mark.parametrize('fault', ['password', 403, 'html'])
    def test_refused(
        self,
        server: Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        fault: Any,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv('DLR_USER', USER)
        secret = 'wr0ng' if fault == 'password' else PASSWORD
        monkeypatch.setenv('DLR_PASSWORD', secret)
        server.html = fault == 'html'
        server.faults = [fault] if isinstance(fault, int) else []
        with pytest.raises(AccessError, match='sign up') as caught:
            download_dlr('enmap_cdl', tmp_path / 'data')
        # a refusal is not repeated
        assert len(server.requests) == 1
        assert_silent(caught.value, caplog.text, secret)
        assert list((tmp_path / 'data').iterdir()) == []

    def test_only_encrypted(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, '_SERVER', 'http://download.geoservice.dlr.de/')
        with pytest.raises(AccessError, match='https only'):
            download_dlr('enmap_cdl', tmp_path / 'data')


def assert_silent(error: BaseException | None, *texts: str) -> None:
    """No message of a chain of errors, and no log, tells a password."""
    secrets = [*SECRETS, *(text for text in texts[1:])]
    while error is not None:
        texts = (*texts[:1], str(error), repr(error), str(vars(error)))
        assert not any(secret in text for secret in secrets for text in texts)
        error = error.__cause__ or (
            None if error.__suppress_context__ else error.__context__
        )


def test_no_secret_in_messages(
    server: Server, archive: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.faults = [500] * _http._ATTEMPTS
    with pytest.raises(DownloadError) as caught:
        download_dlr('enmap_cdl', tmp_path / 'data')
    assert_silent(caught.value, caplog.text)
    assert caught.value.__cause__ is not None


class TestRedirection:
    """The password goes to the machine it is for."""

    def test_elsewhere(self, server: Server, archive: bytes, tmp_path: Path) -> None:
        other = Server()
        server.redirect = other.url
        with pytest.raises(AccessError):
            download_dlr('enmap_cdl', tmp_path / 'data')
        assert len(other.requests) == 1
        assert 'Authorization' not in other.requests[0]
        other.httpd.shutdown()
        other.httpd.server_close()

    def test_within_the_server(
        self, server: Server, archive: bytes, tmp_path: Path
    ) -> None:
        original = server.answer

        def answer(to: BaseHTTPRequestHandler) -> None:
            server.redirect = '' if to.path.startswith('/moved/') else '/moved/'
            original(to)

        server.answer = answer  # type: ignore[method-assign]
        content = server.files['downstream_tasks/enmap_cdl.tar.gz']
        server.files['moved/downstream_tasks/enmap_cdl.tar.gz'] = content
        get(tmp_path / 'data')
        assert server.requests[1]['Authorization'] == f'Basic {SECRETS[1]}'

    def test_not_to_plain_http(self) -> None:
        request = _http.Request('https://download.geoservice.dlr.de/a')
        with pytest.raises(DownloadError, match='unencrypted'):
            _http._SameHost().redirect_request(
                request, io.BytesIO(), 302, '', _http.HTTPMessage(), 'http://x.org/a'
            )


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
