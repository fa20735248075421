# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What every reader of a hyperspectral file offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray
from ..errors import BandMismatchError
from ..physics import BandSet


@dataclass(frozen=True)
class CubeInfo:
    """Everything about a cube that is known without reading its pixels.

    Args:
        path: File or product folder that was opened.
        sensor: Sensor name (``'EnMAP'``), or ``'unknown'``.
        shape: Bands, rows and columns.
        dtype: Data type on disk.
        bands: The spectral axis, or None where the file carries no wavelengths.
        nodata: Value on disk of pixels without data.
        gain: Factor per band from stored numbers to reflectance x 10 000.
        offset: Summand per band, applied after the gain.
        crs: Coordinate reference system, or None.
        transform: Affine transform from (column, row) to map coordinates, or None.
        start: Start of the acquisition, ISO 8601, or None.
        spectral_source: Where the wavelengths come from: ``'scene'`` (metadata of
            this very file), ``'nominal'`` (table of the sensor), ``'user'`` or
            ``'none'``.
    """

    path: str
    sensor: str
    shape: tuple[int, int, int]
    dtype: str
    bands: BandSet | None
    nodata: float | None
    gain: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    crs: CRS | None = None
    transform: Affine | None = None
    start: str | None = None
    spectral_source: str = 'none'


class CubeReader(ABC):
    """An open hyperspectral file: metadata at once, pixels window by window.

    Use as a context manager. Readers neither import torch nor cache pixels.

    Subclasses set ``info`` and implement ``_read_raw`` and ``close``.

    Units: a file that declares a scale (GDAL scale, gain of EnMAP, reflectance scale
    factor of ENVI, CF ``scale_factor`` without a physical unit) is taken to lead to
    reflectance, so its cubes come as reflectance x 10 000. A file that declares none
    comes with its stored numbers. The option ``scale`` of each reader overrides both.
    """

    info: CubeInfo

    @abstractmethod
    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        """Read stored numbers.

        Args:
            indexes: Bands to read, from 0, all existing.
            window: Integer window that lies inside the file.

        Returns:
            Array of shape ``(C, H, W)`` in the data type of the file.
        """

    def read(
        self, indexes: Sequence[int] | None = None, window: Window | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Read pixels.

        Args:
            indexes: Bands to read, from 0, in any order; all by default.
            window: Rows and columns to read; everything by default. What lies outside
                of the file comes as pixels without data.

        Returns:
            Values, float32 of shape ``(C, H, W)`` with gain and offset applied and 0
            where there is no data; and a boolean mask of the same shape that is True
            where there is data.

        Raises:
            CorruptFileError: If the file is truncated or damaged.
            BandMismatchError: If a band does not exist.
        """
        bands = self._check_indexes(indexes)
        _, height, width = self.info.shape
        if window is None:
            window = Window(0, 0, width, height)
        left, top = round(window.col_off), round(window.row_off)
        columns, rows = round(window.width), round(window.height)
        inner = _clip(left, top, columns, rows, width, height)
        if inner == (left, top, columns, rows):
            return self._to_values(self._read_raw(bands, Window(*inner)), bands)
        values = np.zeros((len(bands), rows, columns), dtype=np.float32)
        valid = np.zeros(values.shape, dtype=bool)
        if inner is not None:
            row, column = inner[1] - top, inner[0] - left
            target = np.s_[:, row : row + inner[3], column : column + inner[2]]
            raw = self._read_raw(bands, Window(*inner))
            values[target], valid[target] = self._to_values(raw, bands)
        return values, valid

    def _check_indexes(self, indexes: Sequence[int] | None) -> list[int]:
        count = self.info.shape[0]
        bands = list(range(count)) if indexes is None else [int(i) for i in indexes]
        if any(not 0 <= band < count for band in bands):
            raise BandMismatchError(
                f'Expected bands 0 to {count - 1} of {self.info.path}, got {bands}.'
            )
        return bands

    def _to_values(
        self, raw: NDArray[Any], bands: list[int]
    ) -> tuple[FloatArray, BoolArray]:
        """Apply gain and offset, and put 0 where there is no data."""
        valid = data_mask(raw, self.info.nodata)
        values: NDArray[np.float32] = raw.astype(np.float32)
        for factors, apply in (
            (self.info.gain, np.multiply),
            (self.info.offset, np.add),
        ):
            if factors is not None:
                column = np.array([factors[b] for b in bands], np.float32)
                apply(values, column[:, None, None], out=values, where=valid)
        if not valid.all():
            np.copyto(values, 0, where=~valid)
        return values, valid

    @abstractmethod
    def close(self) -> None:
        """Close the file; further reads fail."""

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def data_mask(raw: NDArray[Any], nodata: float | None) -> BoolArray:
    """Tell data from nodata; NaN and infinity are never data.

    Args:
        raw: Stored numbers.
        nodata: Value of pixels without data, or None.

    Returns:
        True where there is data.
    """
    floating = np.issubdtype(raw.dtype, np.floating)
    marker = stored_nodata(raw.dtype, nodata)
    if marker is not None and not floating:
        return np.asarray(raw != marker)
    valid: BoolArray = np.isfinite(raw) if floating else np.ones(raw.shape, dtype=bool)
    if marker is not None:
        valid &= raw != marker
    return valid


def stored_nodata(dtype: np.dtype[Any], nodata: float | None) -> Any:
    """Return a nodata value as pixels store it.

    Args:
        dtype: Data type of the pixels.
        nodata: Value of pixels without data, or None.

    Returns:
        The value as a scalar of that data type; None if no pixel can be equal to it.
    """
    if nodata is None or not np.isfinite(nodata):
        return None
    if not np.issubdtype(dtype, np.floating):
        limits = np.iinfo(dtype)
        if nodata != int(nodata) or not limits.min <= nodata <= limits.max:
            return None
        return dtype.type(int(nodata))
    # a float64 tag has to be compared in the precision of the file
    with np.errstate(over='ignore'):
        return dtype.type(nodata)


def uniform(
    gain: ArrayLike | None, offset: ArrayLike | None, count: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Bring gain and offset into the form of :class:`CubeInfo`.

    Args:
        gain: One factor, one for each band, or None.
        offset: One summand, one for each band, or None.
        count: Number of bands.

    Returns:
        One gain and one offset for each band; None where they would do nothing.

    Raises:
        BandMismatchError: If the number of values is neither 1 nor *count*.
    """
    result: list[tuple[float, ...] | None] = []
    for values, neutral in ((gain, 1.0), (offset, 0.0)):
        array = np.atleast_1d(neutral if values is None else np.asarray(values, float))
        if array.shape not in ((1,), (count,)):
            raise BandMismatchError(
                f'Expected 1 or {count} scale values, got shape {array.shape}.'
            )
        full = np.broadcast_to(array, count)
        # a factor such as 0.0001 * 10 000 is 1 up to rounding
        same = np.allclose(full, neutral, rtol=1e-9, atol=1e-12)
        result.append(None if same else tuple(full.tolist()))
    return result[0], result[1]


def _clip(
    left: int, top: int, columns: int, rows: int, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Cut a window to the file; None if nothing is left of it."""
    right, bottom = min(left + columns, width), min(top + rows, height)
    left, top = max(left, 0), max(top, 0)
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top
