# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write rasters of any size as Cloud Optimized GeoTIFF, window by window."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import OutputError
from ..physics import BandSet
from ._band_tags import check_bands, write_class_tags, write_spectral_tags
from ._cog_options import check_cog_options, cog_block, creation_options, work_block
from ._gdal import check_blocks
from ._raster_extras import RasterExtras, write_extras
from ._scale import declared
from ._writer import AtomicWriter, open_scratch


class CubeWriter(AtomicWriter):
    """Write a raster of any size window by window; the result is a valid COG.

    Windows may come in any order; what is never written becomes *nodata*. Everything
    happens in a hidden folder beside *path*, and only a complete, checked file is
    moved to *path*, in one step: whatever goes wrong, there is either the old file or
    the new one. Memory does not grow with the raster; the disk has to hold it twice.

    Args:
        path: File to write.
        shape: Bands, rows and columns.
        dtype: Data type on disk.
        crs: Coordinate reference system, in any form that rasterio understands.
        transform: Affine transform from (column, row) to map coordinates.
        nodata: Value of pixels without data.
        bands: Spectral axis; written as the band tags ``wavelength``, ``fwhm``,
            ``bbl`` and ``wavelength_units`` (micrometers), as ``CENTRAL_WAVELENGTH_UM``
            and ``FWHM_UM`` of GDAL's ``IMAGERY`` domain, and as band descriptions.
        descriptions: Band descriptions; the names of *bands* by default.
        colormap: Colors by class code, for one band of uint8 or uint16.
        class_names: Names by class code; written as JSON to the tag ``class_names``
            of the first band.
        scale: Factor from stored numbers to values, as band metadata; one number, or
            one for each band.
        offset: Summand after the factor, in the same way.
        tags: More tags of the file.
        extras: Tags, ground control points and the like of another raster; *tags* and
            *bands* go before them.
        compress: Compression: ``'deflate'``, ``'lzw'``, ``'zstd'``, ``'lzma'`` or
            ``'none'``.
        overview_resampling: Resampling of the overviews, e.g. ``'nearest'``;
            ``'mode'`` for classes and ``'average'`` for cubes by default. Nodata never
            takes part.
        overwrite: Whether an existing file may be replaced.
        cache_mb: Bound of GDAL's block cache in MiB.

    Raises:
        OutputError: If the file exists and *overwrite* is False, or cannot be created.
        BandMismatchError: If *bands*, *descriptions*, *colormap*, *scale* or *offset*
            do not fit *shape*.
        ValueError: If *compress* or *overview_resampling* does not exist.

    Example:
        >>> import numpy as np
        >>> from rasterio.windows import Window
        >>> with CubeWriter('/tmp/cube.tif', (2, 4, 4), 'int16', overwrite=True) as out:
        ...     out.write(Window(0, 0, 4, 2), np.ones((2, 2, 4), 'int16'))
    """

    def __init__(
        self,
        path: PathLike,
        shape: tuple[int, int, int],
        dtype: str | np.dtype[Any],
        crs: Any = None,
        transform: Affine | None = None,
        nodata: float | None = None,
        *,
        bands: BandSet | None = None,
        descriptions: Sequence[str] | None = None,
        colormap: Mapping[int, tuple[int, ...]] | None = None,
        class_names: Mapping[int, str] | None = None,
        scale: float | Sequence[float] = 1.0,
        offset: float | Sequence[float] = 0.0,
        tags: Mapping[str, str] | None = None,
        extras: RasterExtras | None = None,
        compress: str = 'deflate',
        overview_resampling: str | None = None,
        overwrite: bool = False,
        cache_mb: int = 64,
    ) -> None:
        """Initialize a new CubeWriter instance; see the class for the arguments."""
        self.path = Path(path)
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.nodata = nodata
        self.cache_mb = cache_mb
        categorical = colormap is not None or class_names is not None
        self.compress, self.resampling = check_cog_options(
            compress, overview_resampling or ('mode' if categorical else 'average')
        )
        names = descriptions or (bands.names if bands else None)
        check_bands(shape[0], self.dtype, names, bands, colormap)
        _check_free(self.path, overwrite)
        self._scratch = open_scratch(self.path)
        self._side = work_block(shape[0])
        blocks = [math.ceil(size / self._side) for size in shape[1:]]
        self._filled = np.zeros((shape[0], *blocks), dtype=bool)
        with self._guard():
            self._dataset = self._create(crs, transform)
            if extras is not None:
                write_extras(self._dataset, extras, bands is not None)
            self._describe(names, tags, *declared(scale, offset, shape[0]))
            write_spectral_tags(self._dataset, bands)
            write_class_tags(self._dataset, colormap, class_names, nodata)

    def _describe(
        self,
        names: Sequence[str] | None,
        tags: Mapping[str, str] | None,
        scales: tuple[float, ...] | None,
        offsets: tuple[float, ...] | None,
    ) -> None:
        for i, name in enumerate(names or (), start=1):
            self._dataset.set_band_description(i, name)
        self._dataset.update_tags(**(tags or {}))
        if scales is not None:
            self._dataset.scales, self._dataset.offsets = scales, offsets

    def write(
        self, window: Window, array: NDArray[Any], mask: BoolArray | None = None
    ) -> None:
        """Write one window.

        Args:
            window: Rows and columns to write, inside the raster.
            array: Values of shape ``(C, h, w)``, or ``(h, w)`` for one band, in the
                data type of the file.
            mask: True where there are data, shape ``(h, w)``, besides the nodata value;
                for all windows or for none.

        Raises:
            OutputError: If the writer is closed, the window leaves the raster, the
                array does not fit the window or type, or the disk is full. The file
                is given up then; nothing of it is left behind.
        """
        array = array[np.newaxis] if array.ndim == 2 else array
        row, col = int(window.row_off), int(window.col_off)
        height, width = int(window.height), int(window.width)
        with self._guard():
            if array.shape != (self.shape[0], height, width) or not (
                0 <= row <= row + height <= self.shape[1]
                and 0 <= col <= col + width <= self.shape[2]
            ):
                raise OutputError(
                    f'Expected {self.shape[0]} bands in a window inside '
                    f'{self.shape[1]} x {self.shape[2]} pixels, got an array of shape '
                    f'{array.shape} at row {row}, column {col}.'
                )
            if array.dtype != self.dtype:
                raise OutputError(
                    f'Expected an array of {self.dtype}, got {array.dtype}. Scale, '
                    'round and convert it first.'
                )
            place = Window(col, row, width, height)
            self._dataset.write(array, window=place)
            if mask is not None:
                with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                    self._dataset.write_mask(mask, window=place)
            self._mark(array, row, col)

    def close(self) -> None:
        """Build the overviews and the COG, check it, and move it to its name.

        Raises:
            OutputError: If anything could not be written, e.g. on a full disk. Nothing
                half-written is left behind then.
        """
        if self._scratch is None:
            return
        with self._guard():
            work, cog = self._scratch.path / 'work.tif', self._scratch.path / 'cog.tif'
            self._dataset.close()
            check_blocks(work, self._filled)
            self._build_overviews(work)
            self._to_cog(work, cog)
            work.unlink()
            check_blocks(cog)
            # a network or quota file system may report a failed write only here
            with open(cog, 'rb+') as file:
                os.fsync(file.fileno())
            os.replace(cog, self.path)
        self._release()

    def _close_rasters(self) -> None:
        if hasattr(self, '_dataset') and not self._dataset.closed:
            self._dataset.close()

    def _create(self, crs: Any, transform: Affine | None) -> Any:
        assert self._scratch is not None
        count, height, width = self.shape
        # uncompressed, so that a block can be written twice without leaving a hole;
        # sparse, so that a mosaic of distant scenes takes no space between them
        return rasterio.open(
            self._scratch.path / 'work.tif',
            'w',
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=self.dtype,
            crs=None if crs is None else CRS.from_user_input(crs),
            transform=transform,
            nodata=self.nodata,
            tiled=True,
            blockxsize=self._side,
            blockysize=self._side,
            interleave='band',
            BIGTIFF='IF_SAFER',
            SPARSE_OK=True,
        )

    def _mark(self, array: NDArray[Any], row: int, col: int) -> None:
        # remembers which blocks must exist in the file: GDAL leaves out those that
        # hold nothing but nodata (0 where there is none)
        nodata = 0 if self.nodata is None else self.nodata
        empty = np.isnan(array) if np.isnan(nodata) else array == nodata
        height, width = array.shape[1:]
        for i in range(row // self._side, math.ceil((row + height) / self._side)):
            for j in range(col // self._side, math.ceil((col + width) / self._side)):
                top, left = max(i * self._side - row, 0), max(j * self._side - col, 0)
                bottom, right = (i + 1) * self._side - row, (j + 1) * self._side - col
                part = empty[:, top:bottom, left:right]
                self._filled[:, i, j] |= ~part.all(axis=(1, 2))

    def _build_overviews(self, work: Path) -> None:
        # the COG driver would build them for all bands at once, which takes several
        # times as long with hundreds of bands
        factors: list[int] = []
        while max(self.shape[1:]) > cog_block(self.shape[0]) << len(factors):
            factors.append(2 << len(factors))
        if factors:
            with rasterio.open(work, 'r+') as dataset:
                dataset.build_overviews(factors, self.resampling)

    def _to_cog(self, work: Path, cog: Path) -> None:
        options = creation_options(self.shape[0], self.compress, self.resampling)
        rasterio.shutil.copy(work, cog, driver='COG', **options)


def write_cog(
    path: PathLike,
    array: NDArray[Any],
    crs: Any = None,
    transform: Affine | None = None,
    nodata: float | None = None,
    **options: Any,
) -> Path:
    """Write an array as Cloud Optimized GeoTIFF.

    Args:
        path: File to write.
        array: Values of shape ``(C, H, W)`` or ``(H, W)``.
        crs: Coordinate reference system.
        transform: Affine transform from (column, row) to map coordinates.
        nodata: Value of pixels without data.
        **options: Further arguments of :class:`CubeWriter`.

    Returns:
        The path of the file.

    Raises:
        OutputError: If the file exists and is not to be overwritten, or cannot be
            written.
        BandMismatchError: If *bands* or *colormap* do not fit the array.
    """
    array = array[np.newaxis] if array.ndim == 2 else array
    count, height, width = array.shape
    shape = (count, height, width)
    side = work_block(count)
    with CubeWriter(path, shape, array.dtype, crs, transform, nodata, **options) as out:
        for row in range(0, height, side):
            rows = array[:, row : row + side]
            out.write(Window(0, row, width, rows.shape[1]), rows)
    return Path(path)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputError(
            f'{path} exists already. Choose another path, or pass overwrite=True.'
        )
