# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What several kinds of hostile inputs are made of."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from fuzz.case import Case, written


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        """Write a file."""
        return os.system, ('echo ran > ../ran; echo ran > ran',)


def zipped(name: str, data: bytes) -> bytes:
    """Pack one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def from_bytes(
    kind: str, name: str, read: Any, files: Any, heavy: bool = False
) -> Iterator[Case]:
    """Write files from nothing, and open them."""
    for title, (content, outcome) in files.items():
        build = written(name, content)
        yield Case(kind, title, 'nothing', build, read, outcome, heavy)
