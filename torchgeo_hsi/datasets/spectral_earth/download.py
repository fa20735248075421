# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Archives of DLR's EOC Geoservice: fetched, resumed and extracted."""

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from torchgeo.datasets.utils import check_integrity

from ..._typing import PathLike
from ...errors import CorruptFileError, HSIWarning, OutputError
from ._extract import extract
from ._http import ACCESS, PAGE, authorization, fetch
from .manifest import KEPT, find_bases

__all__ = ('ACCESS', 'PAGE', 'download_dlr', 'download_pretraining')

#: Folder of the archives on the server.
_SERVER = 'https://download.geoservice.dlr.de/ENMAP/files/SPECTRAL_EARTH/'
#: Number of archives of the pretraining set.
_PARTS = 9

_log = logging.getLogger(__name__)


def download_dlr(
    path: str,
    destination: PathLike,
    *,
    sha256: str | None = None,
    keep_archive: bool = False,
) -> Path:
    """Get an archive of SpectralEarth from DLR and extract it.

    A free account is needed; the error without one says how to get it. Its name and
    password are taken from the environment variables ``DLR_USER`` and ``DLR_PASSWORD``,
    or else from the file ``~/.netrc`` (or what ``NETRC`` names), machine
    ``download.geoservice.dlr.de``. They are sent to that machine only, and written
    nowhere.

    An interrupted download goes on where it stopped, also in a later call, from
    ``<archive>.part``; an interrupted extraction keeps the files that are the same. An
    archive that lies in *destination* already is extracted without a download, and
    kept. No file has its final name before it is complete.

    Args:
        path: Name of a downstream set, such as ``'enmap_cdl'``; of a part of the
            pretraining set, such as ``'spectral_earth_part_1'``; or the path of an
            archive on the server.
        destination: Folder to extract to. A downstream set gets a folder of its own
            name in it, whether its archive has one or not.
        sha256: Expected checksum. DLR publishes none.
        keep_archive: Whether to keep the archive after the extraction.

    Returns:
        Folder with the extracted files.

    Raises:
        AccessError: If there is no account, or the server refuses it.
        DownloadError: If the server cannot be reached or has no such archive.
        CorruptFileError: If the archive is damaged or has another checksum.
        OutputError: If the disk is full or cannot be written to.

    Warns:
        HSIWarning: If there is no checksum to compare with.
    """
    name = os.path.basename(path).removesuffix('.tar.gz')
    is_part = name.startswith('spectral_earth_part_')
    if path == name:
        path = f'{name}.tar.gz' if is_part else f'downstream_tasks/{name}.tar.gz'
    folder = Path(destination)
    archive = folder / os.path.basename(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f'{folder} cannot be created: {error.strerror}.') from error
    fetched = not archive.is_file()
    if fetched:
        url = _SERVER + path
        fetch(url, archive, authorization(url))
    _verify(archive, sha256)
    target = folder if is_part else folder / name
    extract(archive, target, None if is_part else name)
    if fetched and not keep_archive:
        archive.unlink()
    return target


def _verify(archive: Path, sha256: str | None) -> None:
    if sha256 is None:
        warnings.warn(
            f'DLR publishes no checksum of {archive.name}, so only its size and the '
            'checksum of its compression are checked. Pass sha256= if you know it.',
            HSIWarning,
            stacklevel=3,
        )
    elif not check_integrity(archive, sha256=sha256):
        raise CorruptFileError(
            f'{archive} does not have the SHA-256 {sha256}. Remove it and download it '
            'again.'
        )


def download_pretraining(
    root: PathLike, parts: Sequence[int] = range(1, _PARTS + 1)
) -> bool:
    """Get the archives of the pretraining set that are missing.

    What is complete is remembered in the root, so an interrupted download goes on.
    Nothing is done for a tree that was put there in another way.

    Args:
        root: Folder to extract to.
        parts: Numbers of the archives, from 1 to 9.

    Returns:
        Whether something was extracted.

    Raises:
        ValueError: If there is no such part.
        AccessError: If there is no account, or the server refuses it.
        DownloadError: If the server cannot be reached.
        CorruptFileError: If an archive is damaged.
        OutputError: If the disk is full or cannot be written to.
    """
    wrong = [part for part in parts if part not in range(1, _PARTS + 1)]
    if wrong or not len(parts):
        raise ValueError(f'Expected parts from 1 to {_PARTS}, got {list(parts)}.')
    done = Path(root) / KEPT / 'downloaded'
    if not done.is_dir() and find_bases(root):
        _log.info('%s holds patches already, nothing is downloaded.', root)
        return False
    try:
        done.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f'{done} cannot be created: {error.strerror}.') from error
    names = [f'spectral_earth_part_{part}' for part in parts]
    missing = [name for name in names if not (done / name).exists()]
    for name in missing:
        download_dlr(name, root)
        (done / name).touch()
    return bool(missing)
