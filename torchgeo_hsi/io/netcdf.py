# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""NetCDF-4 and plain HDF5 cubes, read window by window through h5py."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from .._typing import FloatArray, PathLike
from ..physics import BandSet
from ._arrays import CENTRE_NAMES, GOOD_NAMES, WIDTH_NAMES, choose_cube, find_named
from ._cf import axes_of, nodata_of, place_of, reflectance_scale, scale_of
from ._hdf5 import arrays, damaged, few, misleading, open_hdf5, text
from ._scale import check_scale, declared, uniform
from ._spectral import FileBands, spectral_axis
from .base import CubeInfo, CubeReader
from .mat import read_axes


class NetCDFReader(CubeReader):
    """Reader of NetCDF-4 and HDF5 cubes; needs the optional package h5py.

    Wavelengths come from a vector called ``wavelength`` (or ``wavelengths``, ``wl``,
    ``lambda``) with the attribute ``units``, widths from ``fwhm``. A ``scale_factor``
    of an array without a physical unit leads to reflectance; see
    :class:`~torchgeo_hsi.io.CubeReader`. The place comes from the grid mapping or from
    coordinate vectors.

    Args:
        path: The file.
        variable: Name of the array, with its group; needed if there is more than one
            of three dimensions.
        layout: Order of the axes, ``'HWC'`` (rows, columns, bands) or ``'CHW'``, where
            neither names nor sizes tell.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default), or
            of the file's wavelengths where they lack ``units``.
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data, instead of ``_FillValue``.
        scale: Factor from stored numbers to values, instead of ``scale_factor``.

    Raises:
        CorruptFileError: If the file is empty, truncated or not HDF5.
        MetadataError: If it is not clear which array is the cube, which axis is the
            spectral one, or in which unit the wavelengths are.
        ImportError: If h5py is not installed.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        variable: str | None = None,
        layout: str | None = None,
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Initialize a new NetCDFReader instance."""
        name = os.fspath(path)
        self._file = open_hdf5(name)
        try:
            with misleading(name):
                found = arrays(self._file)
                shapes = {key: tuple(value.shape) for key, value in found.items()}
                chosen = choose_cube(shapes, variable, name, 'variable')
                self._array: Any = found[chosen]
                about = _bands(found, chosen)
                known = (
                    about.wavelength if wavelength is None else np.asarray(wavelength)
                )
                self._axes = axes_of(
                    self._array, None if known is None else known.size, layout, name
                )
                axis = spectral_axis(
                    name,
                    self._array.shape[self._axes[0]],
                    about,
                    wavelength=wavelength,
                    wavelength_unit=wavelength_unit,
                    fwhm=fwhm,
                )
                self.info = self._info(name, *axis, nodata, scale)
        except Exception:
            self._file.close()
            raise

    def _info(
        self,
        path: str,
        bands: BandSet | None,
        source: str,
        nodata: float | None,
        scale: float | None,
    ) -> CubeInfo:
        """Collect the metadata."""
        array, root = self._array, self._file.attrs
        count, height, width = (array.shape[axis] for axis in self._axes)
        crs, transform = place_of(self._file, array, self._axes)
        factor, add = scale_of(array) if scale is None else (scale, None)
        if scale is None:
            check_scale(factor, add, count, path)
        gain, offset = uniform(factor, add, count)
        own = reflectance_scale(array) if scale is None else (None, None)
        file_scale, file_offset = declared(*own, count)
        return CubeInfo(
            path=path,
            sensor=text(root.get('instrument')) or 'unknown',
            shape=(count, height, width),
            dtype=array.dtype.name,
            bands=bands,
            nodata=nodata_of(array) if nodata is None else nodata,
            gain=gain,
            offset=offset,
            crs=crs,
            transform=transform,
            start=text(root.get('time_coverage_start')),
            spectral_source=source,
            file_scale=file_scale,
            file_offset=file_offset,
        )

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        rows, columns = window.toslices()
        with damaged(self.info.path):
            return read_axes(self._array, self._axes, indexes, rows, columns)

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._file.close()


def _bands(found: dict[str, Any], cube: str) -> FileBands:
    """Collect what the file says about its bands, in the unit of the centres."""
    shape = found[cube].shape

    def vector(wanted: frozenset[str], size: int | None = None) -> Any:
        for name in find_named(found, wanted, cube):
            array = found[name]
            if array.ndim == 1 and array.size in (shape if size is None else (size,)):
                return array
        return None

    centres = vector(CENTRE_NAMES)
    if centres is None:
        return FileBands()
    widths, good = (vector(names, centres.size) for names in (WIDTH_NAMES, GOOD_NAMES))
    unit = text(centres.attrs.get('units'))
    left_out = None
    if widths is None and find_named(found, WIDTH_NAMES, cube):
        left_out = f'there is not one for each of {centres.size} bands'
    elif widths is not None and text(widths.attrs.get('units')) not in (None, unit):
        # left out rather than mixed up
        widths, left_out = None, 'their unit is not that of the wavelengths'
    return FileBands(
        wavelength=_values(centres),
        unit=unit or None,
        fwhm=None if widths is None else _values(widths),
        left_out=left_out,
        good=None if good is None else _values(good) > 0,
    )


def _values(array: Any) -> FloatArray:
    return np.asarray(few(array), dtype=float)
