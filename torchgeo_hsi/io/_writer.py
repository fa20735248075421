# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What every writer shares: the whole output or none of it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from .._typing import PathLike
from ..errors import HSIError, OutputError
from ._gdal import gdal_cache, unplaced
from ._scratch import ScratchFolder
from ._whole import not_written


class AtomicWriter(ABC):
    """Base class of writers that work in a scratch folder and move the result.

    Subclasses set ``path`` and ``_scratch``, work inside of ``_guard``, move the
    complete output in :meth:`close`, and call ``_release`` last.
    """

    path: Path
    #: Bound of GDAL's block cache in MiB.
    cache_mb: int = 64
    _scratch: ScratchFolder | None

    @abstractmethod
    def close(self) -> None:
        """Complete the output and move it to its place."""

    @abstractmethod
    def _close_rasters(self) -> None:
        """Close the files that are still open."""

    def abort(self) -> None:
        """Give up: remove everything written so far; an older output stays."""
        if self._scratch is not None:
            self._close_rasters()
            self._release()

    def _release(self) -> None:
        """Remove the scratch folder; the writer is closed from now on."""
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the output, or give it up if the block raised."""
        if exc_type is None:
            self.close()
        else:
            self.abort()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Give up on any error, and say what can be done about it."""
        if self._scratch is None:
            raise OutputError(f'The writer of {self.path} is closed. Open a new one.')
        try:
            with gdal_cache(self.cache_mb), unplaced():
                yield
        # GDAL's own errors share no public base class, so every exception is caught
        except BaseException as error:
            self.abort()
            if isinstance(error, HSIError) or not isinstance(error, Exception):
                raise
            reason = error.__cause__ or error
            raise not_written(self.path, reason, 'choose another folder') from error


def open_scratch(path: Path) -> ScratchFolder:
    """Create the scratch folder of an output.

    Args:
        path: The output.

    Returns:
        The folder, beside the output.

    Raises:
        OutputError: If nothing can be written there.
    """
    try:
        return ScratchFolder(path)
    except OSError as error:
        raise OutputError(
            f'Nothing can be written to the folder of {path}: {error}. Choose another '
            'folder.'
        ) from error


def is_taken(path: PathLike) -> bool:
    """Tell whether a product would replace something.

    Args:
        path: Folder of the product.

    Returns:
        True if it is a file, or a folder that is not empty.
    """
    folder = Path(path)
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def move_folder(work: Path, path: Path, scratch: Path, overwrite: bool) -> None:
    """Put a product in its place; an old one only makes room for a whole one.

    Args:
        work: The folder of the complete product, in *scratch*.
        path: Its place.
        scratch: Folder that is removed afterwards.
        overwrite: Whether what is at *path* may be replaced.

    Raises:
        OutputError: If something is there that must not be replaced.
        OSError: If the folder cannot be moved; the old one is back in its place then.
    """
    old = scratch / 'old'
    if overwrite and is_taken(path):
        os.replace(path, old)
    elif is_taken(path):
        raise OutputError(
            f'{path} was written by someone else meanwhile. It was left as it is.'
        )
    elif path.is_dir():
        # some systems do not replace even an empty folder
        path.rmdir()
    try:
        os.replace(work, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise
