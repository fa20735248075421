# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small helpers on files and folders."""

import json
import os
from typing import Any

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
        files = sorted(entry.name for entry in entries if _is_file(entry))
    return {name.lower(): os.path.join(folder, name) for name in files}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        # links that lead in a circle
        return False


def parse_json(content: str | bytes, path: str, remedy: str) -> Any:
    """Read JSON, which a damaged or hostile file may only look like.

    Args:
        content: What the file holds.
        path: The file, for messages.
        remedy: What to do about a damaged one.

    Returns:
        What it says.

    Raises:
        CorruptFileError: If it is no JSON, or nested deeper than can be read.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(
            f'{path} is damaged or no JSON ({shorten(str(error), 200)}). {remedy}'
        ) from error


def shorten(text: str, length: int = 60) -> str:
    """Cut a text for a message: what a damaged file holds may fill pages.

    Args:
        text: The text.
        length: Most letters.

    Returns:
        Its beginning.
    """
    return text if len(text) <= length else f'{text[: length - 3]}...'
