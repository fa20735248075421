# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Large files over HTTP with a password: resumed, and never half-named."""

import base64
import http.client
import logging
import netrc
import os
import re
import shutil
import time
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from ...errors import AccessError, CorruptFileError, DownloadError, OutputError

PAGE = 'https://geoservice.dlr.de/web/datasets/enmap_spectralearth'

#: How to get an account and where to put it.
ACCESS = (
    f'The data need a free account of the EOC Geoservice of DLR: open {PAGE}, sign up '
    'there, and accept the EnMAP license. Then either write the line "machine '
    'download.geoservice.dlr.de login NAME password SECRET" into ~/.netrc and run '
    '"chmod 600 ~/.netrc", or set the environment variables DLR_USER and DLR_PASSWORD.'
)

#: Attempts in a row that bring nothing before a download is given up.
_ATTEMPTS = 5
#: Seconds to wait for the server, and the longest pause between attempts.
_TIMEOUT = 60
_PAUSE = 60.0
_CHUNK = 1 << 20
#: Seconds between two messages on the progress.
_REPORT = 60
_LOOPBACK = ('localhost', '127.0.0.1', '::1')

_log = logging.getLogger(__name__)


def authorization(url: str) -> str:
    """Return the header that proves who asks; keep it out of messages.

    Args:
        url: What is asked for.

    Returns:
        The value of the header ``Authorization``.

    Raises:
        AccessError: If there is no account, or the address is not encrypted.
    """
    address = urlsplit(url)
    host = address.hostname or ''
    if address.scheme != 'https' and host not in _LOOPBACK:
        raise AccessError(f'A password is sent over https only, not to {url}.')
    user, password = os.environ.get('DLR_USER'), os.environ.get('DLR_PASSWORD')
    if not user or not password:
        user, password = _from_netrc(host)
    if not user or not password:
        raise AccessError(f'There is no account for {host}. {ACCESS}')
    secret = base64.b64encode(f'{user}:{password}'.encode()).decode()
    return f'Basic {secret}'


def _from_netrc(host: str) -> tuple[str | None, str | None]:
    path = os.environ.get('NETRC') or os.path.expanduser('~/.netrc')
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except FileNotFoundError:
        return None, None
    except netrc.NetrcParseError:
        # its message may quote the password
        raise AccessError(
            f'{path} has an error in its syntax, or others may read it. {ACCESS}'
        ) from None
    except (OSError, UnicodeDecodeError):
        raise AccessError(f'{path} cannot be read. {ACCESS}') from None
    return (None, None) if entry is None else (entry[0], entry[2])


class _SameHost(HTTPRedirectHandler):
    """Follows redirections, with the password only to the machine it is for."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        """Return the next request."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == 'https' and new.scheme != 'https':
            raise DownloadError(f'{old.netloc} redirects to an unencrypted address.')
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        secret = req.get_header('Authorization')
        if request is not None and secret and old[:2] == new[:2]:
            request.add_unredirected_header('Authorization', secret)
        return request


def fetch(url: str, target: Path, secret: str) -> None:
    """Download a file; what is there of it from earlier is kept.

    Args:
        url: Address.
        target: File to write; ``<target>.part`` until it is complete.
        secret: Value of the header ``Authorization``.

    Raises:
        AccessError: If the server refuses the account, or sends a web page.
        DownloadError: If the file cannot be had.
        OutputError: If the disk is full or cannot be written to.
    """
    opener = build_opener(_SameHost)
    part = target.with_name(f'{target.name}.part')
    failures = 0
    while True:
        before = _size(part)
        try:
            if _transfer(opener, url, part, secret):
                break
            problem: Exception = DownloadError('the connection was closed')
        except HTTPError as error:
            problem = _judge(error, url, part)
        except (OutputError, DownloadError, CorruptFileError):
            raise
        except (URLError, OSError, http.client.HTTPException) as error:
            problem = error
        failures = 0 if _size(part) > before else failures + 1
        if failures >= _ATTEMPTS:
            raise DownloadError(
                f'{url} cannot be downloaded: {problem}. The first {_size(part)} bytes '
                'are kept; run it again to go on.'
            ) from problem
        time.sleep(min(2.0**failures, _PAUSE))
    os.replace(part, target)
    _tag_file(part).unlink(missing_ok=True)


def _judge(error: HTTPError, url: str, part: Path) -> Exception:
    """Return what is worth another attempt; raise what is not."""
    error.close()
    if error.code in (401, 403):
        raise AccessError(
            f'The server refuses the account for {url} (status {error.code}): the name '
            f'or the password is wrong, or the license is not accepted. {ACCESS}'
        ) from None
    if error.code == 416:
        # what is here does not belong to what is there
        part.unlink(missing_ok=True)
    elif error.code < 500 and error.code not in (408, 429):
        raise DownloadError(
            f'The server has no {url} (status {error.code}). See {PAGE} for what '
            'there is.'
        ) from None
    return error


def _transfer(opener: OpenerDirector, url: str, part: Path, secret: str) -> bool:
    """Get what is missing; return whether the file is complete."""
    have, tag = _size(part), _tag_file(part)
    request = Request(url)
    # not sent on by redirections
    request.add_unredirected_header('Authorization', secret)
    if have:
        request.add_header('Range', f'bytes={have}-')
        if tag.is_file():
            request.add_header('If-Range', tag.read_text(encoding='utf-8'))
    try:
        response = opener.open(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and error.headers['Content-Range'] == f'bytes */{have}':
            # complete, but not renamed
            return True
        raise
    with response:
        start, total = _place(response, have)
        if response.headers.get_content_type() == 'text/html':
            raise AccessError(
                f'The server sent a web page instead of {url}, so it wants you to log '
                f'in or to accept something there first. {ACCESS}'
            )
        if start != have:
            part.unlink(missing_ok=True)
        _check_space(part, total, start)
        if start == 0:
            _remember(response, tag)
        _append(response, part, start, total)
    size = _size(part)
    if total is not None and size > total:
        part.unlink()
        raise CorruptFileError(f'{url} has {total} bytes, but {size} came.')
    return total is None or size == total


def _place(response: Any, have: int) -> tuple[int, int | None]:
    """Return the first byte that comes, and the size of the whole file."""
    if response.status != 206:
        length = response.headers['Content-Length']
        return 0, int(length) if length else None
    found = re.fullmatch(
        r'bytes (\d+)-\d+/(\d+|\*)', response.headers['Content-Range'] or ''
    )
    if found is None or int(found[1]) != have:
        raise http.client.HTTPException('the server sent other bytes than asked for')
    return have, None if found[2] == '*' else int(found[2])


def _check_space(part: Path, total: int | None, start: int) -> None:
    """Say so before hours are lost, if the disk is too small."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise OutputError(
            f'{part} needs {(total - start) / 1e9:.1f} GB more, but {free / 1e9:.1f} GB '
            'are free. Make room, or choose another folder.'
        )


def _remember(response: Any, tag: Path) -> None:
    """Keep what tells this version of the file from a later one."""
    version = response.headers['ETag'] or ''
    if not version or version.startswith('W/'):
        version = response.headers['Last-Modified'] or ''
    try:
        tag.unlink(missing_ok=True)
        if version:
            tag.write_text(version, encoding='utf-8')
    except OSError as error:
        raise OutputError(f'{tag} cannot be written: {error.strerror}.') from error


def _append(response: Any, part: Path, start: int, total: int | None) -> None:
    """Write what comes to the end of the unfinished file."""
    done, last = start, time.monotonic()
    try:
        # without a buffer: what does not fit on the disk must not come up at the end
        file = part.open('ab', buffering=0)
    except OSError as error:
        raise _cannot_write(part, error) from error
    with file:
        while chunk := response.read(_CHUNK):
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise _cannot_write(part, error) from error
            done += len(chunk)
            if time.monotonic() - last > _REPORT:
                last = time.monotonic()
                whole = '' if total is None else f' of {total / 1e9:.2f}'
                _log.info('%s: %.2f%s GB', part.stem, done / 1e9, whole)


def _cannot_write(part: Path, error: OSError) -> OutputError:
    return OutputError(
        f'{part} cannot be written: {error.strerror}. What was downloaded is kept; make '
        'room and run it again to go on.'
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _tag_file(part: Path) -> Path:
    return part.with_name(f'{part.name}.tag')
