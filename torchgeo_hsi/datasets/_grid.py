# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A scene on the pixel grid of a query: cut out where it fits, warped where not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray
from ..errors import MetadataError
from ..io import CubeInfo, CubeReader
from ._resolution import native_resolution
from ._stored_numbers import keeps_stored

#: Largest difference of two pixel sizes, in pixels over the whole query, that counts
#: as none.
_SAME_SIZE = 0.01

#: Pixels around the window of a warp, so that interpolation sees all its neighbours.
_MARGIN = 2

#: Largest error in pixels of the approximate transformation. GDAL's own 1/8 pixel shows
#: as seams between patches.
_TOLERANCE = 0.001

#: Bands that are warped at a time, which bounds the memory.
_CHUNK = 32

#: Bytes that all bands of a window may take to be read at once: files that are
#: compressed or stored pixel by pixel give all bands in the time of a few.
_WHOLE = 64 * 1024**2


@dataclass(frozen=True)
class Grid:
    """The pixels that a query asks for.

    Args:
        transform: From (column, row) to map coordinates; north is up.
        width: Columns.
        height: Rows.
        crs: Coordinate reference system.
    """

    transform: Affine
    width: int
    height: int
    crs: CRS

    @classmethod
    def from_slices(cls, x: slice, y: slice, crs: CRS) -> 'Grid':
        """Build the grid of a torchgeo query.

        Args:
            x: Start, stop and step to the east.
            y: Start, stop and step to the north.
            crs: Coordinate reference system of the query.
        """
        width = round((x.stop - x.start) / x.step)
        height = round((y.stop - y.start) / y.step)
        transform = Affine(x.step, 0.0, x.start, 0.0, -y.step, y.stop)
        return cls(transform, width, height, crs)


@dataclass(frozen=True)
class Tile:
    """A scene on a grid.

    Args:
        image: Values, float32 of shape ``(C, H, W)``, 0 where there is no data; may be
            int16 or uint8 within :func:`stored_numbers`.
        data: True where every selected band has data, shape ``(H, W)``.
        some: True where any selected band has data, shape ``(H, W)``.
        clear: False where a quality layer flags the pixel, shape ``(H, W)``.
        filled: Whether a band has data anywhere in the window, shape ``(C,)``.
        pan: Panchromatic image of the same extent, float32 of shape ``(1, rH, rW)``
            with a whole number r of pixels in each pixel, or None.
    """

    image: NDArray[Any]
    data: BoolArray
    some: BoolArray
    clear: BoolArray
    filled: BoolArray
    pan: FloatArray | None = None


def read_tile(
    reader: CubeReader, indexes: Sequence[int], grid: Grid, layers: Sequence[str] = ()
) -> Tile | None:
    """Read a scene on a grid.

    Where CRS and pixel size agree, pixels are cut out as they are (nearest neighbour if
    the grid is shifted by a part of a pixel). Elsewhere values are interpolated
    bilinearly between pixels that have data, and masks by the nearest neighbour.

    Args:
        reader: The open scene.
        indexes: Bands, from 0.
        grid: The pixels wanted.
        layers: Quality layers that flag pixels.

    Returns:
        The tile, or None if the scene does not touch the grid.

    Raises:
        MetadataError: If the scene has no georeference.
        CorruptFileError: If a file is damaged.
    """
    if reader.info.transform is None or reader.info.crs is None:
        raise MetadataError(
            f'{reader.info.path} has no georeference. Open it with HSICube.'
        )
    place = aligned_window(reader, grid)
    if place is not None:
        return _cut(reader, list(indexes), place, layers)
    return _warp(reader, list(indexes), grid, layers)


def aligned_window(reader: CubeReader, grid: Grid) -> Window | None:
    """Find a grid in a scene.

    Args:
        reader: The open scene, which has a georeference.
        grid: The pixels wanted.

    Returns:
        The window, which may reach out of the scene; None if the scene has to be
        warped.
    """
    own, wanted = reader.info.transform, grid.transform
    assert own is not None
    size = max(grid.width, grid.height)
    drift = max(
        abs(own.a - wanted.a) / wanted.a,
        abs(own.e - wanted.e) / -wanted.e,
        abs(own.b) / wanted.a,
        abs(own.d) / -wanted.e,
    )
    if drift * size > _SAME_SIZE or reader.info.crs != grid.crs:
        return None
    column = round((wanted.c - own.c) / own.a)
    row = round((wanted.f - own.f) / own.e)
    return Window(column, row, grid.width, grid.height)


def _clip(reader: CubeReader, window: Window) -> Window | None:
    _, height, width = reader.info.shape
    left, top = max(window.col_off, 0), max(window.row_off, 0)
    right = min(window.col_off + window.width, width)
    bottom = min(window.row_off + window.height, height)
    if right <= left or bottom <= top:
        return None
    return Window(left, top, right - left, bottom - top)


def _flags(
    reader: CubeReader, layers: Sequence[str], window: Window, indexes: list[int]
) -> BoolArray:
    """Return True where a quality layer flags the pixel."""
    if not layers:
        return np.zeros((window.height, window.width), dtype=bool)
    return reader.read_quality(layers, window, indexes)


def _cut(
    reader: CubeReader, indexes: list[int], window: Window, layers: Sequence[str]
) -> Tile | None:
    inner = _clip(reader, window)
    if inner is None:
        return None
    cube = reader.read_masked(indexes, window, stored=keeps_stored())
    flagged = np.zeros(cube.every.shape, dtype=bool)
    row, column = inner.row_off - window.row_off, inner.col_off - window.col_off
    flagged[row : row + inner.height, column : column + inner.width] = _flags(
        reader, layers, inner, indexes
    )
    return Tile(
        image=cube.values,
        data=cube.every,
        some=cube.some,
        clear=~flagged,
        filled=cube.filled,
    )


def _warp(
    reader: CubeReader, indexes: list[int], grid: Grid, layers: Sequence[str]
) -> Tile | None:
    window = _source_window(reader, grid)
    if window is None:
        return None
    image = np.zeros((len(indexes), grid.height, grid.width), dtype=np.float32)
    warp = _Warp(reader.info, window, grid)
    size = len(indexes) * window.height * window.width * image.itemsize
    kept = reader.read(indexes, window) if size <= _WHOLE else None
    data, filled = _read_mask(
        reader, indexes, window, None if kept is None else kept[1]
    )
    # interpolate between pixels with data only: sum of weighted values by sum of
    # weights, which GDAL's own nodata does not give for cubes
    weights = warp.bilinear(data[None].astype(np.float32))[0]
    usable = warp.nearest(data) & (weights > 0)
    for start in range(0, len(indexes), _CHUNK):
        part = slice(start, start + _CHUNK)
        values = kept[0][part] if kept else reader.read(indexes[part], window)[0]
        values *= data
        np.divide(warp.bilinear(values), weights, out=image[part], where=usable)
    flagged = warp.nearest(_flags(reader, layers, window, indexes))
    return Tile(
        image=image,
        data=usable & filled.all(),
        some=usable,
        clear=~flagged,
        filled=filled,
    )


def _read_mask(
    reader: CubeReader,
    indexes: list[int],
    window: Window,
    known: BoolArray | None = None,
) -> tuple[BoolArray, BoolArray]:
    """Return where all bands have data, and which bands have any.

    Bands without any data do not count for the first mask: they would make every pixel
    look empty.
    """
    if known is not None:
        filled = known.any(axis=(1, 2))
        return known[filled].all(axis=0) & filled.any(), filled
    data = np.ones((window.height, window.width), dtype=bool)
    filled = np.zeros(len(indexes), dtype=bool)
    for start in range(0, len(indexes), _CHUNK):
        part = slice(start, start + _CHUNK)
        _, valid = reader.read(indexes[part], window)
        filled[part] = valid.any(axis=(1, 2))
        data &= valid[filled[part]].all(axis=0)
    return data & filled.any(), filled


def _source_window(reader: CubeReader, grid: Grid) -> Window | None:
    """Return the pixels of the scene that the grid needs."""
    info = reader.info
    assert info.transform is not None
    bounds = array_bounds(grid.height, grid.width, grid.transform)
    west, south, east, north = transform_bounds(grid.crs, info.crs, *bounds)
    inverse = ~info.transform
    corners = np.array(
        [
            (
                inverse.a * x + inverse.b * y + inverse.c,
                inverse.d * x + inverse.e * y + inverse.f,
            )
            for x in (west, east)
            for y in (south, north)
        ]
    )
    if not np.isfinite(corners).all():
        return None
    low, high = corners.min(axis=0), corners.max(axis=0)
    # where many pixels become one, the interpolation reaches further
    reach = _MARGIN + np.ceil((high - low) / (grid.width, grid.height))
    left, top = (math.floor(v) for v in low - reach)
    right, bottom = (math.ceil(v) for v in high + reach)
    return _clip(reader, Window(left, top, right - left, bottom - top))


class _Warp:
    """Brings a window of a scene onto a grid."""

    def __init__(self, info: CubeInfo, window: Window, grid: Grid) -> None:
        assert info.transform is not None
        a, b, c, d, e, f = info.transform[:6]
        column, row = window.col_off, window.row_off
        c, f = c + a * column + b * row, f + d * column + e * row
        self.origin = Affine(a, b, c, d, e, f)
        self.crs = info.crs
        self.grid = grid
        x, y = native_resolution(info, grid.crs)
        # target pixels by source pixels; GDAL would estimate it from the size of the
        # window, and its kernel with it, so that neighbouring patches would not fit
        self.scale = x / grid.transform.a, y / -grid.transform.e

    def bilinear(self, values: FloatArray) -> NDArray[np.float32]:
        """Interpolate values of shape ``(C, H, W)``."""
        shape = len(values), self.grid.height, self.grid.width
        target = np.zeros(shape, dtype=np.float32)
        self._run(values, target, Resampling.bilinear)
        return target

    def nearest(self, mask: BoolArray) -> BoolArray:
        """Take the nearest pixel of a mask of shape ``(H, W)``."""
        target = np.zeros((self.grid.height, self.grid.width), dtype=np.uint8)
        self._run(mask.astype(np.uint8), target, Resampling.nearest)
        return target > 0

    def _run(
        self, source: NDArray[Any], target: NDArray[Any], resampling: Resampling
    ) -> None:
        reproject(
            source,
            target,
            src_transform=self.origin,
            src_crs=self.crs,
            dst_transform=self.grid.transform,
            dst_crs=self.grid.crs,
            resampling=resampling,
            tolerance=_TOLERANCE,
            XSCALE=self.scale[0],
            YSCALE=self.scale[1],
        )
