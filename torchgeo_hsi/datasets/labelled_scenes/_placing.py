# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels of one pixel grid on another one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS as PROJ_CRS
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.transform import array_bounds

from ..._typing import BoolArray
from ...errors import BandMismatchError, EmptyDataError
from ...io import CubeInfo

if TYPE_CHECKING:
    from .label_map import LabelMap

#: Rows that are looked up at a time, which bounds the memory.
_ROWS = 256

#: Largest difference of two grids, in pixels, that counts as none.
_SAME = 1e-3


def place_labels(labels: 'LabelMap', info: CubeInfo) -> 'LabelMap':
    """Put labels on the pixels of a scene.

    Each pixel takes the code of the pixel that its centre lies in. Where only one of
    them has a georeference, pixels are taken one by one.

    Args:
        labels: The labels, on the pixels of their file.
        info: The scene.

    Returns:
        The labels on the pixels of the scene, with its georeference.

    Raises:
        BandMismatchError: If one of them has no georeference and they differ in size.
        EmptyDataError: If they do not overlap.
    """
    shape = info.shape[1:]
    placed = labels.transform is not None and labels.crs is not None
    if not placed or info.transform is None or info.crs is None:
        if labels.shape != shape:
            lacking = info.path if placed else labels.path
            raise BandMismatchError(
                f'Expected {shape[0]} rows and {shape[1]} columns of labels, as the '
                f'scene has, got {labels.shape[0]} and {labels.shape[1]} in '
                f'{labels.path}; {lacking} has no georeference to tell how they lie '
                'to each other.'
            )
        return replace(labels, crs=info.crs, transform=info.transform)
    assert labels.transform is not None
    if labels.shape == shape and _same_grid(labels, info):
        return replace(labels, crs=info.crs, transform=info.transform)
    codes = np.zeros(shape, dtype=np.int64)
    known = np.zeros(shape, dtype=bool)
    touched = False
    for rows, row, column, inside in _lookup(labels, info):
        touched |= bool(inside.any())
        target = np.zeros(inside.shape, dtype=bool)
        target[inside] = labels.known[row[inside], column[inside]]
        known[rows] = target
        part = np.zeros(inside.shape, dtype=np.int64)
        part[inside] = labels.codes[row[inside], column[inside]]
        codes[rows] = np.where(target, part, 0)
    if not touched:
        bounds = array_bounds(*labels.shape, labels.transform)
        raise EmptyDataError(elsewhere(labels.path, bounds, labels.crs, info))
    return replace(
        labels, codes=codes, known=known, crs=info.crs, transform=info.transform
    )


def elsewhere(path: str, bounds: Any, crs: Any, info: CubeInfo) -> str:
    """Say where labels and a scene lie that do not meet.

    Args:
        path: The labels.
        bounds: West, south, east and north of the labels.
        crs: Coordinate reference system of these bounds.
        info: The scene.

    Returns:
        The message.
    """
    assert info.transform is not None
    own = array_bounds(*info.shape[1:], info.transform)
    return (
        f'The labels of {path} lie outside of the scene {info.path}: they reach from '
        f'{_box(bounds)} in {short_name(crs)}, the scene from {_box(own)} in '
        f'{short_name(info.crs)} (west, south to east, north). Check that both are of '
        'the same place and that their CRS are right.'
    )


def _box(bounds: Any) -> str:
    west, south, east, north = (float(side) for side in bounds)
    return f'{west:.10g}, {south:.10g} to {east:.10g}, {north:.10g}'


def short_name(crs: Any) -> str:
    """Return a code such as EPSG:32633, or the name of a CRS that has none.

    Args:
        crs: Coordinate reference system.
    """
    found = to_pyproj(crs)
    authority = found.to_authority()
    return ':'.join(authority) if authority else str(found.name)


def to_pyproj(crs: Any) -> PROJ_CRS:
    """Convert a CRS.

    Args:
        crs: Of rasterio, pyproj, or a text.

    Returns:
        The same of pyproj.
    """
    if isinstance(crs, CRS):
        # https://pyproj4.github.io/pyproj/stable/crs_compatibility.html#rasterio
        with rasterio.Env(OSR_WKT_FORMAT='WKT2_2018'):
            return PROJ_CRS.from_user_input(crs)
    return PROJ_CRS.from_user_input(crs)


def _same_grid(labels: 'LabelMap', info: CubeInfo) -> bool:
    """Tell whether the corners of equally large grids lie on each other."""
    if to_pyproj(labels.crs) != to_pyproj(info.crs):
        return False
    assert labels.transform is not None
    assert info.transform is not None
    rows, columns = labels.shape
    x, y = np.array([0, columns, 0, columns]), np.array([0, 0, rows, rows])
    east, north = apply_transform(info.transform, x, y)
    right, down = apply_transform(~labels.transform, east, north)
    return bool(max(np.abs(right - x).max(), np.abs(down - y).max()) <= _SAME)


def _lookup(
    labels: 'LabelMap', info: CubeInfo
) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.intp], BoolArray]]:
    """Find the pixel of the labels that the centre of each pixel of a scene lies in.

    Yields:
        Rows of the scene; row and column of the labels; and where there is one.
    """
    assert labels.transform is not None
    assert info.transform is not None
    own, other = to_pyproj(info.crs), to_pyproj(labels.crs)
    convert = None
    if own != other:
        convert = Transformer.from_crs(own, other, always_xy=True)
    height, width = info.shape[1:]
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        y, x = np.mgrid[rows, 0:width] + 0.5
        east, north = apply_transform(info.transform, x, y)
        if convert is not None:
            east, north = convert.transform(east, north)
        right, down = apply_transform(~labels.transform, east, north)
        # points where a projection is not defined come as infinity
        inside = (right >= 0) & (right < labels.shape[1]) & np.isfinite(right)
        inside &= (down >= 0) & (down < labels.shape[0]) & np.isfinite(down)
        column, row = (
            np.where(inside, np.floor(place), 0).astype(np.intp)
            for place in (right, down)
        )
        yield rows, row, column, inside


def apply_transform(
    transform: Affine, x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Apply an affine transform to arrays.

    Args:
        transform: The transform.
        x: First coordinate.
        y: Second coordinate, of the same shape.

    Returns:
        Both coordinates.
    """
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * x + b * y + c, d * x + e * y + f
