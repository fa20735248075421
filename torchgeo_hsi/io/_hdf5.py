# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HDF5 files through the optional package h5py."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CorruptFileError, HSIError
from ._files import check_file, shorten

#: Numbers that describe bands or pixels along a side: far more than there ever are.
_MANY = 1 << 22
#: What h5py and numpy raise over a damaged file.
_BROKEN = (
    AttributeError,
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def open_hdf5(path: str) -> Any:
    """Open an HDF5 file.

    Args:
        path: The file.

    Returns:
        The open ``h5py.File``.

    Raises:
        ImportError: If h5py is not installed.
        CorruptFileError: If the file is empty, truncated or not HDF5.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f'h5py is needed to read {path}. Install it with '
            "pip install 'torchgeo-hsi[all]'."
        ) from error
    check_file(path)
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or not HDF5 ({_words(error)}). Download or '
            'copy it again.'
        ) from error


@contextmanager
def damaged(path: str) -> Iterator[None]:
    """Put errors of h5py while it reads pixels into words.

    Args:
        path: The file.

    Yields:
        Nothing.

    Raises:
        CorruptFileError: If the pixels cannot be read.
    """
    try:
        yield
    except HSIError:
        raise
    # h5py says RuntimeError, ValueError or KeyError of a closed file
    except _BROKEN as error:
        raise CorruptFileError(
            f'{path} is closed, truncated or damaged: its pixels cannot be read '
            f'({_words(error)}). Open, download or copy it again.'
        ) from error


@contextmanager
def misleading(path: str) -> Iterator[None]:
    """Put errors over what a file says about itself into words.

    Groups in the place of arrays, texts in the place of numbers and links in a circle:
    h5py and numpy raise whatever they run into.

    Args:
        path: The file.

    Yields:
        Nothing.

    Raises:
        CorruptFileError: If the metadata cannot be understood.
    """
    try:
        yield
    except (HSIError, FileNotFoundError, ImportError):
        raise
    except _BROKEN as error:
        raise CorruptFileError(
            f'{path} is damaged or of another layout: what it says about its arrays '
            f'cannot be understood ({_words(error)}). Download or copy it again.'
        ) from error


def _words(error: Exception) -> str:
    return shorten(' '.join(f'{type(error).__name__}: {error}'.split()), 200)


def arrays(file: Any) -> dict[str, Any]:
    """List the arrays of an HDF5 file.

    Args:
        file: The open ``h5py.File``.

    Returns:
        Every numeric array by its path within the file.
    """
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        try:
            numeric = hasattr(item, 'shape') and item.dtype.kind in 'fiu'
        except TypeError:
            # there is nothing in numpy for such a type
            return
        # pixels that lie in another file could be those of any file
        if numeric and item.shape and not item.external:
            found[name] = item

    file.visititems(visit)
    return found


def few(array: Any, name: str | None = None) -> Any:
    """Check that an array may be loaded as a whole, such as the centres of bands.

    Args:
        array: Array of numpy or h5py.
        name: Its name; that of h5py by default.

    Returns:
        The same array.

    Raises:
        ValueError: If it is far too long for that.
    """
    if array.size > _MANY:
        raise ValueError(f'{name or array.name} has {array.size} numbers')
    return array


def text(value: Any) -> str | None:
    """Decode an attribute; h5py gives bytes, text or an array of one of them.

    Args:
        value: The attribute, or None.

    Returns:
        The text, or None.
    """
    if hasattr(value, 'flat'):
        value = next(iter(value.flat), None)
    if isinstance(value, bytes):
        value = value.decode('utf-8', errors='replace')
    return None if value is None else str(value).strip()
