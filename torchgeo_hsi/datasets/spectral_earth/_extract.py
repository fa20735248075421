# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Extract large archives so that a kill or a full disk leaves no half file."""

import logging
import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO

from ...errors import CorruptFileError, OutputError

_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


def extract(archive: Path, target: Path, top: str | None = None) -> None:
    """Extract the files of an archive.

    Each file is written under a hidden name and renamed when it is complete, so an
    extraction that was interrupted goes on with what is missing. Files that are there
    are compared and written again if they differ. Links and devices are left out, and
    names that lead out of the folder are an error.

    Args:
        archive: A tar file, compressed or not.
        target: Folder to extract to.
        top: Folder in the archive that stands for *target*, if it is there.

    Raises:
        CorruptFileError: If the archive is damaged or unsafe.
        OutputError: If the disk is full or cannot be written to.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _extract_member(tar, member, target, top)
            # the checksum of gzip stands behind the end of the tar file
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _damaged(archive, error) from error
    except OutputError:
        raise
    except CorruptFileError as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # gzip has an error of its own for a wrong checksum, without a number
        if error.errno is None:
            raise _damaged(archive, error) from error
        raise OutputError(
            f'{archive} cannot be extracted to {target}: {error.strerror}. Make room '
            'and run it again to go on; the archive is kept.'
        ) from error


def _damaged(archive: Path, error: Exception) -> CorruptFileError:
    return CorruptFileError(
        f'{archive} is damaged or unsafe: {error}. Remove it and download it again; '
        'files that were extracted are compared with the new archive.'
    )


def _extract_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, top: str | None
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    name = os.path.normpath(member.name)
    if top is not None and (name == top or name.startswith(f'{top}{os.sep}')):
        name = os.path.relpath(name, top)
    if member.isdir() or name == '.':
        return
    if not member.isfile():
        _log.warning('%s of %s is no file and is left out.', member.name, tar.name)
        return
    # refuses names that lead out of the folder, also through links in it
    safe = tarfile.data_filter(member.replace(name=name, deep=False), str(target))
    path = target / safe.name
    source = tar.extractfile(member)
    assert source is not None
    if path.is_file() and path.stat().st_size == member.size:
        if _is_same(source, path):
            return
        source.seek(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(source, path, member.size)


def _is_same(source: IO[bytes], path: Path) -> bool:
    """Whether a file has the content of a member of the same size."""
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            if source.read(len(chunk)) != chunk:
                return False
    return True


def _write(source: IO[bytes], path: Path, size: int) -> None:
    """Write a file under a hidden name, then rename it."""
    part = path.with_name(f'.{path.name}.part')
    try:
        with source, part.open('wb') as file:
            shutil.copyfileobj(source, file, _CHUNK)
        if part.stat().st_size != size:
            raise CorruptFileError(
                f'expected {size} bytes of {path.name}, got {part.stat().st_size}'
            )
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
