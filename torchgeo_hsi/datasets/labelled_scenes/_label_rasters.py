# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Class codes in rasters and arrays, and what files say about them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from ..._typing import BoolArray
from ...errors import CorruptFileError, MetadataError
from ...io import ENVIReader, read_array
from ...io._envi_header import DATA_SUFFIXES, find_pair, items, read_header
from ...io._files import check_file, shorten, siblings
from ...io._gdal import GDAL_ERRORS
from ...io._hdf5 import arrays, misleading, open_hdf5
from ...io._spectral import numbers
from ...io.geotiff import open_raster
from ...io.mat import open_mat
from ...io.open import has_named_arrays
from .label_map import LabelMap

#: Suffixes of rasters that never are the binary file of an ENVI header.
_TIFF = ('.tif', '.tiff')

#: What numpy raises over a header that is none.
_WRONG = (KeyError, TypeError, ValueError)

#: Name of the tag of a raster that holds the names of classes.
_TAG = 'class_names'


def read_raster_labels(path: str, key: str | None) -> LabelMap:
    """Read class codes on the pixels of their file.

    Args:
        path: GeoTIFF, ENVI file, or another raster of one band; ``.npy``, ``.mat``,
            NetCDF or HDF5.
        key: Name of the array in ``.mat``, NetCDF and HDF5 files.

    Returns:
        The labels.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is empty, truncated or damaged.
        MetadataError: If *key* is missing or needless, codes are no whole numbers, or
            the raster has several bands.
    """
    check_file(path)
    if has_named_arrays(path):
        name = _choose_key(path) if key is None else key
        return _from_array(read_array(path, name), f'{name} in {path}')
    if key is not None:
        raise MetadataError(
            f'key={key!r} is for .mat, NetCDF and HDF5 files, which {path} is not.'
        )
    if path.lower().endswith('.npy'):
        return _from_array(_read_npy(path), path)
    return _read_envi(path) if _is_envi(path) else _read_gdal(path)


def _read_npy(path: str) -> NDArray[Any]:
    """Read an array of numbers; objects, which may run code, are refused."""
    try:
        with open(path, 'rb') as file:
            found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return found
    # what is in the place of the header is parsed as Python writes it
    except (EOFError, MemoryError, OSError, SyntaxError, TokenError, *_WRONG) as error:
        raise CorruptFileError(
            f'{path} holds no array of numbers ({shorten(str(error), 200)}). Write it '
            'again with numpy.save.'
        ) from error


def _choose_key(path: str) -> str:
    """Name the only array of two dimensions that can be a label map."""
    if path.lower().endswith('.mat'):
        # MATLAB's version 5 is read as a whole, and has no handle to close
        file, variables, _ = open_mat(path)
        shapes = {name: tuple(a.shape) for name, a in variables.items()}
        if file is not None:
            file.close()
    else:
        with open_hdf5(path) as file, misleading(path):
            shapes = {name: tuple(a.shape) for name, a in arrays(file).items()}
    maps = [n for n, s in shapes.items() if len(s) == 2 and min(s) > 1]
    if len(maps) != 1:
        listing = ', '.join(f'{name} {shape}' for name, shape in shapes.items())
        raise MetadataError(
            f'Expected one label map in {path}, found {len(maps)}. Name it by '
            f'label_key (key=). Arrays: {listing or "none"}.'
        )
    return maps[0]


def _from_array(values: NDArray[Any], path: str) -> LabelMap:
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[:, :, 0]
    if values.ndim != 2:
        raise MetadataError(
            f'Expected a label map of rows and columns in {path}, got shape '
            f'{values.shape}. Choose another array.'
        )
    codes, known = whole_numbers(values, np.ones(values.shape, dtype=bool), path)
    return LabelMap(codes, known, path=path)


def whole_numbers(
    values: NDArray[Any], known: BoolArray, path: str
) -> tuple[NDArray[np.int64], BoolArray]:
    """Turn stored numbers into codes; NaN and infinity are none.

    Args:
        values: Stored numbers.
        known: Where there is data.
        path: The file, for messages.

    Returns:
        Codes, 0 where there is none; and where there is one.

    Raises:
        MetadataError: If a number is not whole, or too large to be told apart.
    """
    if values.dtype.kind == 'f':
        known = known & np.isfinite(values)
        held = np.where(known, values, 0)
        broken = held != np.round(held)
        if broken.any():
            raise MetadataError(
                f'Expected whole numbers as labels in {path}, got '
                f'{float(held[broken][0]):g}. Is this the label map? Choose another '
                'file or array.'
            )
        if np.abs(held).max(initial=0) > 2 ** (np.finfo(held.dtype).nmant + 1):
            raise MetadataError(
                f'{values.dtype} cannot tell the large class codes of {path} apart. '
                'Write the labels as int32 or int64.'
            )
        return held.astype(np.int64), known
    if values.dtype.kind not in 'iub':
        raise MetadataError(
            f'Expected whole numbers as labels in {path}, got {values.dtype}. Write '
            'them as integers.'
        )
    if values.dtype == np.uint64 and values.max(initial=0) > np.iinfo(np.int64).max:
        raise MetadataError(
            f'The class codes of {path} do not fit into int64. Write smaller ones.'
        )
    return np.where(known, values, 0).astype(np.int64), known


def _is_envi(path: str) -> bool:
    suffix = os.path.splitext(path)[1].lower()
    if suffix == '.hdr':
        return True
    if suffix in _TIFF or path.startswith('/vsi'):
        return False
    name = os.path.basename(path).lower()
    stem = name.removesuffix(suffix)
    files = siblings(path)
    return f'{name}.hdr' in files or (
        suffix in DATA_SUFFIXES and f'{stem}.hdr' in files
    )


def _read_envi(path: str) -> LabelMap:
    """Read an ENVI classification file."""
    header = read_header(find_pair(path)[0])
    with ENVIReader(path) as reader:
        info = reader.info
        if info.shape[0] != 1:
            raise _several_bands(path, info.shape[0])
        window = Window(0, 0, info.shape[2], info.shape[1])
        # float32 would mix up large codes
        values, valid = reader._read_values([0], window, np.float64)
    codes, known = whole_numbers(values[0], valid[0], path)
    names = dict(enumerate(items(header, 'class names')))
    parts = numbers([part for part in items(header, 'class lookup') if part])
    lookup = [] if parts is None else parts.astype(int).tolist()
    triples = [lookup[i : i + 3] for i in range(0, len(lookup) - 2, 3)]
    colors = {code: to_hex(triple) for code, triple in enumerate(triples)}
    return LabelMap(codes, known, names, colors, info.crs, info.transform, path)


def _read_gdal(path: str) -> LabelMap:
    """Read a raster that GDAL opens."""
    with open_raster(path) as src:
        alpha = [k for k, kind in enumerate(src.colorinterp) if kind == _ALPHA]
        if src.count - len(alpha) != 1:
            raise _several_bands(path, src.count)
        try:
            raw = src.read(1)
            known = src.read_masks(1) > 0
        except GDAL_ERRORS as error:
            raise CorruptFileError(
                f'{path} is truncated or damaged: its labels cannot be read '
                f'({shorten(str(error), 200)}). Download or copy it again.'
            ) from error
        codes, known = whole_numbers(raw, known, path)
        transform = None if src.transform.is_identity else src.transform
        present = np.unique(codes[known]).tolist()
        names = _names_of(src, path, present)
        return LabelMap(codes, known, names, _colors_of(src), src.crs, transform, path)


_ALPHA = ColorInterp.alpha


def _several_bands(path: str, count: int) -> MetadataError:
    return MetadataError(
        f'Expected a label map of one band in {path}, got {count} bands. Save the one '
        'with the classes alone.'
    )


def _colors_of(src: DatasetReader) -> dict[int, str]:
    try:
        table = src.colormap(1)
    except ValueError:
        # there is none
        return {}
    return {code: to_hex(color[:3]) for code, color in table.items()}


def to_hex(color: Sequence[int]) -> str:
    """Write a color as text.

    Args:
        color: Red, green and blue from 0 to 255.

    Returns:
        The color as ``'#rrggbb'``.
    """
    return '#' + ''.join(f'{min(max(int(part), 0), 255):02x}' for part in color)


def _names_of(src: DatasetReader, path: str, present: Sequence[int]) -> dict[int, str]:
    """Find names in the tags of file or band, or beside the file."""
    for tags in (src.tags(1), src.tags()):
        for name, text in tags.items():
            if name.lower() == _TAG and text.strip():
                return parse_names(text, present, path)
    return _categories(f'{path}.aux.xml')


def parse_names(text: str, present: Sequence[int], path: str) -> dict[int, str]:
    """Read the names of classes from a tag.

    Args:
        text: JSON object from code to name, JSON list, or names between semicolons,
            else commas.
        present: Codes that occur, sorted.
        path: The file, for messages.

    Returns:
        Name by code. Names of a list belong to the codes 0, 1 ..., or to 1, 2 ... if
        the largest code is their number.

    Raises:
        MetadataError: If the tag cannot be read.
    """
    stripped = text.strip()
    if stripped[0] in '{[':
        try:
            found = json.loads(stripped)
            if isinstance(found, dict):
                return {int(code): str(name) for code, name in found.items()}
        except (ValueError, RecursionError) as error:
            raise MetadataError(
                f'The tag {_TAG} of {path} cannot be read ({shorten(str(error), 200)}). '
                'Write a JSON object from code to name, or names between semicolons.'
            ) from error
        names = [str(name) for name in found]
    else:
        mark = ';' if ';' in stripped else ','
        names = [name.strip() for name in stripped.split(mark)]
    first = 1 if max(present, default=0) == len(names) else 0
    return dict(enumerate(names, start=first))


def _categories(path: str) -> dict[int, str]:
    """Read the categories that GDAL keeps beside a raster."""
    if not Path(path).is_file():
        return {}
    try:
        root = parse(path).getroot()
    except (ParseError, DefusedXmlException, LookupError, OSError, ValueError) as error:
        raise CorruptFileError(
            f'{path} is damaged ({shorten(str(error), 200)}). Remove it, or copy it again.'
        ) from error
    names = None if root is None else root.find('./PAMRasterBand/CategoryNames')
    found = [] if names is None else names.findall('Category')
    return {k: (entry.text or '').strip() for k, entry in enumerate(found)}
