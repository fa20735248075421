# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is known about a cube without reading its pixels."""

from dataclasses import dataclass
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from ..physics import BandSet


@dataclass(frozen=True, repr=False)
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
        stop: End of the acquisition, ISO 8601, or None.
        file_scale: Factor per band from stored numbers to reflectance as the file
            declares it, also where *gain* is None because nothing changes (0.0001).
        file_offset: Summand per band as the file declares it, applied after the factor;
            None for 0.
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
    stop: str | None = None
    file_scale: tuple[float, ...] | None = None
    file_offset: tuple[float, ...] | None = None

    def __repr__(self) -> str:
        """Summarize the cube in one line."""
        count, height, width = self.shape
        bands = f'{count} bands, no wavelengths' if self.bands is None else self.bands
        place = short_crs(self.crs)
        return (
            f'CubeInfo({self.path}: {self.sensor}, {bands}, {height} x {width} pixels, '
            f'{self.dtype}, {place})'
        )


def short_crs(crs: Any) -> str:
    """Name a coordinate reference system in a word.

    Args:
        crs: Of rasterio or pyproj.

    Returns:
        ``'EPSG:32633'``; ``'CRS without a number'`` or ``'no CRS'`` if it has none.
    """
    if crs is None:
        return 'no CRS'
    try:
        code = crs.to_epsg()
    # those of rasterio and pyproj are one or the other
    except (ValueError, RuntimeError):
        code = None
    return 'CRS without a number' if code is None else f'EPSG:{code}'
