# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The text header of ENVI rasters.

Format: https://www.nv5geospatialsoftware.com/docs/ENVIHeaderFiles.html
"""

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import DTypeLike
from rasterio.crs import CRS
from rasterio.errors import CRSError

from .._typing import FloatArray
from ..errors import CorruptFileError, HSIWarning, MetadataError
from ._files import check_file, shorten, siblings
from ._spectral import FileBands, numbers, stated_widths, unreadable

_DTYPES = {
    1: 'u1',
    2: 'i2',
    3: 'i4',
    4: 'f4',
    5: 'f8',
    12: 'u2',
    13: 'u4',
    14: 'i8',
    15: 'u8',
}
_NEEDED = ('samples', 'lines', 'bands', 'data type')

#: Fields of scales begin with these, and lead to reflectance x 10 000 or to radiance.
_SCALED = {'data reflectance': 1e4, 'data': 1.0}

#: Letters of a header that are read: larger files are something else.
_LONGEST = 1 << 24

#: Suffixes of the binary file beside ``name.hdr``, most telling first.
DATA_SUFFIXES = ('', '.img', '.dat', '.bsq', '.bil', '.bip', '.raw', '.bin', '.envi')

type Header = dict[str, str]


def find_pair(path: str) -> tuple[str, str]:
    """Find header and binary file from either of them.

    Args:
        path: Header or binary file.

    Returns:
        Header and binary file.

    Raises:
        MetadataError: If the partner is missing.
    """
    check_file(path)
    files = siblings(path)
    name = os.path.basename(path).lower()
    if name.endswith('.hdr'):
        stem = name.removesuffix('.hdr')
        # NAME.dat.hdr belongs to NAME.dat, NAME.hdr to NAME.dat, NAME.img, ...
        tried = [stem + suffix for suffix in DATA_SUFFIXES]
        for candidate in tried:
            if candidate in files:
                return path, files[candidate]
        raise MetadataError(
            f'There is no binary file beside {path}. Copy it there, under one of the '
            f'names {", ".join(tried)}.'
        )
    for candidate in (f'{name}.hdr', f'{os.path.splitext(name)[0]}.hdr'):
        if candidate in files:
            return files[candidate], path
    raise MetadataError(
        f'There is no header beside {path}. Copy it there, as {name}.hdr or '
        f'{os.path.splitext(name)[0]}.hdr.'
    )


def read_header(path: str) -> Header:
    """Read a header.

    Args:
        path: The ``.hdr`` file.

    Returns:
        Fields by name in lower case; lists keep their commas but lose their braces.

    Raises:
        CorruptFileError: If it is not an ENVI header, or ends within a list.
        MetadataError: If a field without which nothing can be read is missing.
    """
    check_file(path)
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        lines = file.read(_LONGEST).splitlines()
    if not lines or lines[0].strip().upper() != 'ENVI':
        raise CorruptFileError(
            f'{path} is not an ENVI header: its first line has to be "ENVI". Check '
            'that it is the header, or copy it again.'
        )
    fields: Header = {}
    rest = iter(lines[1:])
    for line in rest:
        if line.lstrip().startswith(';') or '=' not in line:
            continue
        key, _, value = line.partition('=')
        value = value.strip()
        if value.startswith('{'):
            value = _whole_list(value, rest, key, path)
        fields[' '.join(key.lower().split())] = value.strip()
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise MetadataError(
            f'{path} lacks {", ".join(missing)}. Add what is missing, or copy the '
            'header again.'
        )
    return fields


def _whole_list(first: str, rest: Iterator[str], key: str, path: str) -> str:
    """Read a list to its end, and take off its braces."""
    parts = [first]
    while '}' not in parts[-1]:
        more = next(rest, None)
        if more is None:
            raise CorruptFileError(
                f'{path} is truncated: the list {shorten(key)!r} does not end. Copy it '
                'again.'
            )
        if not more.lstrip().startswith(';'):
            parts.append(more)
    whole = '\n'.join(parts)
    return whole[1 : whole.index('}')]


def items(fields: Header, name: str) -> list[str]:
    """Return the entries of a list field; empty if there is no such field.

    Args:
        fields: The header.
        name: Name of the field, in lower case.
    """
    text = fields.get(name, '')
    return [' '.join(item.split()) for item in text.split(',')] if text else []


def integer(fields: Header, name: str, default: int, path: str) -> int:
    """Return a whole number.

    Args:
        fields: The header.
        name: Name of the field, in lower case.
        default: Value of a missing field.
        path: The header, for messages.

    Raises:
        MetadataError: If the field is not a whole number.
    """
    text = fields.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise MetadataError(
            f'Expected a whole number as {name!r} in {path}, got {shorten(text)!r}. '
            'Correct the header, or copy it again.'
        ) from None


def real(fields: Header, name: str) -> float | None:
    """Return a number, or None if the field is missing or no number.

    Args:
        fields: The header.
        name: Name of the field, in lower case.
    """
    values = numbers([fields.get(name, '')])
    return None if values is None else float(values[0])


def data_type(fields: Header, path: str) -> np.dtype[Any]:
    """Return the data type on disk, byte order included.

    Args:
        fields: The header.
        path: The header, for messages.

    Raises:
        MetadataError: If the type or the kind of file is not supported.
    """
    code = integer(fields, 'data type', 0, path)
    kind = fields.get('file type', 'ENVI Standard').lower()
    if (
        code not in _DTYPES
        or 'library' in kind
        or fields.get('file compression') == '1'
    ):
        raise MetadataError(
            f'{path} holds data type {code}, file type {kind!r}, file compression '
            f'{fields.get("file compression", "0")}. Supported are uncompressed cubes '
            f'of the real types {", ".join(map(str, _DTYPES))}. Convert the file, or '
            'correct its header.'
        )
    order = '>' if integer(fields, 'byte order', 0, path) else '<'
    spelled: DTypeLike = order + _DTYPES[code]
    return np.dtype(spelled)


def file_bands(fields: Header, count: int) -> FileBands:
    """Return what a header says about its bands.

    Args:
        fields: The header.
        count: Number of bands.

    Returns:
        The bands. Wavelengths come as many as there are, so that too few are noticed
        and not taken for none.
    """
    unit = fields.get('wavelength units')
    if unit is not None and unit.lower() in ('', 'unknown', 'index'):
        unit = None
    good = _column(fields, 'bbl', count)
    listed = items(fields, 'wavelength')
    centres = numbers(listed)
    widths, left_out = stated_widths(items(fields, 'fwhm'))
    return FileBands(
        wavelength=centres,
        unreadable=unreadable(listed) if centres is None else None,
        unit=unit,
        fwhm=widths,
        left_out=left_out,
        good=None if good is None else good > 0,
        names=tuple(items(fields, 'band names')),
    )


def _column(fields: Header, name: str, count: int) -> FloatArray | None:
    """Return a list of numbers; None unless there is one for each band."""
    values = numbers(items(fields, name))
    return values if values is not None and len(values) == count else None


def scale_of(fields: Header, path: str) -> tuple[FloatArray | None, FloatArray | None]:
    """Return gain and offset; warn of a scale that says nothing.

    The reflectance fields lead to reflectance x 10 000, the plain ones to the unit of
    the sensor (usually radiance).

    Args:
        fields: The header.
        path: Its file, for messages.

    Returns:
        Gain and offset, each one value or one for each band, or None.
    """
    factor = reflectance_scale(fields)
    if factor is not None:
        return np.array([1e4 * factor]), None
    _warn_left_out(
        fields,
        path,
        _useless_scales(fields),
        'finite number other than 0. Without it, numbers count as they are stored',
        'scale= (1 if the numbers are right)',
    )
    for prefix, scale in _SCALED.items():
        gain = numbers(items(fields, f'{prefix} gain values'))
        offset = numbers(items(fields, f'{prefix} offset values'))
        if gain is not None or offset is not None:
            return (
                gain * scale if gain is not None else np.array([scale]),
                None if offset is None else offset * scale,
            )
    return None, None


def _useless_scales(fields: Header) -> list[str]:
    """List the scales that say nothing, in a header without a reflectance scale."""
    lists = [f'{kind} {what} values' for kind in _SCALED for what in ('gain', 'offset')]
    left_out = [
        name
        for name in lists
        if fields.get(name) and numbers(items(fields, name)) is None
    ]
    return left_out + (
        ['reflectance scale factor'] if fields.get('reflectance scale factor') else []
    )


def ignore_value(fields: Header, path: str) -> float | None:
    """Return the value of pixels without data; warn of one that is no number.

    NaN and infinity are never data, so nothing is lost with them.

    Args:
        fields: The header.
        path: Its file, for messages.

    Returns:
        A finite number, or None.
    """
    name = 'data ignore value'
    try:
        value = float(fields.get(name) or 'nan')
    except ValueError:
        _warn_left_out(
            fields,
            path,
            [name],
            'number. Without it, all numbers count as data',
            'nodata= (NaN if there is none)',
        )
        return None
    return value if math.isfinite(value) else None


def _warn_left_out(
    fields: Header, path: str, names: Iterable[str], what: str, remedy: str
) -> None:
    """Warn of fields that are left out: pixels would be taken for others, unnoticed."""
    for name in names:
        warnings.warn(
            f'{name!r} of {path} is left out: {shorten(fields[name])!r} is no {what}. '
            f'Correct the header, or pass {remedy}.',
            HSIWarning,
            stacklevel=4,
        )


def reflectance_scale(fields: Header) -> float | None:
    """Return the factor from stored numbers to reflectance, if the header has one.

    Args:
        fields: The header.
    """
    factor = real(fields, 'reflectance scale factor')
    return 1 / factor if factor else None


def place_of(fields: Header) -> tuple[CRS | None, Affine | None]:
    """Return coordinate reference system and transform, as far as they are known.

    Args:
        fields: The header.
    """
    info = items(fields, 'map info')
    corner = numbers(info[1:7]) if len(info) >= 7 else None
    if corner is None:
        return None, None
    column, row, east, north, dx, dy = corner.tolist()
    options = dict(
        item.lower().replace(' ', '').partition('=')[::2]
        for item in info
        if '=' in item
    )
    angle = numbers([options.get('rotation') or 0])
    if angle is None:
        return None, None
    turn = math.radians(float(angle[0]))
    cos, sin = math.cos(turn), math.sin(turn)
    a, b, d, e = dx * cos, dx * sin, dy * sin, -dy * cos
    # the reference pixel counts from 1, at the upper left corner of the pixel
    east += a * (1 - column) + b * (1 - row)
    north += d * (1 - column) + e * (1 - row)
    return _crs(fields, info), Affine(a, b, east, d, e, north)


def _crs(fields: Header, info: list[str]) -> CRS | None:
    text = fields.get('coordinate system string')
    try:
        if text:
            return CRS.from_wkt(text)
        name = info[0].lower()
        datum = ''.join(c for item in info[7:] for c in item.lower() if c.isalnum())
        if 'wgs84' not in datum:
            return None
        if name == 'utm':
            base = 32700 if 'south' in (item.lower() for item in info) else 32600
            return CRS.from_epsg(base + int(info[7]))
        if name.startswith('geographic'):
            return CRS.from_epsg(4326)
    except (CRSError, ValueError):
        return None
    return None
