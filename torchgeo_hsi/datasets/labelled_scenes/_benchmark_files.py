# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of the standard benchmarks, under the names that are in circulation."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import PathLike
from ...errors import BandMismatchError, CorruptFileError, MetadataError
from ...io.mat import open_mat
from ._label_rasters import read_raster_labels

#: Suffixes that are looked for, best first: a ``.hdr`` may describe a ``.tif``.
_SUFFIXES = ('.mat', '.tif', '.tiff', '.hdr', '.npy', '.txt')

#: Folders below the root that are searched.
_DEPTH = 2


@dataclass(frozen=True)
class ScenePart:
    """One of the files of a benchmark.

    Args:
        names: Names without suffix under which it is in circulation; case, hyphens and
            underscores do not matter.
        keys: Names of the array in ``.mat`` files.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...] = ()


def find_part(root: PathLike, part: ScenePart) -> str | None:
    """Find a file.

    Args:
        root: Folder to search, with two levels of folders below.
        part: Names of the file.

    Returns:
        Its path; None if there is none.

    Raises:
        MetadataError: If there are several of the same kind.
    """
    wanted = {plain(name) for name in part.names}
    found: dict[str, list[str]] = {}
    top = os.fspath(root)
    for folder, folders, names in os.walk(top):
        depth = os.path.relpath(folder, top).count(os.sep) + (folder != top)
        folders[:] = sorted(folders) if depth < _DEPTH else []
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in _SUFFIXES and plain(stem) in wanted:
                found.setdefault(suffix.lower(), []).append(os.path.join(folder, name))
    for suffix in _SUFFIXES:
        if len(found.get(suffix, ())) > 1:
            raise MetadataError(
                f'Expected one file {part.names[0]}{suffix} in {top}, found '
                f'{", ".join(found[suffix])}. Name the folder of one of them (root=).'
            )
        if suffix in found:
            return found[suffix][0]
    return None


def plain(name: str) -> str:
    """Reduce a name to letters and digits.

    Args:
        name: Name of a file, without suffix.
    """
    return re.sub(r'[^a-z0-9]', '', name.lower())


def choose_key(path: str, keys: Sequence[str], shape: tuple[int, ...]) -> str | None:
    """Choose the array of a ``.mat`` file.

    Args:
        path: The file.
        keys: Names that are in circulation; the only array of the expected shape is
            taken if none of them is there.
        shape: Expected shape, for files with other names.

    Returns:
        Name of the array; None for other files.

    Raises:
        MetadataError: If it is not clear which array it is.
    """
    if not path.lower().endswith('.mat'):
        return None
    file, variables, reverse = open_mat(path)
    # MATLAB states the axes the other way than HDF5
    shapes = {
        name: tuple(array.shape[::-1] if reverse else array.shape)
        for name, array in variables.items()
    }
    if file is not None:
        file.close()
    folded = {name.lower(): name for name in shapes}
    named = [folded[key.lower()] for key in keys if key.lower() in folded]
    fitting = named[:1] or [name for name in shapes if shapes[name] == shape]
    if len(fitting) != 1:
        listing = ', '.join(f'{name} {found}' for name, found in shapes.items())
        raise MetadataError(
            f'Expected an array {" or ".join(keys) or "of labels"} or one of shape '
            f'{shape} in {path}. Arrays: {listing or "none"}.'
        )
    return fitting[0]


def read_plane(
    path: str, keys: Sequence[str], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Read class codes.

    Args:
        path: ``.mat``, raster, or list of regions of interest (``.txt``).
        keys: Names of the array in ``.mat`` files.
        shape: Expected rows and columns.

    Returns:
        Codes of that shape, 0 for none.

    Raises:
        BandMismatchError: If the shape is another one.
    """
    if path.lower().endswith('.txt'):
        return read_regions(path, shape)
    codes = read_raster_labels(path, choose_key(path, keys, shape)).codes
    if codes.shape != shape:
        raise BandMismatchError(
            f'Expected {shape[0]} rows and {shape[1]} columns of labels in {path}, got '
            f'{codes.shape[0]} and {codes.shape[1]}. Is it the file of another scene?'
        )
    return codes


def read_regions(path: str, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Read regions of interest that ENVI wrote as text; the first one is class 1.

    ENVI counts columns and rows from 1.

    Args:
        path: The file.
        shape: Rows and columns of the image.

    Returns:
        Number of the region of each pixel, 0 for none.

    Raises:
        CorruptFileError: If it is no such file, or cut off.
        BandMismatchError: If it belongs to an image of another size.
    """
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = file.read().splitlines()
    if not lines or 'roi' not in lines[0].lower():
        raise CorruptFileError(
            f'{path} is no list of regions (ROIs) of ENVI, whose first line says so. '
            'Save the regions as ASCII in ENVI, or pass a raster of labels.'
        )
    try:
        sizes, stated, place = _parse_regions(lines)
    # words where numbers belong, and lines that end early
    except (ValueError, IndexError, OverflowError) as error:
        raise CorruptFileError(
            f'{path} is a damaged or truncated list of regions ({error}). Download or '
            'copy it again.'
        ) from error
    if stated is not None and stated != shape:
        raise BandMismatchError(
            f'Expected regions of {shape[0]} rows and {shape[1]} columns in {path}, got '
            f'{stated[0]} and {stated[1]}. Is it the file of another scene?'
        )
    if len(place) != sum(sizes):
        raise CorruptFileError(
            f'{path} is truncated: expected {sum(sizes)} points, got {len(place)}. '
            'Download or copy it again.'
        )
    inside = (place >= 0).all() and (place < np.array(shape)).all()
    if not inside:
        raise BandMismatchError(
            f'{path} holds points outside of {shape[0]} rows and {shape[1]} columns. Is '
            'it the file of another scene?'
        )
    codes = np.zeros(shape, dtype=np.int64)
    codes[place[:, 0], place[:, 1]] = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    return codes


def _parse_regions(
    lines: Sequence[str],
) -> tuple[list[int], tuple[int, int] | None, NDArray[np.int64]]:
    """Return points of each region, rows and columns if stated, and all points."""
    heads = [line[1:].strip() for line in lines if line.startswith(';')]
    sizes = [int(head.split(':')[1]) for head in heads if head.startswith('ROI npts')]
    if any(size < 0 for size in sizes):
        raise ValueError(f'a region of {min(sizes)} points')
    stated = None
    for head in heads:
        if head.startswith('File Dimension'):
            columns, rows = (int(part) for part in re.findall(r'\d+', head)[:2])
            stated = rows, columns
            break
    points = [line.split() for line in lines if line.strip() and line[0] != ';']
    found = np.array([[float(point[2]), float(point[1])] for point in points])
    if not np.isfinite(found).all():
        raise ValueError('a point is not a number')
    # far outside of any image, and still a whole number
    found = found.reshape(-1, 2).clip(-(2**40), 2**40)
    return sizes, stated, found.astype(np.int64) - 1


def check_hash(path: str, expected: str) -> None:
    """Compare a file with the one that is known.

    Args:
        path: The file.
        expected: Its SHA-256.

    Raises:
        CorruptFileError: If it is another file.
    """
    with open(path, 'rb') as stream:
        found = hashlib.file_digest(stream, 'sha256').hexdigest()
    if found != expected:
        raise CorruptFileError(
            f'{path} is not the file that is known under this name: expected SHA-256 '
            f'{expected}, got {found}. It is damaged or another edition; download it '
            'again, or pass checksum=False.'
        )
