# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""MATLAB files: version 5 through scipy, version 7.3 and plain HDF5 through h5py."""

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from .._typing import FloatArray, PathLike
from ..errors import CorruptFileError, HSIWarning, MetadataError
from ._arrays import (
    CENTRE_NAMES,
    WIDTH_NAMES,
    check_layout,
    choose_cube,
    find_named,
    listed,
)
from ._files import check_file, shorten
from ._hdf5 import arrays, damaged, few, misleading, open_hdf5
from ._spectral import FileBands, spectral_axis
from .base import CubeInfo, CubeReader, uniform

_MATLAB_HEADER = b'MATLAB 7.3'
_HDF5_SIGNATURE = b'\x89HDF\r\n\x1a\n'

#: Where MATLAB puts the signature of HDF5, behind its own header.
_USER_BLOCK = 512


class MatReader(CubeReader):
    """Reader of ``.mat`` cubes.

    Files of version 7.3 are read window by window. Version 5 is compressed as a whole,
    so opening it loads the cube; convert large ones. A plain HDF5 file that is only
    called ``.mat`` is read as well; its axes are taken as HDF5 and not MATLAB states
    them.

    Such files carry no wavelengths by convention. A vector called ``wavelength`` (or
    ``wavelengths``, ``wl``, ``lambda``) with one value for each band is taken, if
    *wavelength_unit* says in which unit.

    Args:
        path: The file.
        key: Name of the array; needed if there is more than one of three dimensions.
        layout: Order of the axes in MATLAB, or in the plain HDF5 file: ``'HWC'`` (rows,
            columns, bands) or ``'CHW'``.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default), or
            of the vector in the file.
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data.
        scale: Factor from stored numbers to values.

    Raises:
        CorruptFileError: If the file is empty, truncated or no MATLAB file.
        MetadataError: If it is not clear which array is the cube, or in which unit the
            wavelengths are.
        ImportError: If a file of version 7.3 needs h5py, which is not installed.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        key: str | None = None,
        layout: str = 'HWC',
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Initialize a new MatReader instance."""
        name = os.fspath(path)
        # axes of the stored array that are bands, rows and columns
        self._axes = (2, 0, 1) if check_layout(layout, name) == 'HWC' else (0, 1, 2)
        self._file, variables, reverse = open_mat(name)
        try:
            with misleading(name):
                chosen = _choose(variables, key, name, reverse)
                self._array: Any = variables[chosen]
                if reverse:
                    # MATLAB writes column by column, HDF5 states the axes the other way
                    a, b, c = self._axes
                    self._axes = (2 - a, 2 - b, 2 - c)
                count, height, width = _shape(self._array, self._axes)
                found = _bands(variables, chosen, count)
                if found.wavelength is None and wavelength is None:
                    _warn_of_centres(name, self._file, variables, count)
                given = {'wavelength': wavelength, 'fwhm': fwhm}
                bands, source = spectral_axis(
                    name, count, found, wavelength_unit=wavelength_unit, **given
                )
        except Exception:
            self.close()
            raise
        gain, offset = uniform(scale, None, count)
        self.info = CubeInfo(
            path=name,
            sensor='unknown',
            shape=(count, height, width),
            dtype=self._array.dtype.name,
            bands=bands,
            nodata=nodata,
            gain=gain,
            offset=offset,
            spectral_source=source,
        )

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        if self._array is None:
            raise CorruptFileError(f'{self.info.path} is closed. Open it again.')
        rows, columns = window.toslices()
        with damaged(self.info.path):
            return read_axes(self._array, self._axes, indexes, rows, columns)

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._array = None
        if self._file is not None:
            self._file.close()


def read_axes(
    array: Any,
    axes: tuple[int, int, int],
    indexes: list[int],
    rows: slice,
    columns: slice,
) -> NDArray[Any]:
    """Read a window from an array in any order of axes.

    Args:
        array: Array of numpy or h5py.
        axes: Axes that are bands, rows and columns.
        indexes: Bands, in any order, maybe repeated.
        rows: Rows.
        columns: Columns.

    Returns:
        Stored numbers of shape ``(C, H, W)``.
    """
    # h5py takes neither unsorted nor repeated positions
    wanted = sorted(set(indexes))
    whole = wanted == list(range(wanted[0], wanted[-1] + 1)) if wanted else False
    bands: Any = slice(wanted[0], wanted[-1] + 1) if whole else wanted
    cut: list[Any] = [slice(None)] * 3
    for axis, part in zip(axes, (bands, rows, columns), strict=True):
        cut[axis] = part
    values = np.asarray(array[tuple(cut)]).transpose(axes)
    position = {band: i for i, band in enumerate(wanted)}
    order = [position[band] for band in indexes]
    return values if order == list(range(len(wanted))) else values[order]


def read_mat_array(path: PathLike, key: str) -> NDArray[Any]:
    """Read a whole array, for example a label map.

    Args:
        path: The ``.mat`` file.
        key: Name of the array.

    Returns:
        The array with its axes in the order of MATLAB.

    Raises:
        MetadataError: If there is no such array.
        CorruptFileError: If the file is empty, truncated or no MATLAB file.
    """
    name = os.fspath(path)
    file, variables, reverse = open_mat(name)
    try:
        if key not in variables:
            listing = listed(variables)
            raise MetadataError(
                f'There is no {key!r} in {name}. Choose one of its arrays: {listing}.'
            )
        with damaged(name):
            values = np.asarray(variables[key])
        return values.T if reverse else values
    finally:
        if file is not None:
            file.close()


def open_mat(path: str) -> tuple[Any, dict[str, Any], bool]:
    """Open a file of any version.

    Args:
        path: The file.

    Returns:
        The handle, or None for version 5; its arrays; and whether their axes are the
        reverse of MATLAB's.
    """
    check_file(path)
    with open(path, 'rb') as stream:
        start = stream.read(_USER_BLOCK + len(_HDF5_SIGNATURE))
    reverse = start.startswith(_MATLAB_HEADER)
    if reverse or _HDF5_SIGNATURE in (
        start[: len(_HDF5_SIGNATURE)],
        start[_USER_BLOCK:],
    ):
        file = open_hdf5(path)
        try:
            with misleading(path):
                found = arrays(file)
        except CorruptFileError:
            file.close()
            raise
        # names that start with # are MATLAB's own storage of cells
        named = {k: v for k, v in found.items() if not k.startswith('#')}
        return file, named, reverse
    # which takes its time, and most files are no .mat
    import scipy.io

    try:
        content = scipy.io.loadmat(path)
    # scipy raises whatever its parser runs into
    except Exception as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or no MATLAB file '
            f'({shorten(str(error), 200)}). Download or copy it again.'
        ) from error
    named = {
        name: value
        for name, value in content.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in 'fiu'
    }
    return None, named, False


def _shape(array: Any, axes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return bands, rows and columns."""
    bands, rows, columns = (int(array.shape[axis]) for axis in axes)
    return bands, rows, columns


def _choose(
    variables: dict[str, Any], key: str | None, path: str, reverse: bool
) -> str:
    # show shapes as MATLAB does
    shapes = {
        name: tuple(value.shape[::-1] if reverse else value.shape)
        for name, value in variables.items()
    }
    return choose_cube(shapes, key, path, 'key')


def _warn_of_centres(
    path: str, file: Any, variables: dict[str, Any], count: int
) -> None:
    """Warn of an array that is called as wavelengths are, and holds none."""
    if file is None:
        import scipy.io

        names = [name for name, *_ in scipy.io.whosmat(path)]
    else:
        names = list(file)
    for name in find_named(names, CENTRE_NAMES, ''):
        number = variables[name].size if name in variables else 'no'
        warnings.warn(
            f'{shorten(name)!r} of {path} is left out, so that its wavelengths are not '
            f'known: it holds {number} numbers for {count} bands. Correct the file, or '
            'pass wavelength= and wavelength_unit=.',
            HSIWarning,
            stacklevel=3,
        )


def _bands(variables: dict[str, Any], cube: str, count: int) -> FileBands:
    def vector(wanted: frozenset[str]) -> FloatArray | None:
        for name in find_named(variables, wanted, cube):
            if variables[name].size == count:
                return np.asarray(few(variables[name], name), dtype=float).ravel()
        return None

    widths = vector(WIDTH_NAMES)
    stated = find_named(variables, WIDTH_NAMES, cube)
    return FileBands(
        wavelength=vector(CENTRE_NAMES),
        fwhm=widths,
        left_out=f'there is not one for each of {count} bands'
        if stated and widths is None
        else None,
    )
