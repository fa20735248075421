# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A server on this machine, and what it serves."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.datasets.spectral_earth.download import download_dlr
from torchgeo_hsi.errors import HSIWarning

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
