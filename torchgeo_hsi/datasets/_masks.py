# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Class maps that belong to cubes."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import PathLike
from ..errors import BandMismatchError, MetadataError
from ..io import CubeReader, open_cube, read_array
from ..io.open import has_named_arrays
from ._handles import ReaderCache


class CubeMasks:
    """Class maps in files of their own, or beside the cube in a file of arrays.

    Args:
        files: The cubes.
        mask_paths: One class map for each cube, or None.
        mask_key: Name of the class map in files of named arrays.
        keep: Whether to keep files open between reads.

    Raises:
        BandMismatchError: If there is not one class map for each cube.
        MetadataError: If a name is missing, or given for files without names.
    """

    def __init__(
        self,
        files: Sequence[str],
        mask_paths: PathLike | Sequence[PathLike] | None,
        mask_key: str | None,
        keep: bool = True,
    ) -> None:
        """Initialize a new CubeMasks instance."""
        if mask_paths is None:
            masks = [] if mask_key is None else list(files)
        elif isinstance(mask_paths, str | os.PathLike):
            masks = [os.fspath(mask_paths)]
        else:
            masks = [os.fspath(path) for path in mask_paths]
        if masks and len(masks) != len(files):
            raise BandMismatchError(
                f'Expected {len(files)} masks, one for each cube, got {len(masks)}.'
            )
        for mask in masks:
            if has_named_arrays(mask) != (mask_key is not None):
                raise MetadataError(
                    'mask_key= names the class map in MATLAB, NetCDF and HDF5 files: '
                    'these need it, and other files have no names. Got '
                    f'mask_key={mask_key!r} for {mask}.'
                )
        self.paths = masks
        self.key = mask_key
        self._readers = ReaderCache(_open, keep=keep)
        self._arrays: dict[str, NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        """Whether there are class maps."""
        return bool(self.paths)

    def read(
        self, number: int, window: Window, shape: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Read a window of a class map.

        Args:
            number: Which cube.
            window: Rows and columns.
            shape: Rows and columns of the cube.

        Returns:
            Classes, 0 outside of the cube.

        Raises:
            BandMismatchError: If the class map has another size than the cube.
            CorruptFileError: If the file is damaged.
        """
        path = self.paths[number]
        if self.key is None:
            with self._readers.open(path) as reader:
                _check_size(path, reader.info.shape[1:], shape)
                values, _ = reader.read([0], window)
                return np.asarray(values[0], dtype=np.int64)
        if path not in self._arrays:
            whole = read_array(path, self.key)
            _check_size(path, whole.shape, shape)
            self._arrays[path] = whole.astype(np.int64)
        mask: NDArray[np.int64] = np.zeros((window.height, window.width), np.int64)
        part = self._arrays[path][window.toslices()]
        mask[: part.shape[0], : part.shape[1]] = part
        return mask

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded arrays behind; a worker loads its own."""
        return {**self.__dict__, '_arrays': {}}


def _open(path: str) -> CubeReader:
    return open_cube(path)


def _check_size(path: str, got: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if got != shape:
        raise BandMismatchError(
            f'Expected a mask of {shape} rows and columns in {path}, as in the cube, '
            f'got {got}.'
        )
