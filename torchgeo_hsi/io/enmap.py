# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP L2A products: spectral image, metadata file and quality layers.

Facts: EnMAP HSI Product Specification, EN-PCV-ICD-2009-2 (https://www.enmap.org), and
the importers of SNAP (senbox-org/optical-toolbox) and EnMAP-Box.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import HSIWarning, MetadataError, NominalWavelengthWarning
from ._enmap_bands import name_bands, nominal_bands
from ._enmap_xml import (
    EnMAPMetadata,
    EnMAPProduct,
    find_product,
    read_metadata,
    time_of_name,
)
from ._raster_extras import RasterExtras, read_extras
from ._raster_mask import RasterMask
from ._spectral import FileBands, spectral_axis
from ._tiff_regions import Put, TIFFRegions
from .base import CubeInfo, CubeReader, uniform
from .geotiff import (
    file_scale,
    open_raster,
    raster_scale,
    read_raster,
    read_tags,
    start_time,
)

#: Pixel value of L2A outside of the swath; the metadata file often says 0 instead.
L2A_NODATA = -32768

#: Quality layers by name: part of the product, and the values that count, as bits of
#: the stored number or as plain values.
QUALITY_LAYERS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    'cloud': ('QL_QUALITY_CLOUD', 0b1, (1,)),
    'cloudshadow': ('QL_QUALITY_CLOUDSHADOW', 0b1, (1,)),
    'haze': ('QL_QUALITY_HAZE', 0b1, (1,)),
    'cirrus': ('QL_QUALITY_CIRRUS', 0b11, (1, 2, 3)),
    'thick_cirrus': ('QL_QUALITY_CIRRUS', 0b11, (2, 3)),
    'snow': ('QL_QUALITY_SNOW', 0b1, (1,)),
    'defective': ('QL_PIXELMASK', 0xFF, (1,)),
    'low_quality': ('QL_QUALITY_TESTFLAGS', 0b11, (2, 3)),
}


class EnMAPL2AReader(CubeReader):
    """Reader of an EnMAP L2A product, or of a bare EnMAP image.

    Per-scene wavelengths, FWHM, gain, offset and bad bands come from the metadata file;
    without it, from the tags of the image; without these, the wavelengths are the
    nominal ones of the sensor, and a warning says so. Bands are named ``B1`` to
    ``B224`` by their number on the detectors, whatever the order of the file; without
    a metadata file, the k-th band of a file in the order of wavelength is taken to be
    the k-th of the nominal table.

    Quality layers (:meth:`~torchgeo_hsi.io.CubeReader.read_quality`):

    ================ ====================================================
    name             flags
    ================ ====================================================
    ``cloud``        cloud
    ``cloudshadow``  shadow of a cloud
    ``haze``         haze
    ``cirrus``       thin, medium or thick cirrus
    ``thick_cirrus`` medium or thick cirrus
    ``snow``         snow
    ``defective``    defective detector pixel in one of the bands read
    ``low_quality``  overall quality low, or not produced
    ================ ====================================================

    Args:
        path: Product folder, ``*-METADATA.XML``, ``*-SPECTRAL_IMAGE.TIF`` (also as
            COG), or any GeoTIFF with the bands of EnMAP.
        wavelength: Band centres, instead of those of the scene.
        wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default), or
            of the tags of a bare image that does not say.
        fwhm: Band widths, instead of those of the scene.
        nodata: Value of pixels without data, instead of that of the image.
        scale: Factor from stored numbers to values, instead of gain and offset.
        warn: Whether to warn about nominal wavelengths and unknown FWHM.

    Raises:
        CorruptFileError: If a file is empty, truncated or damaged.
        MetadataError: If the product is not L2A, does not fit its metadata, or a gain
            is 0.
        UnitError: If wavelengths are not those of the unit.
        BandMismatchError: If the bands are not those of EnMAP.
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
        warn: bool = True,
    ) -> None:
        """Initialize a new EnMAPL2AReader instance."""
        self.product: EnMAPProduct = find_product(os.fspath(path))
        self.metadata: EnMAPMetadata | None = None
        if self.product.metadata is not None:
            self.metadata = read_metadata(self.product.metadata)
        self._layers: dict[str, DatasetReader] = {}
        self._src = open_raster(self.product.image)
        self._regions = TIFFRegions(self._src)
        self._mask = RasterMask(self._src, alpha=False)
        try:
            found = self._found()
            axis = spectral_axis(
                self.product.metadata or self.product.image,
                self._src.count,
                found,
                wavelength=wavelength,
                wavelength_unit=wavelength_unit,
                fwhm=fwhm,
            )
            self.info = self._info(*axis, found.good, nodata, scale)
        except Exception:
            self._src.close()
            raise
        if warn and self.info.spectral_source == 'nominal':
            warn_nominal([self.product.image])
        if warn and self.metadata and self.info.bands and self.info.bands.fwhm is None:
            warn_widths([self.product.image])

    def _found(self) -> FileBands:
        """Return what the scene says about its bands."""
        meta = self.metadata
        if meta is None:
            return read_tags(self._src)
        if len(meta.wavelength) != self._src.count:
            raise MetadataError(
                f'{self.product.metadata} describes {len(meta.wavelength)} bands, but '
                f'{self.product.image} has {self._src.count}. They belong to different '
                'products: download both again.'
            )
        # which has a warning of its own
        fwhm = meta.fwhm if (meta.fwhm > 0).all() else None
        return FileBands(meta.wavelength, 'nm', fwhm, meta.good, meta.names)

    def _info(
        self,
        bands: Any,
        source: str,
        good: BoolArray | None,
        nodata: float | None,
        scale: float | None,
    ) -> CubeInfo:
        src, meta = self._src, self.metadata
        image = self.product.image
        if bands is None:
            bands, source = nominal_bands(src.count, good, image), 'nominal'
        else:
            # names in band tags are those of whoever wrote the file
            names = () if meta is None else meta.names
            bands = name_bands(bands, image, names)
        own = file_scale(src, scale)
        if scale is not None or meta is None:
            gain, offset = raster_scale(src, scale)
        else:
            # the metadata file holds them, as those of the image do not count
            own = None, None
            self._check_gain(meta)
            gain, offset = uniform(meta.gain * 1e4, meta.offset * 1e4, src.count)
        start = meta.start if meta else time_of_name(image) or start_time(src)
        return CubeInfo(
            path=image,
            sensor='EnMAP',
            shape=(src.count, src.height, src.width),
            dtype=src.dtypes[0],
            bands=bands,
            nodata=self._nodata() if nodata is None else nodata,
            gain=gain,
            offset=offset,
            crs=src.crs,
            transform=None if src.transform.is_identity else src.transform,
            start=start,
            spectral_source=source,
            stop=None if meta is None else meta.stop,
            file_scale=own[0],
            file_offset=own[1],
        )

    def _check_gain(self, meta: EnMAPMetadata) -> None:
        """Refuse a gain that would make a band the same number everywhere."""
        usable = np.isfinite(meta.gain) & (meta.gain != 0) & np.isfinite(meta.offset)
        bad = int((meta.good & ~usable).sum())
        if bad:
            raise MetadataError(
                f'Expected a GainOfBand other than 0 and an OffsetOfBand for each band '
                f'in {self.product.metadata}, got none for {bad} bands. Correct the '
                'file, or pass scale= to EnMAPL2AReader.'
            )

    def _nodata(self) -> float | None:
        """Return the value of pixels without data."""
        if self._src.nodata is not None:
            return float(self._src.nodata)
        if not self._src.dtypes[0].startswith('uint'):
            return float(L2A_NODATA)
        return self.metadata.background if self.metadata is not None else None

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers that this product has."""
        return tuple(
            name
            for name, (part, _, _) in QUALITY_LAYERS.items()
            if part in self.product.quality
        )

    @property
    def band_layers(self) -> tuple[str, ...]:
        """Names of the layers with one raster for each band (the mask of defects)."""
        return tuple(
            name
            for name in self.quality_layers
            if self._layer(QUALITY_LAYERS[name][0]).count > 1
        )

    def _check_layers(self, names: Sequence[str]) -> None:
        check_layers(names)
        for name in names:
            part = QUALITY_LAYERS[name][0]
            if part not in self.product.quality:
                raise MetadataError(
                    f'There is no {part} beside {self.product.image}, so {name!r} is '
                    'not known. Leave it out of the quality layers.'
                )

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        part, bits, values = QUALITY_LAYERS[name]
        src = self._layer(part)
        # only the mask of defects has one layer for each band
        positions = indexes if src.count > 1 else [0]
        stored = read_raster(src, positions, window) & bits
        return np.asarray(np.isin(stored, values).any(axis=0))

    def lacks_data(self, indexes: Sequence[int]) -> bool:
        """Tell whether the metadata file already says that bands hold no data.

        Args:
            indexes: Bands, from 0.

        Returns:
            True if none of them has data anywhere; False if that is not known without
            reading them.
        """
        meta = self.metadata
        return meta is not None and all(meta.empty[index] for index in indexes)

    def _layer(self, part: str) -> DatasetReader:
        """Open a quality layer, once."""
        if part not in self._layers:
            path = self.product.quality[part]
            src = open_raster(path)
            if (src.height, src.width) != self.info.shape[1:]:
                src.close()
                raise MetadataError(
                    f'Expected {self.info.shape[1:]} rows and columns in {path}, as in '
                    f'the image, got {src.shape}.'
                )
            self._layers[part] = src
        return self._layers[part]

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        return read_raster(self._src, indexes, window)

    def _read_mask(self, window: Window) -> BoolArray | None:
        return self._mask.read(window)

    def _extras(self) -> RasterExtras:
        """Return tags of the image and the like."""
        return read_extras(self._src)

    def _read_parts(self, indexes: list[int], window: Window, put: Put) -> None:
        box = window.row_off, window.col_off, window.height, window.width
        if not self._regions.read(indexes, box, put):
            super()._read_parts(indexes, window, put)

    def close(self) -> None:
        """Close all files of the product; further reads fail."""
        for src in (self._src, *self._layers.values()):
            src.close()
        self._layers.clear()


def check_layers(layers: Iterable[str]) -> tuple[str, ...]:
    """Check names of quality layers.

    Args:
        layers: The names.

    Returns:
        The names, each once.

    Raises:
        MetadataError: If a name is unknown.
    """
    # a lone string would be taken letter by letter
    names = tuple(dict.fromkeys([layers] if isinstance(layers, str) else layers))
    unknown = [name for name in names if name not in QUALITY_LAYERS]
    if unknown:
        raise MetadataError(
            f'Unknown quality layers {", ".join(map(repr, unknown))}. '
            f'Known: {", ".join(QUALITY_LAYERS)}.'
        )
    return names


def count_bands(path: PathLike) -> int:
    """Count the bands of a raster.

    Args:
        path: The file.

    Returns:
        Number of bands.

    Raises:
        CorruptFileError: If the file is empty, truncated or no raster.
    """
    with open_raster(os.fspath(path)) as src:
        return int(src.count)


def warn_nominal(paths: Sequence[str]) -> None:
    """Warn that scenes carry no wavelengths of their own.

    Args:
        paths: The images, at least one.
    """
    more = f' and {len(paths) - 1} more' if len(paths) > 1 else ''
    warnings.warn(
        f'{paths[0]}{more}: neither METADATA.XML nor band tags give wavelengths, so '
        'the nominal ones of EnMAP are used, for bands in the order of wavelength. '
        'Scenes differ from them by some tenths of a nanometre. Keep the METADATA.XML '
        'beside the image to be exact.',
        NominalWavelengthWarning,
        stacklevel=3,
    )


def warn_widths(paths: Sequence[str]) -> None:
    """Warn that the metadata of scenes give no usable band widths.

    Args:
        paths: The images, at least one.
    """
    more = f' and {len(paths) - 1} more' if len(paths) > 1 else ''
    warnings.warn(
        f'{paths[0]}{more}: FWHMOfBand in the METADATA.XML is not positive in every '
        'band, so the band widths are left out. Correct the file to have them.',
        HSIWarning,
        stacklevel=3,
    )
