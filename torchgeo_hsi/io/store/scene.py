# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reading a scene from a store."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from ..._typing import BoolArray, PathLike
from ...errors import CorruptFileError
from ...physics import to_micrometres
from .._files import shorten
from .._scale import uniform
from .._spectral import FileBands, spectral_axis
from ..base import CubeInfo, CubeReader
from ._array import ChunkReader, Request, Wanted, region_shape
from ._folder import check_header, header_of
from ._layout import ArrayLayout
from ._scene_spec import SceneSpec, restore
from ._source import open_source
from .items import BROKEN
from .reader import check_arrays, read_group, wanted_bands


class StoredSceneReader(CubeReader):
    """Reader of a scene that :func:`write_stored_scene` has written.

    Stored numbers, georeference, wavelengths, FWHM, nodata, gain, offset, times and
    quality layers are those of the original. Random windows are cheap: small squares
    with all their bands are compressed together.

    Args:
        path: Folder of the store, or an address as :class:`StoreReader` takes it.
        wavelength: Band centres, instead of those of the scene.
        wavelength_unit: Unit of *wavelength* and *fwhm*, micrometres by default.
        fwhm: Band widths, instead of those of the scene.
        nodata: Value of pixels without data, instead of that of the scene.
        scale: Factor from stored numbers to values, instead of gain and offset.
        threads: Threads that decode, see :class:`StoreReader`.
        options: Options of the file system of fsspec, for addresses only.

    Raises:
        FileNotFoundError: If there is no store, or it is not finished.
        MetadataError: If it is a store of patches, or of a newer version.
        CorruptFileError: If its metadata are damaged.
        DownloadError: If an address cannot be read.
        ImportError: If numcodecs, or what an address needs, is not installed.

    Example:
        .. code-block:: python

            with StoredSceneReader('data/scene') as reader:
                values, valid = reader.read(window=Window(64, 64, 128, 128))
    """

    # all bands are compressed together
    pixel_interleaved = True

    def __init__(
        self,
        path: PathLike,
        *,
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
        threads: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Initialize a new StoredSceneReader instance."""
        name = os.fspath(path)
        source = open_source(name, dict(options or {}))
        group = read_group(source)
        header = check_header(header_of(group), 'scene', name)
        try:
            self._spec = SceneSpec.from_json(header['spec'])
            info = restore(self._spec, name)
            check_arrays(group, self._spec.rasters())
            #: SHA-256 of the whole store.
            self.checksum = str(header['sha256'])
            self._empty = frozenset(map(int, self._spec.empty))
        except BROKEN as error:
            raise CorruptFileError(
                f'The metadata of the store {name} are damaged '
                f'({shorten(repr(error), 200)}). Copy it again, or convert again.'
            ) from error
        if wavelength is not None or fwhm is not None:
            info = _with_bands(info, wavelength, wavelength_unit, fwhm)
        if nodata is not None:
            info = dataclasses.replace(info, nodata=nodata)
        if scale is not None:
            gain, offset = uniform(scale, None, info.shape[0])
            info = dataclasses.replace(
                info, gain=gain, offset=offset, file_scale=None, file_offset=None
            )
        self.info: CubeInfo = info
        self._chunks: ChunkReader | None = ChunkReader(source, 16, threads)

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers that were stored."""
        return tuple(self._spec.layers)

    @property
    def band_layers(self) -> tuple[str, ...]:
        """Names of the layers that were stored for each band."""
        return tuple(name for name, axes in self._spec.layers.items() if axes == 3)

    def lacks_data(self, indexes: Any) -> bool:
        """Tell whether the metadata of the original said that bands hold no data.

        Args:
            indexes: Bands, from 0.

        Returns:
            True if none of them has data anywhere; False if that is not known without
            reading them.
        """
        return self._empty.issuperset(indexes)

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        return self._region(self._spec.image(), window, indexes)

    def _read_mask(self, window: Window) -> BoolArray | None:
        return (
            self._region(self._spec.mask(), window, None) if self._spec.masked else None
        )

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        if self._spec.layers[name] == 2:
            return self._region(self._spec.layer(name), window, None)
        flags: BoolArray = self._read_band_layer(name, window, indexes).any(axis=0)
        return flags

    def _read_band_layer(
        self, name: str, window: Window, indexes: list[int]
    ) -> BoolArray:
        return self._region(self._spec.layer(name), window, indexes)

    def _region(
        self, layout: ArrayLayout, window: Window, indexes: list[int] | None
    ) -> NDArray[Any]:
        """Read a window of an array."""
        if self._chunks is None:
            raise ValueError(f'{self.info.path} is closed.')
        top, left = round(window.row_off), round(window.col_off)
        wanted: tuple[Wanted, ...] = (
            (top, top + round(window.height)),
            (left, left + round(window.width)),
        )
        if indexes is not None:
            bands = wanted_bands(indexes, self.info.shape[0], self.info.path)
            wanted = (bands, *wanted)
        out = np.empty(region_shape(wanted), layout.dtype)
        self._chunks.read([Request(layout, wanted, out)])
        return out

    def close(self) -> None:
        """Close the store; further reads fail."""
        self._chunks = None


def _with_bands(
    info: CubeInfo,
    wavelength: ArrayLike | None,
    unit: str | None,
    fwhm: ArrayLike | None,
) -> CubeInfo:
    """Replace wavelengths or widths by those of the caller."""
    found = FileBands()
    if info.bands is not None:
        there = info.bands
        found = FileBands(there.wavelength, 'um', there.fwhm, there.good, there.names)
    if wavelength is None and fwhm is not None:
        # the unit is that of the caller's widths, and not of the stored centres
        fwhm, unit = to_micrometres(np.asarray(fwhm, float), unit or 'um'), None
    bands, source = spectral_axis(
        info.path,
        info.shape[0],
        found,
        wavelength=wavelength,
        wavelength_unit=unit,
        fwhm=fwhm,
    )
    return dataclasses.replace(info, bands=bands, spectral_source=source)
