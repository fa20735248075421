# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Text files that people write or edit."""

import os

from .._typing import PathLike
from ..errors import CorruptFileError


def read_text(
    path: PathLike, remedy: str = 'Save it as text, or copy it again.'
) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        remedy: What to do about a file that is no text.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is no text, or cannot be read.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f'There is no file {name}. Check the path.')
    try:
        with open(name, encoding='utf-8-sig') as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise CorruptFileError(
            f'{name} is no text in UTF-8 ({error}). {remedy}'
        ) from error
    except OSError as error:
        raise CorruptFileError(f'{name} cannot be read ({error}). {remedy}') from error
