# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What every reader of a hyperspectral file offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray
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

    Use as a context manager. Readers neither import torch nor keep pixels.
    """

    info: CubeInfo

    @abstractmethod
    def read(
        self, indexes: Sequence[int] | None = None, window: Window | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Read pixels.

        Args:
            indexes: Bands to read, from 0, in any order; all by default.
            window: Rows and columns to read; everything by default.

        Returns:
            Values, float32 of shape ``(C, H, W)`` with gain and offset applied and 0
            where there is no data; and a boolean mask of the same shape that is True
            where there is data.

        Raises:
            CorruptFileError: If the file is truncated or damaged.
            BandMismatchError: If a band does not exist.
        """

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
