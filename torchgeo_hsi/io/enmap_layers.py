# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The rasters of an EnMAP L2A product: what they hold and how they are stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import FloatArray
from ..physics import BandSet
from ._band_tags import Colormap, write_class_tags, write_spectral_tags
from .enmap import L2A_NODATA

#: Codes of ``QL_QUALITY_CLASSES``.
LAND, WATER, BACKGROUND = 1, 2, 3

#: Code of ``QL_PIXELMASK`` outside of the swath.
MASK_OUTSIDE = 255

#: Side of the blocks of all rasters in pixels; windows of this size are written best.
BLOCK = 128

#: Reflectance x 10 000 that quicklooks show in white.
_WHITE = 3000.0

#: Wavelengths in micrometres of the quicklooks.
QUICKLOOKS = {'QL_VNIR': (0.640, 0.555, 0.468), 'QL_SWIR': (2.200, 1.650, 1.230)}


@dataclass(frozen=True)
class ProductLayer:
    """One raster of a product.

    Args:
        part: Last part of its file name, such as ``'QL_QUALITY_CLOUD'``.
        count: Number of bands.
        dtype: Data type.
        nodata: Value of pixels without data, or None.
        bands: Spectral axis, or None.
        descriptions: Names of the bands.
        colormap: Colours of classes.
        class_names: Names of classes.
    """

    part: str
    count: int = 1
    dtype: str = 'uint8'
    nodata: float | None = None
    bands: BandSet | None = None
    descriptions: tuple[str, ...] = ()
    colormap: Colormap | None = None
    class_names: Mapping[int, str] | None = None


def product_layers(bands: BandSet) -> tuple[ProductLayer, ...]:
    """List the rasters that belong to every product.

    Args:
        bands: Bands of the spectral image.

    Returns:
        The rasters.
    """
    # per-band tags are left out: the metadata file carries the wavelengths
    quality = ('CLASSES', 'CLOUD', 'CLOUDSHADOW', 'HAZE', 'CIRRUS', 'SNOW', 'TESTFLAGS')
    return (
        ProductLayer('SPECTRAL_IMAGE', len(bands), 'int16', L2A_NODATA, bands),
        *(ProductLayer(f'QL_QUALITY_{name}') for name in quality),
        ProductLayer('QL_PIXELMASK', len(bands)),
        *(ProductLayer(name, 3) for name in QUICKLOOKS),
    )


def blocks(height: int, width: int) -> Iterator[Window]:
    """Cut a raster into the windows that are written best.

    Args:
        height: Rows.
        width: Columns.

    Yields:
        Windows, row by row of blocks.
    """
    for row in range(0, height, BLOCK):
        for column in range(0, width, BLOCK):
            size = (min(BLOCK, width - column), min(BLOCK, height - row))
            yield Window(column, row, *size)


def create_raster(
    path: Path,
    layer: ProductLayer,
    shape: tuple[int, int],
    crs: Any,
    transform: Affine,
    compress: str | None,
) -> Any:
    """Create a raster, open for writing.

    Args:
        path: The file.
        layer: What it holds.
        shape: Rows and columns.
        crs: Coordinate reference system.
        transform: Affine transform from (column, row) to map coordinates.
        compress: Compression of GDAL's GeoTIFF driver, or None.

    Returns:
        The open raster.
    """
    options: dict[str, Any] = {}
    if compress is not None:
        is_float = np.issubdtype(np.dtype(layer.dtype), np.floating)
        options = {'compress': compress, 'predictor': 3 if is_float else 2}
        # level 6 costs half as much time again for 1 % of size
        options |= {'zlevel': 1} if compress.lower() == 'deflate' else {}
        if layer.colormap is not None:
            del options['predictor']
    dataset = rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=layer.count,
        height=shape[0],
        width=shape[1],
        dtype=layer.dtype,
        crs=crs,
        transform=transform,
        nodata=layer.nodata,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        interleave='band',
        BIGTIFF='IF_SAFER',
        **options,
    )
    for i, name in enumerate(layer.descriptions, start=1):
        dataset.set_band_description(i, name)
    write_spectral_tags(dataset, layer.bands)
    write_class_tags(dataset, layer.colormap, layer.class_names, layer.nodata)
    return dataset


def quicklook(image: NDArray[np.int16], bands: BandSet, part: str) -> NDArray[np.uint8]:
    """Make the colours of a quicklook.

    Args:
        image: Stored numbers of shape ``(C, H, W)``.
        bands: Their bands.
        part: Which quicklook.

    Returns:
        Red, green and blue, black where there is no data, shape ``(3, H, W)``.
    """
    chosen = image[[bands.nearest(centre) for centre in QUICKLOOKS[part]]]
    light = np.clip(chosen.astype(np.float32) / _WHITE, 0, 1)
    # the eye sees square roots
    return np.asarray(np.rint(255 * np.sqrt(light))).astype(np.uint8)


def derived_layers(
    image: NDArray[np.int16], bands: BandSet
) -> dict[str, NDArray[np.uint8]]:
    """Make the layers that follow from the image, for those who have no better ones.

    Args:
        image: Stored numbers of shape ``(C, H, W)``.
        bands: Their bands.

    Returns:
        Arrays of shape ``(c, H, W)`` by the part of the file name.
    """
    outside = (image == L2A_NODATA).all(axis=0)
    mask = np.zeros(image.shape, dtype=np.uint8)
    mask[:, outside] = MASK_OUTSIDE
    classes = np.where(outside, BACKGROUND, LAND).astype(np.uint8)
    return {
        'QL_QUALITY_CLASSES': classes[np.newaxis],
        'QL_PIXELMASK': mask,
        **{part: quicklook(image, bands, part) for part in QUICKLOOKS},
    }


class BandStatistics:
    """Mean and standard deviation of each band, from windows.

    Args:
        count: Number of bands.
        nodata: Value of pixels without data.
    """

    def __init__(self, count: int, nodata: int) -> None:
        """Initialize a new BandStatistics instance; see the class for the arguments."""
        self.nodata = nodata
        self.number = np.zeros(count, dtype=np.int64)
        self.sum = np.zeros(count)
        self.squares = np.zeros(count)

    def add(self, image: NDArray[np.int16]) -> None:
        """Add a window.

        Args:
            image: Stored numbers of shape ``(C, H, W)``.
        """
        for band, plane in enumerate(image):
            values = plane[plane != self.nodata].astype(np.float64)
            self.number[band] += values.size
            self.sum[band] += values.sum()
            self.squares[band] += values @ values

    def result(self, gain: float) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation; NaN for bands without data.

        Args:
            gain: Factor from stored numbers to values.
        """
        with np.errstate(invalid='ignore', divide='ignore'):
            mean = self.sum / self.number
            variance = self.squares / self.number - mean**2
        return mean * gain, np.sqrt(np.maximum(variance, 0)) * gain
