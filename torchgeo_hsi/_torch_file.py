# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of ``torch.save``, read without running code from them."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ._typing import PathLike
from .errors import CorruptFileError


def first_line(error: BaseException) -> str:
    """Return the first line of a message, or the name of the error without one."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def read_torch_file(path: PathLike, remedy: str = 'Copy it again.') -> Any:
    """Read tensors and plain values.

    Args:
        path: The file.
        remedy: What to do about a damaged one.

    Returns:
        What it holds.

    Raises:
        CorruptFileError: If the file is truncated, damaged or of another kind.
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If it is whole, and holds objects that may run code.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'There is no file {path}. Check the path.')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    # whatever torch, pickle and zipfile make of a damaged file
    except (
        pickle.UnpicklingError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise
        raise CorruptFileError(
            f'{path} is damaged, truncated or no file of torch.save '
            f'({first_line(error)[:200]}). {remedy}'
        ) from error
