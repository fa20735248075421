# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a PRISMA file says about its level, bands, scales and place.

Facts: ASI, PRISMA Products Specification Document 2.3 (names of fields and attributes),
and the readers prismaread (IREA-CNR-MI/prismaread), SNAP (senbox-org/optical-toolbox)
and EnMAP-Box (EnMAP-Box/enmap-box).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as transform_points

from .._typing import FloatArray
from ..errors import MetadataError
from ._files import shorten
from ._hdf5 import text

#: Group of all products, with one group for the cubes and one for the panchromatic image.
SWATHS = 'HDFEOS/SWATHS'

#: Levels of the same layout; L2B holds radiance at the ground, which nobody sharpens.
LEVELS = ('1', '2C', '2D')

_LEVEL = re.compile(r'PRS_L(\w+)_(HCO|HRC|HC0)$')

#: Largest number that is stored; it stands for the upper end of the scale.
_FULL = 65535

#: Side of a pixel in metres, of the cubes and of the panchromatic image.
PIXEL, PAN_PIXEL = 30.0, 5.0

#: Panchromatic pixels along the side of a pixel of the cubes.
RATIO = 6

#: Metres by which a corner may be off.
_TOLERANCE = 1.0


def level_of(file: Any) -> str | None:
    """Tell the level of a PRISMA product.

    Args:
        file: The open ``h5py.File``.

    Returns:
        Such as ``'2D'``; None if the file is no product of PRISMA.
    """
    if SWATHS not in file:
        return None
    found = (_LEVEL.match(name) for name in file[SWATHS])
    return next((match[1] for match in found if match), None)


def check_level(file: Any, path: str, levels: Sequence[str]) -> str:
    """Check that a file is a PRISMA product of a level that is wanted.

    Args:
        file: The open ``h5py.File``.
        path: The file, for messages.
        levels: Those that are.

    Returns:
        Its level.

    Raises:
        MetadataError: If it is another file.
    """
    level = level_of(file)
    wanted = ' or '.join(f'L{name}' for name in levels)
    if level is None:
        group = hyperspectral(levels[-1])
        raise MetadataError(
            f'Expected a PRISMA {wanted} product (*.he5 with {group}), got {path}. '
            'Check the file, or download it again.'
        )
    if level not in levels:
        raise MetadataError(
            f'Expected a PRISMA {wanted} product, got level {level} in {path}. Other '
            'levels are in the geometry of the sensor or in other units: order the L2D '
            'of the same scene.'
        )
    return level


def hyperspectral(level: str) -> str:
    """Return the group of the cubes, registered to each other.

    Args:
        level: Level of the product, such as ``'2D'``.
    """
    return f'{SWATHS}/PRS_L{level}_HCO'


def panchromatic(level: str) -> str:
    """Return the group of the panchromatic image, registered to the cubes.

    Args:
        level: Level of the product, such as ``'2D'``.
    """
    return f'{SWATHS}/PRS_L{level}_PCO'


def error_matrix(level: str) -> str:
    """Return how error matrices are called, behind the name of a detector.

    Args:
        level: Level of the product, such as ``'2D'``.
    """
    return f'PIXEL_{"SAT" if level == "1" else "L2"}_ERR_MATRIX'


def field(file: Any, name: str, path: str) -> Any:
    """Return an array of the file.

    Args:
        file: The open ``h5py.File``.
        name: Its full name.
        path: The file, for messages.

    Raises:
        MetadataError: If it is missing.
    """
    if name not in file:
        raise MetadataError(f'There is no {name} in {path}. Download the file again.')
    return file[name]


def vector(attributes: Mapping[str, Any], name: str, count: int, path: str) -> Any:
    """Return an attribute with one number for each band.

    Args:
        attributes: Attributes of the file.
        name: Which one.
        count: Number of bands.
        path: The file, for messages.

    Returns:
        The numbers, shape ``(C,)``.

    Raises:
        MetadataError: If it is missing or has another length.
    """
    values = np.asarray(attributes.get(name, ()), dtype=float).ravel()
    if values.size != count:
        raise MetadataError(
            f'Expected {count} values in the attribute {name} of {path}, one for each '
            f'band, got {values.size}. Download it again.'
        )
    return values


def _number(attributes: Mapping[str, Any], name: str, path: str) -> float:
    try:
        # codes come as numbers and as text
        value = float(text(attributes.get(name)) or 'nothing')
    except ValueError:
        value = float('nan')
    if not np.isfinite(value):
        raise MetadataError(
            f'Expected a number in the attribute {name} of {path}, got '
            f'{attributes.get(name)!r}. Download it again.'
        )
    return value


def scale(
    attributes: Mapping[str, Any], detector: str, path: str, level: str = '2D'
) -> tuple[float, float]:
    """Return gain and offset from stored numbers to values.

    Values are reflectance x 10 000, and of L1 radiance in W/(m2 sr um), which is the
    stored number divided by a factor, less an offset.

    Args:
        attributes: Attributes of the file.
        detector: ``'Vnir'``, ``'Swir'`` or ``'Pan'``.
        path: The file, for messages.
        level: Level of the product.

    Raises:
        MetadataError: If the scale is missing or would make all pixels the same.
    """
    if level == '1':
        name = f'ScaleFactor_{detector}'
        factor = _number(attributes, name, path)
        if factor <= 0:
            raise MetadataError(
                f'Expected a positive {name} in {path}, got {factor:g}. Correct the '
                'file, or pass scale=.'
            )
        return 1 / factor, -_number(attributes, f'Offset_{detector}', path)
    low, high = (
        _number(attributes, f'L2Scale{detector}{end}', path) for end in ('Min', 'Max')
    )
    if high <= low:
        raise MetadataError(
            f'Expected L2Scale{detector}Max above L2Scale{detector}Min in {path}, got '
            f'{high:g} and {low:g}. Correct the file, or pass scale=.'
        )
    return (high - low) / _FULL * 1e4, low * 1e4


def crs(attributes: Mapping[str, Any], path: str) -> CRS:
    """Return the coordinate reference system.

    Args:
        attributes: Attributes of the file.
        path: The file, for messages.

    Raises:
        MetadataError: If the code is missing or unknown.
    """
    code = _number(attributes, 'Epsg_Code', path)
    try:
        return CRS.from_epsg(int(code))
    except CRSError as error:
        raise MetadataError(
            f'Unknown Epsg_Code {code:g} in {path}: {shorten(str(error), 200)}. '
            'Download it again.'
        ) from error


def place(file: Any, shape: tuple[int, int], path: str) -> tuple[CRS, Affine]:
    """Return where the cubes of an L2D product lie; those of others are on no map grid.

    The corners in the attributes are those of the image, but it is nowhere said of
    which point of a pixel: of its centre, says the change log of prismaread. Their
    distance tells: pixels have 30 m, so it is one pixel short of the width for centres
    of the cubes, 5 m short for centres of the panchromatic image, and the whole width
    for outer corners. If it is none of these, latitudes and longitudes are used.

    Args:
        file: The open ``h5py.File``.
        shape: Rows and columns of the cubes.
        path: The file, for messages.

    Returns:
        Coordinate reference system and transform.

    Raises:
        MetadataError: If neither says where the image lies.
    """
    system = crs(file.attrs, path)
    corners = _corners(file.attrs)
    origin = None if corners is None else _origin(corners, shape)
    if origin is None:
        origin = _fitted(file, system)
    if origin is None:
        raise MetadataError(
            f'The corners of {path} do not fit its {shape[0]} x {shape[1]} pixels of '
            f'{PIXEL:g} m, and neither do its latitudes and longitudes. Open it with '
            'GDAL or correct Product_*corner_easting and _northing.'
        )
    return system, Affine(PIXEL, 0.0, origin[0], 0.0, -PIXEL, origin[1])


def finer(transform: Affine, ratio: int) -> Affine:
    """Return the transform of smaller pixels on the same extent.

    Args:
        transform: From (column, row) to map coordinates.
        ratio: Number of small pixels along the side of a large one.
    """
    a, b, c, d, e, f = transform[:6]
    return Affine(a / ratio, b / ratio, c, d / ratio, e / ratio, f)


def _corners(attributes: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north; None if a corner is missing."""
    found = {
        (corner, axis): text(attributes.get(f'Product_{corner}corner_{axis}'))
        for corner in ('UL', 'LR')
        for axis in ('easting', 'northing')
    }
    try:
        west, north, east, south = (float(value or 'none') for value in found.values())
    except ValueError:
        return None
    return west, south, east, north


def _origin(
    corners: tuple[float, float, float, float], shape: tuple[int, int]
) -> tuple[float, float] | None:
    """Return the outer upper left corner; None if the size does not fit."""
    west, south, east, north = corners
    short = shape[1] * PIXEL - (east - west), shape[0] * PIXEL - (north - south)
    for pixel in (PIXEL, PAN_PIXEL, 0.0):
        if max(abs(missing - pixel) for missing in short) <= _TOLERANCE:
            return west - pixel / 2, north + pixel / 2
    return None


def _fitted(file: Any, system: CRS) -> tuple[float, float] | None:
    """Fit the outer upper left corner to the latitudes and longitudes of pixels."""
    group = f'{hyperspectral("2D")}/Geolocation Fields'
    if f'{group}/Latitude' not in file or f'{group}/Longitude' not in file:
        return None
    latitude, longitude = (
        file[f'{group}/{name}'] for name in ('Latitude', 'Longitude')
    )
    height = latitude.shape[0]
    rows = sorted({height // 4, height // 2, 3 * height // 4})
    found: list[FloatArray] = []
    for row in rows:
        lat, lon = (np.asarray(array[row], float) for array in (latitude, longitude))
        # there is nothing outside of the swath
        known = np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) < 90) & (lat != 0)
        columns = np.flatnonzero(known)
        if not columns.size:
            continue
        east, north = transform_points('EPSG:4326', system, lon[known], lat[known])
        west = np.asarray(east) - (columns + 0.5) * PIXEL
        found.append(np.stack([west, np.asarray(north) + (row + 0.5) * PIXEL]))
    offsets = np.concatenate([np.empty((2, 0)), *found], axis=1)
    if not offsets.size or np.ptp(offsets, axis=1).max() > PIXEL:
        return None
    easting, northing = np.median(offsets, axis=1)
    return float(easting), float(northing)
