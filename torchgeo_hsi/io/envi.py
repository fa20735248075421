# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""ENVI rasters: a binary file with a text header, read window by window."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from .._typing import PathLike
from ..errors import CorruptFileError, MetadataError
from ._envi_header import (
    data_type,
    file_bands,
    find_pair,
    ignore_value,
    integer,
    place_of,
    read_header,
    reflectance_scale,
    scale_of,
)
from ._files import shorten
from ._scale import check_scale, declared, uniform
from ._spectral import spectral_axis
from .base import CubeInfo, CubeReader

#: Axes on disk of each interleave: band, row, column.
_INTERLEAVES = {'bsq': (0, 1, 2), 'bil': (1, 0, 2), 'bip': (2, 0, 1)}


class ENVIReader(CubeReader):
    """Reader of ENVI rasters (BSQ, BIL, BIP).

    The binary file is mapped into memory, so only the pixels of a window are read.
    ``reflectance scale factor`` leads to reflectance; see
    :class:`~torchgeo_hsi.io.CubeReader`.

    Args:
        path: Header or binary file.
        wavelength: Band centres, instead of those of the header.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default), or
            of the header's wavelengths where it lacks ``wavelength units``.
        fwhm: Band widths, instead of those of the header.
        nodata: Value of pixels without data, instead of ``data ignore value``.
        scale: Factor from stored numbers to values, instead of that of the header.

    Raises:
        CorruptFileError: If the header is no header or the binary file is too short.
        BandMismatchError: If there is not one wavelength for each band.
        MetadataError: If the partner file, a needed field or the unit of the
            wavelengths is missing, or the data type is not supported.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Initialize a new ENVIReader instance."""
        header, binary = find_pair(os.fspath(path))
        fields = read_header(header)
        names = ('bands', 'lines', 'samples')
        count, height, width = (integer(fields, name, 0, header) for name in names)
        dtype = data_type(fields, header)
        self._axes = _interleave(fields.get('interleave', 'bsq'), header)
        offset = integer(fields, 'header offset', 0, header)
        self._data: NDArray[Any] | None = _map(
            binary, dtype, offset, (count, height, width), self._axes
        )
        bands, source = spectral_axis(
            header,
            count,
            file_bands(fields, count),
            wavelength=wavelength,
            wavelength_unit=wavelength_unit,
            fwhm=fwhm,
        )
        factor, add = scale_of(fields, header) if scale is None else (scale, None)
        if scale is None:
            check_scale(factor, add, count, header)
        gain, summand = uniform(factor, add, count)
        own = reflectance_scale(fields) if scale is None else None
        crs, transform = place_of(fields)
        self.info = CubeInfo(
            path=binary,
            sensor=fields.get('sensor type', 'unknown'),
            shape=(count, height, width),
            dtype=dtype.newbyteorder('=').name,
            bands=bands,
            nodata=ignore_value(fields, header) if nodata is None else nodata,
            gain=gain,
            offset=summand,
            crs=crs,
            transform=transform,
            start=fields.get('acquisition time'),
            spectral_source=source,
            file_scale=declared(own, None, count)[0],
        )

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        if self._data is None:
            raise CorruptFileError(f'{self.info.path} is closed. Open it again.')
        rows, columns = window.toslices()
        # first the window, which copies nothing, then the bands
        cut = self._data.transpose(self._axes)[:, rows, columns]
        values = cut[indexes]
        return values.astype(values.dtype.newbyteorder('='), copy=False)

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._data = None


def _interleave(name: str, path: str) -> tuple[int, int, int]:
    axes = _INTERLEAVES.get(name.lower())
    if axes is None:
        raise MetadataError(
            f'Expected interleave bsq, bil or bip in {path}, got {shorten(name)!r}. '
            'Correct the header.'
        )
    return axes


def _map(
    path: str,
    dtype: np.dtype[Any],
    offset: int,
    shape: tuple[int, int, int],
    axes: tuple[int, int, int],
) -> NDArray[Any]:
    """Map the binary file into memory, in its own order of axes."""
    if min(shape) < 1 or offset < 0:
        raise MetadataError(
            f'Expected a cube with bands, lines and samples of at least 1 for {path}, '
            f'got {shape} after {offset} bytes. Correct its header, or copy it again.'
        )
    expected = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    actual = os.path.getsize(path)
    if actual < expected:
        raise CorruptFileError(
            f'{path} is truncated: its header says {expected} bytes, the file has '
            f'{actual}. Copy it again, or correct the header.'
        )
    stored = [0, 0, 0]
    for axis, size in zip(axes, shape, strict=True):
        stored[axis] = size
    return np.memmap(path, dtype=dtype, mode='r', offset=offset, shape=tuple(stored))
