# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EMIT L2A surface reflectance.

Facts: the writers of the product (https://github.com/emit-sds/emit-sds-l2a,
https://github.com/emit-sds/emit-utils, https://github.com/emit-sds/emit-sds-masks) and
https://doi.org/10.5067/EMIT/EMITL2ARFL.001.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import MetadataError
from ..physics import BandSet
from ._cf import nodata_of
from ._emit_mask import INTERPOLATED, EMITMask, find_mask
from ._hdf5 import damaged, few, misleading, open_hdf5, text
from ._spectral import FileBands, spectral_axis
from ._swath import LookupTable, gather
from .base import CubeInfo, CubeReader, uniform

#: Arrays that may be the cube of a file.
_CUBES = ('reflectance', 'reflectance_uncertainty')

_TABLES = ('location/glt_x', 'location/glt_y')

_BANDS = 'sensor_band_parameters'

#: Value of pixels without data, where the file does not say.
_NODATA = -9999.0


class EMITL2AReader(CubeReader):
    """Reader of EMIT L2A reflectance on its map grid; needs the package h5py.

    The file holds the image as the instrument saw it, and a lookup table to a grid in
    degrees. The reader shows that grid: for each window, only the part of the image
    below it is read, in pieces of some megabytes. The table takes 4 bytes of memory for
    each map pixel while the file is open (14 to 34 MB).

    Reflectance is stored as a share of 1, so it comes x 10 000. Wavelengths, widths and
    good bands are those of the file. Nothing was retrieved in the bands that the file
    marks as not good (the deep absorption of water vapour, and stored as a small
    negative number), so these come without data.

    A file with the uncertainty (``EMIT_L2A_RFLUNCERT_*.nc``) opens in the same way.

    Quality layers (:meth:`~torchgeo_hsi.io.CubeReader.read_quality`) come from ``EMIT_L2A_MASK_*.nc`` of the same
    orbit and scene, beside the file:

    ================= ===================================================
    name              flags
    ================= ===================================================
    ``cloud``         cloud
    ``cirrus``        dense cirrus
    ``water``         water
    ``spacecraft``    parts of the space station
    ``dilated_cloud`` cloud or cirrus, with a margin for shadows
    ``aggregate``     any of these, or an optical depth of aerosol > 0.5
    ``spectf_cloud``  cloud by the transformer (masks of version 2)
    ``interpolated``  value interpolated in one of the bands read
                      (saturated, or a bad detector pixel)
    ================= ===================================================

    Args:
        path: ``EMIT_L2A_RFL_*.nc``, or a file of the same layout.
        mask: File with the quality layers; that beside *path* by default.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default).
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data, instead of ``_FillValue``.
        scale: Factor from stored numbers to values, instead of 10 000.

    Raises:
        CorruptFileError: If a file is empty, truncated or not HDF5.
        MetadataError: If the file is not of this layout, or *mask* belongs to another
            scene.
        UnitError: If wavelengths are not those of the unit.
        ImportError: If h5py is not installed.

    Example:
        .. code-block:: python

            with EMITL2AReader('EMIT_L2A_RFL_001_20220903T163129_2224611_012.nc') as scene:
                red = scene.info.bands.indices([0.66])
                values, valid = scene.read(red, Window(500, 500, 128, 128))
                cloudy = scene.read_quality(['cloud'], Window(500, 500, 128, 128))
    """

    pixel_interleaved = True

    def __init__(
        self,
        path: PathLike,
        *,
        mask: PathLike | None = None,
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Initialize a new EMITL2AReader instance."""
        name = os.fspath(path)
        self._mask_path = find_mask(name) if mask is None else os.fspath(mask)
        self._mask: EMITMask | None = None
        self._table: LookupTable | None = None
        self._file = open_hdf5(name)
        try:
            with misleading(name):
                self._array = _cube(self._file, name)
                axis = spectral_axis(
                    name,
                    self._array.shape[2],
                    _bands(self._file, name),
                    wavelength=wavelength,
                    wavelength_unit=wavelength_unit,
                    fwhm=fwhm,
                )
                self.info = self._info(name, *axis, nodata, scale)
                if self._mask_path is not None:
                    swath = self._array.shape
                    self._mask = EMITMask(self._mask_path, swath[:2], swath[2])
        except Exception:
            self.close()
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
        attributes = self._file.attrs
        count = self._array.shape[2]
        gain, _ = uniform(1e4 if scale is None else scale, None, count)
        stored = nodata_of(self._array)
        crs, transform = _place(attributes, path)
        height, width = self._file[_TABLES[0]].shape
        return CubeInfo(
            path=path,
            sensor='EMIT',
            shape=(count, height, width),
            dtype=self._array.dtype.name,
            bands=bands,
            nodata=nodata
            if nodata is not None
            else _NODATA
            if stored is None
            else stored,
            gain=gain,
            crs=crs,
            transform=transform,
            start=text(attributes.get('time_coverage_start')),
            spectral_source=source,
            stop=text(attributes.get('time_coverage_end')),
        )

    @property
    def mask_path(self) -> str | None:
        """File with the quality layers, or None."""
        return self._mask_path

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers that the mask of this scene has."""
        return () if self._mask is None else self._mask.layers

    @property
    def band_layers(self) -> tuple[str, ...]:
        """Names of the layers that tell the bands apart."""
        return tuple(name for name in self.quality_layers if name == INTERPOLATED)

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        assert self._mask is not None
        with damaged(self.info.path):
            table = self._lookup()
        return self._mask.read(name, table, window, indexes)

    def lacks_data(self, indexes: Sequence[int]) -> bool:
        """Tell whether nothing was retrieved in any of some bands.

        Args:
            indexes: Bands, from 0.

        Returns:
            True if the file marks all of them as not good.
        """
        bands = self.info.bands
        return bands is not None and not bands.good[list(indexes)].any()

    def _lookup(self) -> LookupTable:
        """Return the lookup table, which is loaded for the first window."""
        if self._table is None:
            x, y = (self._file[name] for name in _TABLES)
            self._table = LookupTable(x, y, self._array.shape[:2], self.info.path)
        return self._table

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        nodata = self.info.nodata
        fill = np.nan if nodata is None else nodata
        with damaged(self.info.path):
            raw = gather(self._array, self._lookup(), window, indexes, fill)
        bands = self.info.bands
        if bands is not None and not bands.good[indexes].all():
            raw[~bands.good[indexes]] = fill
        return raw

    def close(self) -> None:
        """Close the files and drop the lookup table; further reads fail."""
        self._file.close()
        self._table = None
        if self._mask is not None:
            self._mask.close()


def is_emit(file: Any) -> bool:
    """Tell whether an open file has the layout of EMIT L2A.

    Args:
        file: The open ``h5py.File``.

    Returns:
        True if it holds reflectance, or its uncertainty, and a lookup table.
    """
    has_tables = all(name in file for name in _TABLES)
    return has_tables and any(name in file for name in _CUBES)


def _cube(file: Any, path: str) -> Any:
    """Return the array of the cube, after a look at the layout."""
    if not is_emit(file):
        raise MetadataError(
            f'Expected the arrays {" or ".join(_CUBES)}, {_TABLES[0]} and {_TABLES[1]} '
            f'in {path}. It is no EMIT L2A reflectance: open it with NetCDFReader.'
        )
    array = next(file[name] for name in _CUBES if name in file)
    tables = [file[name].shape for name in _TABLES]
    if (
        array.ndim != 3
        or array.dtype.kind not in 'fiu'
        or min(array.shape) < 1
        or len(tables[0]) != 2
        or tables[0] != tables[1]
    ):
        raise MetadataError(
            f'Expected an array (downtrack, crosstrack, bands) and two lookup tables of '
            f'one size in {path}, got {array.shape} of {array.dtype}, {tables[0]} and '
            f'{tables[1]}. Download it again.'
        )
    return array


def _bands(file: Any, path: str) -> FileBands:
    """Collect what the file says about its bands."""
    group = file.get(_BANDS)
    if group is None or 'wavelengths' not in group:
        raise MetadataError(
            f'There are no wavelengths ({_BANDS}/wavelengths) in {path}. Download it '
            'again, or pass its array to NetCDFReader as variable=.'
        )
    found = {
        name: np.asarray(few(group[name]), dtype=float)
        for name in ('wavelengths', 'fwhm', 'good_wavelengths')
        if name in group
    }
    good = found.get('good_wavelengths')
    return FileBands(
        wavelength=found['wavelengths'],
        unit=text(group['wavelengths'].attrs.get('units')) or 'nm',
        fwhm=found.get('fwhm'),
        # the stored type has no room for the fill value, so only 1 means good
        good=None if good is None else good == 1,
    )


def _place(attributes: Any, path: str) -> tuple[CRS, Affine]:
    """Return CRS and transform of the map grid."""
    words = text(attributes.get('spatial_ref'))
    numbers = np.asarray(attributes.get('geotransform', ()), dtype=float).ravel()
    if not words or numbers.size != 6:
        raise MetadataError(
            f'Expected the attributes spatial_ref and geotransform (6 numbers) in '
            f'{path}. Download it again; early files without them are not supported.'
        )
    try:
        return CRS.from_wkt(words), Affine.from_gdal(*numbers.tolist())
    except CRSError as error:
        raise MetadataError(
            f'spatial_ref of {path} is no CRS: {error}. Download it again.'
        ) from error
