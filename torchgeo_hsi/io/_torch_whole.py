# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of ``torch.save`` that are written whole or not at all."""

from pathlib import Path
from typing import Any

import torch

from .._typing import PathLike
from ._whole import not_written, write_whole


def write_torch(
    path: PathLike, content: Any, remedy: str = 'choose another folder'
) -> None:
    """Write a file of ``torch.save``, whole or not at all.

    Args:
        path: The file; folders are created, and an older file is replaced.
        content: What ``torch.save`` takes.
        remedy: What to do on a full disk besides freeing space.

    Raises:
        OutputError: If it cannot be written; an older file is as it was.
    """

    def write(part: Path) -> None:
        with part.open('wb') as file:
            torch.save(content, file)

    try:
        write_whole(path, write, remedy)
    except RuntimeError as error:
        # torch wraps some errors of the disk, and loses their number
        cause = error.__context__
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None and 'PytorchStreamWriter' not in str(error):
            raise
        raise not_written(path, cause or error, remedy) from error
