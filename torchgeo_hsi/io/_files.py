# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small helpers on files and folders."""

import os

from ..errors import CorruptFileError


def check_file(path: str) -> None:
    """Check that a file exists and is not empty.

    Args:
        path: The file. Paths of GDAL's virtual file systems are not checked.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file has no content.
    """
    if path.startswith('/vsi'):
        return
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no file {path}. Check the path.')
    if os.path.getsize(path) == 0:
        raise CorruptFileError(f'{path} is empty (0 bytes). Download or copy it again.')


def siblings(path: str) -> dict[str, str]:
    """List the folder of a file.

    Args:
        path: A file, or a folder.

    Returns:
        Full path of each file in the folder, by its name in lower case: products come
        as ``.TIF`` and ``.tif`` alike, and not every file system ignores the case.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(path) or '.'
    with os.scandir(folder) as entries:
        files = sorted(entry.name for entry in entries if entry.is_file())
    return {name.lower(): os.path.join(folder, name) for name in files}
