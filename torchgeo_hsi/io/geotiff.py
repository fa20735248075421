# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""GeoTIFF and cloud-optimised GeoTIFF, with the spectral tags that GDAL files carry."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio._env import del_gdal_config  # nowhere public
from rasterio.env import get_gdal_config
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import CorruptFileError, MetadataError
from ..physics import BandSet
from ._files import check_file, shorten
from ._gdal import GDAL_ERRORS, gdal_errors, unplaced
from ._raster_extras import RasterExtras, read_extras
from ._raster_mask import RasterMask
from ._scale import check_scale, declared, uniform
from ._spectral import FileBands, numbers, spectral_axis, stated_widths, unreadable
from ._tiff_regions import Put, TIFFRegions
from .base import CubeInfo, CubeReader

#: Names under which files keep the same thing, in lower case.
_WAVELENGTH = ('wavelength', 'wavelengths')
_UNIT = ('wavelength_units', 'wavelength_unit', 'wavelength units')

#: Bytes of a block up to which nothing has to be checked.
_SMALL_BLOCK = 1 << 24

_READDIR = 'GDAL_DISABLE_READDIR_ON_OPEN'


class GeoTIFFReader(CubeReader):
    """Reader of any raster that GDAL opens, made for GeoTIFF and COG.

    Wavelengths come from the tags of each band (``wavelength``, ``fwhm``, ``bbl``,
    ``wavelength_units``, as the EnMAP-Box writes them), from the ``IMAGERY`` metadata
    of GDAL 3.10 (``CENTRAL_WAVELENGTH_UM``, ``FWHM_UM``), or from the ENVI fields of
    the whole file. A GDAL scale and offset lead to reflectance; see
    :class:`~torchgeo_hsi.io.CubeReader`. Pixels that a mask leaves out have no data,
    be it a mask in the file, in a ``.msk`` file beside it, or an alpha band.

    Args:
        path: The file.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default), or
            of the file's wavelengths where the file does not say.
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data, instead of that of the file.
        scale: Factor from stored numbers to values, instead of that of the file.

    Raises:
        CorruptFileError: If the file is empty, truncated or no raster.
        MetadataError: If the file gives wavelengths without a unit.
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
        """Initialize a new GeoTIFFReader instance."""
        name = os.fspath(path)
        self._src = open_raster(name)
        self._regions = TIFFRegions(self._src)
        src = self._src
        try:
            with gdal_errors(name):
                axis = spectral_axis(
                    name,
                    src.count,
                    read_tags(src),
                    wavelength=wavelength,
                    wavelength_unit=wavelength_unit,
                    fwhm=fwhm,
                )
                self._mask = RasterMask(src, alpha=axis[0] is None)
                self.mask_bands = self._mask.bands
                self.info = self._info(name, *axis, nodata, scale)
        except Exception:
            src.close()
            raise

    def _info(
        self,
        name: str,
        bands: BandSet | None,
        source: str,
        nodata: float | None,
        scale: float | None,
    ) -> CubeInfo:
        """Collect the metadata."""
        src = self._src
        gain, offset = raster_scale(src, scale)
        own = file_scale(src, scale)
        has_place = not src.transform.is_identity
        return CubeInfo(
            path=name,
            sensor='unknown',
            shape=(src.count, src.height, src.width),
            dtype=src.dtypes[0],
            bands=bands,
            nodata=src.nodata if nodata is None else nodata,
            gain=gain,
            offset=offset,
            crs=src.crs,
            transform=src.transform if has_place else None,
            start=start_time(src),
            spectral_source=source,
            file_scale=own[0],
            file_offset=own[1],
        )

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        return read_raster(self._src, indexes, window)

    def _read_mask(self, window: Window) -> BoolArray | None:
        return self._mask.read(window)

    def _extras(self) -> RasterExtras:
        """Return tags, ground control points and the like."""
        return read_extras(self._src, self.mask_bands)

    def _read_parts(self, indexes: list[int], window: Window, put: Put) -> None:
        box = window.row_off, window.col_off, window.height, window.width
        if not self._regions.read(indexes, box, put):
            super()._read_parts(indexes, window, put)

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._src.close()


def open_raster(path: str, *, complete: bool = True) -> DatasetReader:
    """Open a raster, and say what is wrong with it if that fails.

    Args:
        path: The file.
        complete: Whether to check that no pixels are missing at its end, which takes
            time with hundreds of bands.

    Returns:
        The open file.

    Raises:
        CorruptFileError: If the file is empty, truncated or no raster.
    """
    check_file(path)
    try:
        with _beside(path), unplaced():
            src = rasterio.open(path)
    except UnicodeEncodeError as error:
        raise MetadataError(
            f'GDAL cannot open {path!r}, whose name is not UTF-8. Rename the file or '
            'its folder.'
        ) from error
    except GDAL_ERRORS as error:
        raise CorruptFileError(
            f'{path} cannot be opened as a raster: it is damaged or no raster at all '
            f'({shorten(str(error), 200)}). Download or copy it again.'
        ) from error
    try:
        with gdal_errors(path):
            _check_block(src, path)
            if complete:
                _check_length(src, path)
    except CorruptFileError:
        src.close()
        raise
    return src


@contextmanager
def _beside(path: str) -> Iterator[None]:
    """Let GDAL see masks and nodata values that are kept in a file beside a raster.

    torchgeo's command tells it not to look, which is right for files in the cloud; for
    others, the same labels would have other nodata in the command than in Python.
    """
    hidden = get_gdal_config(_READDIR, normalize=False) == 'EMPTY_DIR'
    if not hidden or path.startswith('/vsi'):
        yield
        return
    with rasterio.Env(**{_READDIR: 'TRUE'}):
        yield
    if _READDIR in os.environ:
        # rasterio leaves an option behind, which would outlive the variable
        del_gdal_config(_READDIR)


def _check_block(src: DatasetReader, path: str) -> None:
    """Refuse blocks that are larger than the file: GDAL makes room before it looks."""
    if src.driver != 'GTiff' or src.compression is not None or not os.path.isfile(path):
        return
    height, width = src.block_shapes[0]
    # masks and the like take less than a byte
    needed = height * width // 8 * np.dtype(src.dtypes[0]).itemsize
    actual = os.path.getsize(path)
    if needed > max(actual, _SMALL_BLOCK):
        raise CorruptFileError(
            f'{path} is truncated or damaged: its blocks have {height} x {width} '
            f'pixels, and the file has {actual} bytes. Download or copy it again.'
        )


def _check_length(src: DatasetReader, path: str) -> None:
    """Compare the end of the last block of each band with the end of the file.

    An interrupted download opens without complaint and fails in the middle of an
    epoch; GeoTIFF says where its blocks lie, so it can be found at once.
    """
    if src.driver != 'GTiff' or not os.path.isfile(path):
        return
    height, width = src.block_shapes[0]
    last = f'{(src.width - 1) // width}_{(src.height - 1) // height}'
    end = 0
    for band in range(1, src.count + 1):
        offset = src.get_tag_item(f'BLOCK_OFFSET_{last}', 'TIFF', bidx=band)
        size = src.get_tag_item(f'BLOCK_SIZE_{last}', 'TIFF', bidx=band)
        # sparse files leave blocks out
        if offset is not None and size is not None:
            end = max(end, int(offset) + int(size))
    actual = os.path.getsize(path)
    if actual < end:
        raise CorruptFileError(
            f'{path} is truncated: expected at least {end} bytes, got {actual}. '
            'Download or copy it again.'
        )


def read_raster(
    src: DatasetReader, indexes: Sequence[int], window: Window
) -> NDArray[Any]:
    """Read a window.

    Args:
        src: The open file.
        indexes: Bands, from 0.
        window: Integer window inside of the file.

    Returns:
        Stored numbers of shape ``(C, H, W)``.

    Raises:
        CorruptFileError: If the pixels cannot be decoded.
    """
    with gdal_errors(str(src.name), f'the pixels of {window}'):
        values: NDArray[Any] = src.read([i + 1 for i in indexes], window=window)
    return values


def raster_scale(
    src: DatasetReader, scale: float | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return gain and offset to reflectance x 10 000.

    Args:
        src: The open file.
        scale: Factor of the caller; replaces the file's own.

    Returns:
        Gain and offset of each band; None where they would do nothing.
    """
    if scale is not None:
        return uniform(scale, None, src.count)
    check_scale(src.scales, src.offsets, src.count, str(src.name))
    scales, offsets = file_scale(src, None)
    if scales is None or offsets is None:
        return None, None
    return uniform(np.array(scales) * 1e4, np.array(offsets) * 1e4, src.count)


def file_scale(
    src: DatasetReader, scale: float | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return scale and offset of each band as GDAL keeps them.

    Args:
        src: The open file.
        scale: Factor of the caller; replaces the file's own.

    Returns:
        Both, or None and None if the file declares none or the caller knows better.
    """
    if scale is not None:
        return None, None
    return declared(src.scales, src.offsets, src.count)


def start_time(src: DatasetReader) -> str | None:
    """Return the start of the acquisition as the file writes it.

    Args:
        src: The open file.

    Returns:
        ISO 8601 text, or None.
    """
    tags = {key.lower(): value for key, value in src.tags().items()}
    imagery = {key.lower(): value for key, value in src.tags(ns='IMAGERY').items()}
    found = tags.get('start_time') or imagery.get('acquisitiondatetime')
    return str(found) if found else None


def read_tags(src: DatasetReader) -> FileBands:
    """Collect what the tags of a raster say about its bands.

    Args:
        src: The open file.

    Returns:
        The findings, in the unit of the file.
    """
    tags = [_lower(src.tags(i + 1)) for i in range(src.count)]
    good = numbers([_first(band, ('bbl',)) for band in tags])
    flags = None if good is None else good > 0
    names = tuple(text or '' for text in src.descriptions)
    wavelength = numbers([_first(band, _WAVELENGTH) for band in tags])
    if wavelength is not None:
        units = {_first(band, _UNIT) for band in tags} - {None, ''}
        widths, why = stated_widths([band.get('fwhm') or None for band in tags])
        return FileBands(
            wavelength=wavelength,
            unit=str(units.pop()) if len(units) == 1 else None,
            fwhm=widths,
            good=flags,
            names=names,
            left_out=why,
        )
    imagery = [_lower(src.tags(i + 1, ns='IMAGERY')) for i in range(src.count)]
    wavelength = numbers([band.get('central_wavelength_um') for band in imagery])
    if wavelength is not None:
        widths, why = stated_widths([band.get('fwhm_um') or None for band in imagery])
        return FileBands(wavelength, 'um', widths, flags, names, left_out=why)
    return _whole_file_tags(src, flags, names)


def _whole_file_tags(src: DatasetReader, good: Any, names: Any) -> FileBands:
    """Read ENVI-like lists in the tags of the whole file."""
    tags = _lower(src.tags()) | _lower(src.tags(ns='ENVI'))
    wavelength = _list(_first(tags, _WAVELENGTH), src.count)
    if wavelength is None:
        each = [_first(_lower(src.tags(i + 1)), _WAVELENGTH) for i in range(src.count)]
        return FileBands(good=good, names=names, unreadable=unreadable(each))
    flags = _list(tags.get('bbl'), src.count)
    widths, why = stated_widths(_items(tags.get('fwhm')))
    return FileBands(
        wavelength=wavelength,
        unit=_first(tags, _UNIT),
        fwhm=widths,
        good=good if flags is None else flags > 0,
        names=names,
        left_out=why,
    )


def _list(text: str | None, count: int) -> Any:
    """Read ``{1, 2, 3}``; None unless there is one number for each band."""
    values = numbers(_items(text))
    return values if values is not None and len(values) == count else None


def _items(text: str | None) -> list[str]:
    inner = (text or '').strip().strip('{}').strip()
    return inner.split(',') if inner else []


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {key.strip().lower(): value for key, value in tags.items()}


def _first(tags: dict[str, str], names: Sequence[str]) -> str | None:
    return next((tags[name] for name in names if name in tags), None)
