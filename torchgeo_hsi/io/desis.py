# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DESIS L2A products: spectral image, metadata file and quality layers.

Facts: DESIS Product Specification, PAV-DLR-ICD-003 (https://www.dlr.de/eoc/desis), and
the readers hytools (EnSpec/hytools) and EnMAP-Box (EnMAP-Box/enmap-box).
"""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import MetadataError
from ._desis_xml import (
    DESISMetadata,
    DESISProduct,
    find_desis_product,
    read_desis_metadata,
)
from ._raster_extras import RasterExtras, read_extras
from ._raster_mask import RasterMask
from ._spectral import FileBands, spectral_axis
from .base import CubeInfo, CubeReader, uniform
from .geotiff import open_raster, read_raster

#: Pixel value outside of the swath.
L2A_NODATA = -32768

#: Quality layers by name: bands of ``QL_QUALITY-2``, from 0. Haze and cloud have one
#: band over land and one over water. The last two bands are no flags, but the aerosol
#: optical thickness and the water vapour.
QUALITY_LAYERS: dict[str, tuple[int, ...]] = {
    'cloud': (5, 6),
    'haze': (3, 4),
    'shadow': (0,),
    'snow': (2,),
    'land': (1,),
    'water': (7,),
}
_FLAGS = 8


class DESISL2AReader(CubeReader):
    """Reader of a DESIS L2A product.

    Wavelengths, widths, gain and offset come from the metadata file, which has to lie
    beside the image. Bands are named ``B1`` to ``B235`` (fewer in products with binned
    bands) in the order of the file, which is that of wavelength.

    Quality layers (:meth:`~torchgeo_hsi.io.CubeReader.read_quality`), from ``QL_QUALITY-2``:

    ========== ================================
    name       flags
    ========== ================================
    ``cloud``  cloud over land or water
    ``haze``   haze over land or water
    ``shadow`` shadow of clouds or of terrain
    ``snow``   snow
    ``land``   land
    ``water``  water
    ========== ================================

    Args:
        path: Product folder, ``*-METADATA.xml`` or ``*-SPECTRAL_IMAGE.tif``.
        wavelength: Band centres, instead of those of the scene.
        wavelength_unit: Unit of *wavelength* and *fwhm*, micrometres by default.
        fwhm: Band widths, instead of those of the scene.
        nodata: Value of pixels without data, instead of that of the image.
        scale: Factor from stored numbers to values, instead of gain and offset.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If there is no spectral image.
        CorruptFileError: If a file is empty, truncated or damaged.
        MetadataError: If the metadata file is missing, the product is not L2A or does
            not fit its metadata, or a gain is 0.
        UnitError: If wavelengths are not those of the unit.

    Example:
        .. code-block:: python

            with DESISL2AReader('DESIS-HSI-L2A-DT0707652640_011-...') as reader:
                values, valid = reader.read(reader.info.bands.indices([0.66, 0.86]))
                cloudy = reader.read_quality(['cloud', 'haze'])
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
        """Initialize a new DESISL2AReader instance."""
        self.product: DESISProduct = find_desis_product(os.fspath(path))
        self.metadata: DESISMetadata = read_desis_metadata(self.product.metadata)
        self._quality: DatasetReader | None = None
        self._src = open_raster(self.product.image)
        self._mask = RasterMask(self._src, alpha=False)
        self.pixel_interleaved = self._src.profile.get('interleave') == 'pixel'
        try:
            meta = self.metadata
            if len(meta.wavelength) != self._src.count:
                raise MetadataError(
                    f'{self.product.metadata} describes {len(meta.wavelength)} bands, '
                    f'but {self.product.image} has {self._src.count}. They belong to '
                    'different products: download both again.'
                )
            bands, source = spectral_axis(
                self.product.metadata,
                self._src.count,
                FileBands(meta.wavelength, 'nm', meta.fwhm),
                wavelength=wavelength,
                wavelength_unit=wavelength_unit,
                fwhm=fwhm,
            )
            self.info = self._info(bands, source, nodata, scale)
        except Exception:
            self._src.close()
            raise

    def _info(
        self, bands: Any, source: str, nodata: float | None, scale: float | None
    ) -> CubeInfo:
        src, meta = self._src, self.metadata
        if scale is not None:
            gain, offset = uniform(scale, None, src.count)
        else:
            self._check_gain()
            gain, offset = uniform(meta.gain * 1e4, meta.offset * 1e4, src.count)
        marker = L2A_NODATA if src.nodata is None else src.nodata
        return CubeInfo(
            path=self.product.image,
            sensor='DESIS',
            shape=(src.count, src.height, src.width),
            dtype=src.dtypes[0],
            bands=bands,
            nodata=float(marker if nodata is None else nodata),
            gain=gain,
            offset=offset,
            crs=src.crs,
            transform=None if src.transform.is_identity else src.transform,
            start=meta.start,
            spectral_source=source,
            stop=meta.stop,
        )

    def _check_gain(self) -> None:
        """Refuse a gain that would make a band the same number everywhere."""
        meta = self.metadata
        usable = np.isfinite(meta.gain) & (meta.gain != 0) & np.isfinite(meta.offset)
        if not usable.all():
            raise MetadataError(
                f'Expected a gainOfBand other than 0 and an offsetOfBand for each band '
                f'in {self.product.metadata}, got none for {int((~usable).sum())} '
                'bands. Correct the file, or pass scale= to DESISL2AReader.'
            )

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers; none without the file ``QL_QUALITY-2``."""
        return () if self.product.quality is None else tuple(QUALITY_LAYERS)

    @property
    def band_layers(self) -> tuple[str, ...]:
        """None of the layers depends on the bands."""
        return ()

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        src = self._layers()
        flags = read_raster(src, QUALITY_LAYERS[name], window)
        return np.asarray((flags > 0).any(axis=0))

    def _layers(self) -> DatasetReader:
        """Open the quality layers, once."""
        if self._quality is None:
            path = self.product.quality
            assert path is not None
            src = open_raster(path)
            fits = (src.height, src.width) == self.info.shape[1:]
            if not fits or src.count < _FLAGS:
                found = src.count, src.height, src.width
                src.close()
                raise MetadataError(
                    f'Expected at least {_FLAGS} bands, and {self.info.shape[1:]} rows '
                    f'and columns as in the image, in {path}, got {found}.'
                )
            self._quality = src
        return self._quality

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        return read_raster(self._src, indexes, window)

    def _read_mask(self, window: Window) -> BoolArray | None:
        return self._mask.read(window)

    def _extras(self) -> RasterExtras:
        """Return tags of the image and the like."""
        return read_extras(self._src)

    def close(self) -> None:
        """Close all files of the product; further reads fail."""
        self._src.close()
        if self._quality is not None:
            self._quality.close()
            self._quality = None
