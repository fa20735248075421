# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Passwords reach their server, and nothing else."""

import io
import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.spectral_earth.download.server import (
    PASSWORD,
    SECRETS,
    USER,
    Server,
    content_of,
    get,
    source,
)
from torchgeo_hsi.datasets.spectral_earth import _http, download
from torchgeo_hsi.datasets.spectral_earth.download import download_dlr
from torchgeo_hsi.errors import AccessError, DownloadError


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
