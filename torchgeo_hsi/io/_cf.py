# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the CF conventions say about axes, places and scales of an HDF5 array.

Conventions: https://cfconventions.org/cf-conventions/cf-conventions.html
"""

from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from .._typing import FloatArray
from ..errors import MetadataError
from ._arrays import CENTRE_NAMES, check_layout, plain
from ._hdf5 import few, text

_BAND_DIMS = CENTRE_NAMES | {'band', 'bands', 'spectral', 'channel', 'channels'}
_X_DIMS = frozenset(
    {'x', 'lon', 'longitude', 'easting', 'columns', 'cols', 'crosstrack'}
)
_Y_DIMS = frozenset({'y', 'lat', 'latitude', 'northing', 'rows', 'lines', 'downtrack'})
_UNITLESS = frozenset({'', '1', 'none', 'unitless', 'dimensionless', 'reflectance'})

#: Largest difference between steps of a coordinate, in steps, on a regular grid.
_REGULAR = 1e-3


def dimensions(array: Any) -> tuple[str, ...]:
    """Name the dimensions of an array; unnamed ones are empty.

    Args:
        array: Array of h5py.
    """
    names = []
    for dim in array.dims:
        scales = [scale.name for scale in dim.values() if scale.name]
        names.append(plain(scales[0]) if scales else plain(dim.label or ''))
    return tuple(names)


def axes_of(
    array: Any, count: int | None, layout: str | None, path: str
) -> tuple[int, int, int]:
    """Find out which axes are bands, rows and columns.

    Args:
        array: The cube, an array of h5py.
        count: Number of wavelengths in the file, or None.
        layout: ``'HWC'`` or ``'CHW'``, given by the caller, or None.
        path: The file, for messages.

    Returns:
        Axes that are bands, rows and columns.

    Raises:
        MetadataError: If neither names nor sizes tell.
    """
    names = dimensions(array)
    if layout is not None:
        band = 2 if check_layout(layout, path) == 'HWC' else 0
    else:
        band = _band_axis(array.shape, names, count, path)
    first, second = (axis for axis in range(3) if axis != band)
    if names[first] in _X_DIMS or names[second] in _Y_DIMS:
        return band, second, first
    return band, first, second


def _band_axis(
    shape: tuple[int, ...], names: tuple[str, ...], count: int | None, path: str
) -> int:
    by_name = [axis for axis in range(3) if names[axis] in _BAND_DIMS]
    by_size = [axis for axis in range(3) if shape[axis] == count]
    others = [axis for axis in range(3) if names[axis] not in _X_DIMS | _Y_DIMS]
    for found in (by_name, by_size, others):
        if len(found) == 1:
            return found[0]
    raise MetadataError(
        f'It is not clear which axis of {shape} is the spectral one in {path}. Pass '
        "layout='HWC' (rows, columns, bands) or layout='CHW'."
    )


def scale_of(array: Any) -> tuple[float | None, float | None]:
    """Return gain and offset to reflectance x 10 000, or to the array's own unit.

    Args:
        array: The cube, an array of h5py.
    """
    gain, offset = (_number(array, name) for name in ('scale_factor', 'add_offset'))
    if gain is None and offset is None:
        return None, None
    factor = 1e4 if _is_unitless(array) else 1.0
    return (1.0 if gain is None else gain) * factor, (offset or 0.0) * factor


def reflectance_scale(array: Any) -> tuple[float | None, float | None]:
    """Return the factor and summand to reflectance that the file declares, if any.

    Args:
        array: The cube, an array of h5py.
    """
    if not _is_unitless(array):
        return None, None
    return _number(array, 'scale_factor'), _number(array, 'add_offset')


def _is_unitless(array: Any) -> bool:
    return (text(array.attrs.get('units')) or '').lower() in _UNITLESS


def nodata_of(array: Any) -> float | None:
    """Return the value of pixels without data.

    Args:
        array: The cube, an array of h5py.
    """
    for name in ('_FillValue', 'missing_value'):
        value = _number(array, name)
        if value is not None:
            return value
    return None


def _number(array: Any, name: str) -> float | None:
    value = array.attrs.get(name)
    return None if value is None else float(np.asarray(value).flat[0])


def place_of(
    file: Any, array: Any, axes: tuple[int, int, int]
) -> tuple[CRS | None, Affine | None]:
    """Return coordinate reference system and transform, as far as they are known.

    Args:
        file: The open file.
        array: The cube, an array of h5py.
        axes: Axes that are bands, rows and columns.
    """
    mapping = _mapping(file, array)
    attributes = {} if mapping is None else dict(mapping.attrs)
    crs = _crs(attributes)
    y, x = (_coordinate(array, axis) for axis in axes[1:])
    transform = _from_gdal(text(attributes.get('GeoTransform')))
    if transform is None and x is not None and y is not None:
        transform = _from_centres(x[1], y[1])
    units = '' if x is None else x[0]
    if crs is None and units.startswith('degrees_e'):
        # the convention leaves the datum open; WGS 84 is what such files mean
        crs = CRS.from_epsg(4326)
    return crs, transform


def _mapping(file: Any, array: Any) -> Any:
    """Return the variable that describes the projection, or None."""
    named = text(array.attrs.get('grid_mapping'))
    for name in (named, 'spatial_ref', 'crs'):
        for parent in (array.parent, file):
            if name and name in parent:
                return parent[name]
    return None


def _crs(attributes: dict[str, Any]) -> CRS | None:
    for name in ('crs_wkt', 'spatial_ref'):
        wkt = text(attributes.get(name))
        if wkt:
            try:
                return CRS.from_wkt(wkt)
            except CRSError:
                continue
    return None


def _coordinate(array: Any, axis: int) -> tuple[str, FloatArray] | None:
    """Return unit and values of the coordinate of an axis, or None."""
    for scale in array.dims[axis].values():
        # a dimension without a variable is stored as a scale as well
        empty = (text(scale.attrs.get('NAME')) or '').startswith('This is a netCDF dim')
        if scale.ndim == 1 and not empty and scale.dtype.kind in 'fiu':
            unit = (text(scale.attrs.get('units')) or '').lower()
            return unit, np.asarray(few(scale), dtype=float)
    return None


def _from_gdal(words: str | None) -> Affine | None:
    if not words:
        return None
    try:
        return Affine.from_gdal(*(float(word) for word in words.split()))
    except (TypeError, ValueError):
        return None


def _from_centres(x: FloatArray, y: FloatArray) -> Affine | None:
    """Turn centres of pixels into a transform; None unless the grid is regular."""
    steps = []
    for centres in (x, y):
        if len(centres) < 2:
            return None
        step = (centres[-1] - centres[0]) / (len(centres) - 1)
        if step == 0 or np.abs(np.diff(centres) / step - 1).max() > _REGULAR:
            return None
        steps.append(float(step))
    dx, dy = steps
    return Affine(dx, 0.0, float(x[0]) - dx / 2, 0.0, dy, float(y[0]) - dy / 2)
