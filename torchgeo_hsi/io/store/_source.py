# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the files of a store are: a folder, or object storage through fsspec."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import AccessError, CorruptFileError, DownloadError

#: What to install for the file systems that fsspec does not bring along.
_EXTRA = {'s3': 's3fs', 's3a': 's3fs', 'gs': 'gcsfs', 'gcs': 'gcsfs', 'http': 'aiohttp'}
_EXTRA['https'] = _EXTRA['http']

#: A part of a file: its name, first byte, and the byte behind its last.
type Part = tuple[str, int, int]


class Source(ABC):
    """The files of a store by their paths within it."""

    #: Where the store is.
    path: str

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read a whole file.

        Args:
            name: The file.

        Returns:
            Its content.

        Raises:
            FileNotFoundError: If there is no such file.
        """

    @abstractmethod
    def read_parts(self, parts: Sequence[Part]) -> list[bytes]:
        """Read parts of files, at the same time where that is faster.

        Args:
            parts: The parts.

        Returns:
            Their contents; shorter where a file ends.

        Raises:
            FileNotFoundError: If there is no such file.
        """


class FolderSource(Source):
    """Files in a folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: str) -> None:
        """Initialize a new FolderSource instance."""
        self.path = path

    def read(self, name: str) -> bytes:
        """Read a whole file; see the base class."""
        with _readable(self.path, name), open(f'{self.path}/{name}', 'rb') as file:
            return file.read()

    def read_parts(self, parts: Sequence[Part]) -> list[bytes]:
        """Read parts of files; see the base class."""
        result = []
        for name, start, stop in parts:
            with (
                _readable(self.path, name),
                open(f'{self.path}/{name}', 'rb', buffering=0) as file,
            ):
                file.seek(start)
                result.append(file.read(stop - start))
        return result


@contextmanager
def _readable(path: str, name: str) -> Iterator[None]:
    """Tell what is in the place of a file: a folder, links in a circle."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as error:
        raise CorruptFileError(
            f'{path}/{name} cannot be read ({error}). Copy it again.'
        ) from error


class RemoteSource(Source):
    """Files in object storage or on a web server.

    Connections do not survive a fork, so that each process opens its own.

    Args:
        path: Address of the store.
        options: Options of the file system of fsspec.
    """

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        """Initialize a new RemoteSource instance."""
        self.path = path
        self._options = dict(options)
        self._opened: tuple[int, Any] | None = None

    def _system(self) -> Any:
        """Return the file system of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            import fsspec

            protocol = self.path.partition('://')[0]
            try:
                system = fsspec.filesystem(protocol, **self._options)
            except ImportError as error:
                package = _EXTRA.get(protocol, f'what serves {protocol}')
                raise ImportError(
                    f'{package} is needed to read {self.path}. Install it with '
                    f'"pip install {package}".'
                ) from error
            except ValueError as error:
                raise DownloadError(
                    f'{self.path} cannot be opened: {error}.'
                ) from error
            self._opened = (os.getpid(), system)
        return self._opened[1]

    def read(self, name: str) -> bytes:
        """Read a whole file; see the base class."""
        system = self._system()
        try:
            return bytes(system.cat_file(f'{self.path}/{name}'))
        # each file system has errors of its own
        except Exception as error:
            raise self._failure(name, error) from error

    def read_parts(self, parts: Sequence[Part]) -> list[bytes]:
        """Read parts of files; see the base class."""
        if not parts:
            # all of it was in memory
            return []
        system = self._system()
        names, starts, stops = zip(*parts, strict=True)
        paths = [f'{self.path}/{name}' for name in names]
        try:
            found = system.cat_ranges(
                paths, list(starts), list(stops), on_error='return'
            )
        except Exception as error:
            raise self._failure(names[0], error) from error
        for name, content in zip(names, found, strict=True):
            if isinstance(content, Exception):
                raise self._failure(name, content) from content
        return [bytes(content) for content in found]

    def _failure(self, name: str, error: Exception) -> Exception:
        """Say what can be done about an error."""
        address = f'{self.path}/{name}'
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f'There is no {address}. Check the address.')
        status = getattr(error, 'status', None)
        if isinstance(error, PermissionError) or status in (401, 403):
            return AccessError(
                f'{address} cannot be read without permission: {error}. Check the '
                'credentials in the environment, or pass options={"anon": True} for '
                'public data.'
            )
        return DownloadError(f'{address} cannot be read: {error}. Try again later.')


def open_source(path: str, options: Mapping[str, Any]) -> Source:
    """Choose how to read a store.

    Args:
        path: Folder or address.
        options: Options of the file system of fsspec.

    Returns:
        The source.
    """
    if '://' not in path:
        return FolderSource(path)
    return RemoteSource(path.rstrip('/'), options)


def missing_file(path: str, name: str) -> CorruptFileError:
    """Return the error for a file that a finished store lacks.

    Args:
        path: The store.
        name: The file.
    """
    return CorruptFileError(
        f'{path} lacks {name}. Run "torchgeo-hsi convert" with --verify to repair the '
        'store, or copy it again.'
    )
