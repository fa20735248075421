# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Read small GeoTIFFs of many bands at the speed of the disk.

Training reads hundreds of thousands of patches, each once per epoch. GDAL spends much
more time on the bookkeeping of hundreds of bands than on their bytes; here the usual
layouts are read without it. Files are opened and closed by each call, so that nothing
grows over an epoch. To open one large file many times, see
:class:`~torchgeo_hsi.io.GeoTIFFReader`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from .._typing import PathLike
from ..errors import BandMismatchError
from ..physics import BandSet
from ._planes import fill_from_bands, fill_from_pixels, rows_at_once
from ._tiff_blocks import Box, read_pixels, stream_pixels
from ._tiff_layout import COMPRESSIONS, find_layout
from ._tiff_tags import Tags, open_plain
from .geotiff import GeoTIFFReader, open_raster, read_raster


@dataclass(frozen=True)
class TIFFInfo:
    """What a GeoTIFF says about itself; what costs time is read when asked for.

    Args:
        path: The file.
        shape: Bands, rows and columns.
        dtype: Data type on disk, in native byte order.
        nodata: Value of pixels without data, or None.
        interleave: ``'pixel'`` or ``'band'``; which is meaningless with one band.
        compression: ``'deflate'``, ``'zstd'``, ``'lzw'`` …, or None.
        tiled: Whether the file consists of tiles; else of strips.
    """

    path: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    nodata: float | None
    interleave: str
    compression: str | None
    tiled: bool
    _transform: Affine | None = field(default=None, repr=False)
    _has_bands: bool = field(default=True, repr=False)

    @cached_property
    def transform(self) -> Affine | None:
        """Affine transform from (column, row) to map coordinates, or None."""
        found = self._transform
        if found is None:
            with open_raster(self.path, complete=False) as src:
                found = src.transform
        return None if found.is_identity else found

    @cached_property
    def crs(self) -> CRS | None:
        """Coordinate reference system, or None."""
        with open_raster(self.path, complete=False) as src:
            return src.crs

    @cached_property
    def bands(self) -> BandSet | None:
        """Spectral axis that the tags of the bands give, or None.

        Raises:
            MetadataError: If the file gives wavelengths without a unit.
        """
        if not self._has_bands:
            return None
        with GeoTIFFReader(self.path) as reader:
            return reader.info.bands


def tiff_info(path: PathLike) -> TIFFInfo:
    """Read what a GeoTIFF says about itself, in a fraction of the time of GDAL.

    Args:
        path: The file. A path or address that only GDAL understands (``/vsizip/…``,
            ``https://…``) is opened by GDAL.

    Returns:
        The description.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is empty, truncated or no TIFF.
    """
    name = os.fspath(path)
    # a sidecar of GDAL takes precedence over the tags
    if not _is_remote(name) and not os.path.exists(f'{name}.aux.xml'):
        with open_plain(name) as file:
            tags = Tags(file)
            layout = find_layout(tags)
            if layout is not None:
                return TIFFInfo(
                    path=name,
                    shape=layout.shape,
                    dtype=layout.dtype.newbyteorder('='),
                    nodata=layout.nodata,
                    interleave='pixel' if layout.pixel else 'band',
                    compression=COMPRESSIONS[layout.compression],
                    tiled=layout.tiled,
                    _transform=tags.transform(),
                    _has_bands=tags.has_metadata,
                )
    with open_raster(name, complete=False) as src:
        interleave, compression = src.interleaving, src.compression
        return TIFFInfo(
            path=name,
            shape=(src.count, src.height, src.width),
            dtype=np.dtype(src.dtypes[0]),
            nodata=src.nodata,
            interleave='band' if interleave is None else interleave.value.lower(),
            compression=None if compression is None else compression.value.lower(),
            tiled=bool(src.profile['tiled']),
        )


def read_tiff(
    path: PathLike, indexes: Sequence[int] | None = None, window: Window | None = None
) -> NDArray[Any]:
    """Read stored numbers.

    Strips and tiles, interleaved by pixel or by band, uncompressed or with deflate,
    Zstandard, LZW, LZMA or PackBits, with predictors, classic or BigTIFF, of either byte
    order are read without the help of GDAL or with little of it; all else is read by
    GDAL. Of a file with several images (overviews), the first is read.

    Args:
        path: The file. A path or address that only GDAL understands (``/vsizip/…``,
            ``https://…``) is opened by GDAL.
        indexes: Bands, from 0, in any order; all by default.
        window: Rows and columns to read, inside of the image; everything by default.

    Returns:
        Numbers of shape ``(C, H, W)`` in the data type of the file, in memory of their
        own. Where the file is interleaved by pixel, so is the memory
        (*channels last*): :func:`torch.from_numpy` takes it as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is empty, truncated, damaged or no TIFF.
        BandMismatchError: If a band does not exist.
        ValueError: If the window does not lie inside of the image.
    """
    name = os.fspath(path)
    if not _is_remote(name):
        with open_plain(name) as file:
            layout = find_layout(Tags(file))
            if layout is not None:
                bands, box = _request(name, layout.shape, indexes, window)
                return read_pixels(file, layout, bands, box)
    return _read_by_gdal(name, indexes, window)


def read_tiff_float(
    path: PathLike,
    indexes: Sequence[int] | None = None,
    window: Window | None = None,
    nodata: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read pixels as float32: :func:`read_tiff` and :func:`to_float` in one.

    That is faster: uncompressed files that are interleaved by pixel are read a few rows
    at a time, which are converted while they are in the cache of the processor.

    Args:
        path: The file, as for :func:`read_tiff`.
        indexes: Bands, from 0, in any order; all by default.
        window: Rows and columns to read, inside of the image; everything by default.
        nodata: Value of pixels without data, instead of that of the file.

    Returns:
        Values and mask as of :func:`to_float`.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is empty, truncated, damaged or no TIFF.
        BandMismatchError: If a band does not exist.
        ValueError: If the window does not lie inside of the image.
    """
    name = os.fspath(path)
    if not _is_remote(name):
        with open_plain(name) as file:
            layout = find_layout(Tags(file))
            if layout is not None:
                bands, box = _request(name, layout.shape, indexes, window)
                if nodata is None:
                    nodata = layout.nodata
                step = rows_at_once(layout.shape[2], layout.shape[0])
                chunks = stream_pixels(file, layout, bands, box, step)
                if chunks is None:
                    return to_float(read_pixels(file, layout, bands, box), nodata)
                count = layout.shape[0] if bands is None else len(bands)
                values = np.empty((count, *box[2:]), dtype=np.float32)
                valid = np.ones(box[2:], dtype=bool)
                fill_from_pixels(chunks, nodata, values, valid)
                return values, valid
    if nodata is None:
        nodata = tiff_info(name).nodata
    return to_float(_read_by_gdal(name, indexes, window), nodata)


def to_float(
    raw: NDArray[Any], nodata: float | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convert stored numbers to float32, and tell where there is data.

    Crop and select bands first. Nodata is looked for among the stored numbers.

    Args:
        raw: Numbers of shape ``(C, H, W)`` with any layout in memory.
        nodata: Value of pixels without data, or None. NaN and infinity are never data.

    Returns:
        Values, contiguous float32 of shape ``(C, H, W)``, 0 where a band has no data;
        and a boolean mask of shape ``(H, W)`` that is True where all bands have data.

    Raises:
        ValueError: If *raw* does not have three axes.
    """
    if raw.ndim != 3:
        raise ValueError(f'Expected shape (C, H, W), got {raw.shape}.')
    values = np.empty(raw.shape, dtype=np.float32)
    valid = np.ones(raw.shape[1:], dtype=bool)
    if raw.size == 0:
        return values, valid
    if raw.strides[0] < raw.strides[2]:
        pixels = raw.transpose(1, 2, 0)
        step = rows_at_once(*pixels.shape[1:])
        chunks = (pixels[i : i + step] for i in range(0, len(pixels), step))
        fill_from_pixels(chunks, nodata, values, valid)
    else:
        fill_from_bands(raw, nodata, values, valid)
    return values, valid


def _is_remote(name: str) -> bool:
    return name.startswith('/vsi') or '://' in name


def _request(
    name: str,
    shape: tuple[int, int, int],
    indexes: Sequence[int] | None,
    window: Window | None,
) -> tuple[list[int] | None, Box]:
    """Check bands and window; None for all bands in their order."""
    count, height, width = shape
    bands = None if indexes is None else [int(index) for index in indexes]
    if bands is not None:
        if not bands or not (min(bands) >= 0 and max(bands) < count):
            raise BandMismatchError(
                f'Expected bands out of 0 to {count - 1} of {name}, got {bands}.'
            )
        if bands == list(range(count)):
            bands = None
    if window is None:
        return bands, (0, 0, height, width)
    row, col = round(window.row_off), round(window.col_off)
    rows, cols = round(window.height), round(window.width)
    inside = 0 <= row <= height - rows and 0 <= col <= width - cols
    if not inside or rows < 1 or cols < 1:
        raise ValueError(
            f'Expected a window inside of the {height} rows and {width} columns of '
            f'{name}, got {window}.'
        )
    return bands, (row, col, rows, cols)


def _read_by_gdal(
    name: str, indexes: Sequence[int] | None, window: Window | None
) -> NDArray[Any]:
    """Read the pixels of any other file."""
    with open_raster(name, complete=False) as src:
        shape = (src.count, src.height, src.width)
        bands, (row, col, rows, cols) = _request(name, shape, indexes, window)
        if bands is None:
            bands = list(range(src.count))
        return read_raster(src, bands, Window(col, row, cols, rows))
