# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HDF5 files through the optional package h5py."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CorruptFileError
from ._files import check_file


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
            '"pip install torchgeo-hsi[all]".'
        ) from error
    check_file(path)
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or not HDF5 ({error}). Download or copy it '
            'again.'
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
    except CorruptFileError:
        raise
    # h5py says RuntimeError, ValueError or KeyError of a closed file
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise CorruptFileError(
            f'{path} is closed, truncated or damaged: its pixels cannot be read '
            f'({error}). Open, download or copy it again.'
        ) from error


def arrays(file: Any) -> dict[str, Any]:
    """List the arrays of an HDF5 file.

    Args:
        file: The open ``h5py.File``.

    Returns:
        Every numeric array by its path within the file.
    """
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, 'shape') and item.dtype.kind in 'fiu' and item.shape:
            found[name] = item

    file.visititems(visit)
    return found


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
