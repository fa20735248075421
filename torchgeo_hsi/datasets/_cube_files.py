# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which files of a folder are cubes."""

import os
from collections.abc import Iterable, Sequence

from .._typing import PathLike
from ._index import DataNotFoundError

#: Suffixes of cubes in a folder; the binary files of ENVI are found by their header.
SUFFIXES = ('.hdr', '.mat', '.tif', '.tiff', '.nc', '.nc4', '.h5', '.hdf5', '.he5')


def find_files(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """Find the cubes that a data set is made of.

    Args:
        paths: A file, a folder of files, or a list of files.

    Returns:
        The files.

    Raises:
        DataNotFoundError: If there are none.
    """
    if isinstance(paths, str | os.PathLike):
        path = os.fspath(paths)
        _check_exist([path])
        return _find_in(path) if os.path.isdir(path) else [path]
    files = [os.fspath(path) for path in paths]
    if not files:
        raise DataNotFoundError('Expected cubes in paths=, got an empty list.')
    _check_exist(files)
    return files


def _check_exist(files: Sequence[str]) -> None:
    # GDAL's virtual file systems are for GDAL to look into
    missing = [f for f in files if not os.path.exists(f) and not f.startswith('/vsi')]
    if missing:
        raise DataNotFoundError(
            f'Expected files or folders in paths=, but {", ".join(missing[:3])} '
            f'({len(missing)} of {len(files)} entries) does not exist.'
        )


def _find_in(folder: str) -> list[str]:
    names = [n for n in sorted(os.listdir(folder)) if n.lower().endswith(SUFFIXES)]
    if not names:
        raise DataNotFoundError(
            f'Expected cubes in paths=, but the folder {folder} holds no file that '
            f'ends in {", ".join(SUFFIXES)}.'
        )
    # a product has more rasters than its spectral image
    images = [name for name in names if 'SPECTRAL_IMAGE' in name.upper()]
    return [os.path.join(folder, name) for name in images or names]
