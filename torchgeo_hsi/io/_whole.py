# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files that are written whole or not at all, and what to say where they are not."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._json import json_text
from .._typing import PathLike
from ..errors import HSIError, OutputError
from ._scratch import ScratchFolder

#: What systems answer where nothing more fits: disk, quota, largest file.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: Free bytes below which a disk counts as full.
_LEAST = 2**20


def free_space(path: PathLike) -> str:
    """Say how much is free where a file is to be.

    Args:
        path: The file or folder; it need not exist.

    Returns:
        Words such as ``'2.5 GiB are free in /data'``.
    """
    folder, free = room_for(path)
    shown = f'{free / 2**30:.1f} GiB' if free >= 2**30 else f'{free / 2**20:.1f} MiB'
    return f'{shown} are free in {folder}'


def room_for(path: PathLike) -> tuple[Path, int]:
    """Find out where a file, or the folders above it, would be made.

    Args:
        path: The file or folder; it need not exist.

    Returns:
        The folder, and the free bytes of its disk.
    """
    folder = Path(path).absolute().parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder, shutil.disk_usage(folder).free


def not_written(path: PathLike, error: BaseException, remedy: str) -> OutputError:
    """Say why a file could not be written, and what can be done about it.

    Args:
        path: The file.
        error: What went wrong.
        remedy: What to do besides freeing space, e.g. ``'choose another folder'``.

    Returns:
        The error, to be raised.
    """
    # GDAL tells no number
    is_full = getattr(error, 'errno', None) in _FULL or room_for(path)[1] < _LEAST
    cause = f'the disk is full ({error})' if is_full else f'{error}'
    return OutputError(
        f'{path} could not be written: {cause}. {free_space(path)}. Free some space or '
        f'{remedy}. Nothing half-written was left behind, and an older file is as it '
        'was.'
    )


def write_whole(
    path: PathLike,
    write: Callable[[Path], Any],
    remedy: str = 'choose another folder',
    sync: bool = True,
) -> None:
    """Write a file in a scratch folder beside its place, and move it when it is whole.

    After a kill, the next call for the same file removes what is left.

    Args:
        path: The file; folders are created, and an older file is replaced.
        write: Writes to the path that it gets, which has the same suffix.
        remedy: What to do on a full disk besides freeing space.
        sync: Whether to wait until it is on the disk.

    Raises:
        OutputError: If it cannot be written; an older file is as it was.
    """
    target = Path(path)
    try:
        scratch = ScratchFolder(target)
        try:
            put_whole(scratch.path / target.name, target, write, sync)
        finally:
            scratch.remove()
    except HSIError:
        raise
    except OSError as error:
        raise not_written(target, error, remedy) from error


def put_whole(
    part: Path, target: Path, write: Callable[[Path], Any], sync: bool = True
) -> None:
    """Write a file under another name of the same disk, and move it.

    Args:
        part: The other name, in a scratch folder.
        target: The file.
        write: Writes to the path that it gets.
        sync: Whether to wait until it is on the disk.

    Raises:
        OSError: If it cannot be written.
    """
    write(part)
    if sync:
        # a network or quota file system may report a failed write only here
        with part.open('rb+') as file:
            os.fsync(file.fileno())
    os.replace(part, target)


def write_json(
    path: PathLike, content: Any, remedy: str = 'choose another folder'
) -> None:
    """Write JSON that people can read, whole or not at all.

    Args:
        path: The file; folders are created, and an older file is replaced.
        content: What :mod:`json` can write; numbers that are not finite become null.
        remedy: What to do on a full disk besides freeing space.

    Raises:
        OutputError: If it cannot be written; an older file is as it was.
    """
    text = json_text(content)
    write_whole(path, lambda part: part.write_text(text, encoding='utf-8'), remedy)
