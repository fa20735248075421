# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write EnMAP L2A products: simulated scenes, or processed ones."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from .._typing import PathLike
from ..errors import BandMismatchError, MetadataError, OutputError
from ..physics import BandSet
from ._enmap_xml_write import ProductFacts, write_metadata
from ._gdal import check_blocks
from ._writer import AtomicWriter, is_taken, move_folder, open_scratch
from .enmap import L2A_NODATA
from .enmap_layers import (
    BandStatistics,
    ProductLayer,
    blocks,
    create_raster,
    derived_layers,
    product_layers,
)

# seconds in which a row of pixels is recorded
_ROW_TIME = 4.4e-3


def scene_name(start: datetime, datatake: int = 1, tile: int = 1) -> str:
    """Make the name of a scene, which all its files begin with.

    Args:
        start: Start of the acquisition, UTC.
        datatake: Number of the data take, up to ten digits.
        tile: Number of the tile within the data take.

    Returns:
        Name after the product specification.
    """
    day = start.strftime('%Y%m%dT%H%M%SZ')
    made = (start + timedelta(days=1)).strftime('%Y%m%dT%H%M%SZ')
    return f'ENMAP01-____L2A-DT{datatake % 10**10:010d}_{day}_{tile:03d}_V010303_{made}'


class EnMAPL2AWriter(AtomicWriter):
    """Write an EnMAP L2A product window by window.

    The folder gets the spectral image, the quality layers, quicklooks and the metadata
    file, as :class:`~torchgeo_hsi.io.EnMAPL2AReader` and other software read them.
    Everything happens in a hidden folder beside *path*, and only the complete, checked
    product is moved to *path*, in one step: whatever goes wrong, nothing half-written
    is left behind.
    Memory does not grow with the scene if windows are blocks of 128 x 128 pixels.

    Args:
        path: Folder of the product; must not exist, or be empty.
        bands: All bands of the image in its order, named ``B1`` to ``B224``, with FWHM.
        shape: Rows and columns.
        crs: Coordinate reference system.
        transform: Affine transform from (column, row) to map coordinates.
        start: Start of the acquisition, UTC.
        name: Name of the scene; made from *start* by default.
        sun_zenith: Zenith angle of the sun in degrees.
        sun_azimuth: Azimuth of the sun in degrees, from north to east.
        layers: More rasters than those of every product.
        documents: More files, as JSON: content by the last part of their name.
        compress: Compression of the rasters, or None.
        overwrite: Whether an existing folder may be replaced.

    Raises:
        OutputError: If the folder exists and is not empty, or cannot be created.
        MetadataError: If *bands* have no FWHM, or other names than those of EnMAP.
    """

    def __init__(
        self,
        path: PathLike,
        bands: BandSet,
        shape: tuple[int, int],
        crs: Any,
        transform: Affine,
        start: datetime,
        *,
        name: str | None = None,
        sun_zenith: float = 30.0,
        sun_azimuth: float = 180.0,
        layers: Sequence[ProductLayer] = (),
        documents: Mapping[str, Any] | None = None,
        compress: str | None = 'deflate',
        overwrite: bool = False,
    ) -> None:
        """Initialize a new EnMAPL2AWriter instance; see the class for the arguments."""
        _check_bands(bands)
        self.path = Path(path)
        self.bands = bands
        self.shape = shape
        self.transform = transform
        self.start = start if start.tzinfo is None else start.astimezone(UTC)
        self.name = name or scene_name(self.start)
        self.sun = (sun_zenith, sun_azimuth)
        self.documents = dict(documents or {})
        self.overwrite = overwrite
        if not overwrite and is_taken(self.path):
            raise OutputError(
                f'{self.path} exists already and is not empty. Choose another folder, '
                'or pass overwrite=True.'
            )
        self.layers = {item.part: item for item in (*product_layers(bands), *layers)}
        self._statistics = BandStatistics(len(bands), L2A_NODATA)
        self._imaged = self._clouded = 0
        self._rasters: dict[str, Any] = {}
        self._scratch = open_scratch(self.path)
        with self._guard():
            self._work.mkdir()
            for part, layer in self.layers.items():
                self._rasters[part] = create_raster(
                    self._work / self._file(part),
                    layer,
                    shape,
                    CRS.from_user_input(crs),
                    transform,
                    compress,
                )

    @property
    def _work(self) -> Path:
        assert self._scratch is not None
        return self._scratch.path / 'product'

    def _file(self, part: str) -> str:
        return f'{self.name}-{part}.TIF'

    def write(self, window: Window, parts: Mapping[str, NDArray[Any]]) -> None:
        """Write one window of all rasters.

        Args:
            window: Rows and columns, inside of the scene; blocks of 128 x 128 pixels
                are written best.
            parts: Arrays of shape ``(C, h, w)``, or ``(h, w)`` for one band, by the
                part of the file name: ``'SPECTRAL_IMAGE'`` and any of the others. A
                quality layer that is missing says that nothing is wrong.

        Raises:
            OutputError: If the writer is closed, an array does not fit, or the disk is
                full. The product is given up then; nothing of it is left behind.
        """
        height, width = int(window.height), int(window.width)
        row, column = int(window.row_off), int(window.col_off)
        with self._guard():
            if not (
                0 <= row <= row + height <= self.shape[0]
                and 0 <= column <= column + width <= self.shape[1]
            ):
                raise OutputError(
                    f'Expected a window inside {self.shape[0]} x {self.shape[1]} '
                    f'pixels, got {height} x {width} at row {row}, column {column}.'
                )
            arrays = self._complete(parts, height, width)
            for part, raster in self._rasters.items():
                raster.write(arrays[part], window=window)
            image = arrays['SPECTRAL_IMAGE']
            inside = (image != L2A_NODATA).any(axis=0)
            self._statistics.add(image)
            self._imaged += int(inside.sum())
            self._clouded += int((inside & (arrays['QL_QUALITY_CLOUD'][0] > 0)).sum())

    def _complete(
        self, parts: Mapping[str, NDArray[Any]], height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """Check the arrays of a window, and add those that follow from the image."""
        unknown = set(parts) - set(self.layers)
        if unknown or 'SPECTRAL_IMAGE' not in parts:
            raise OutputError(
                'Expected SPECTRAL_IMAGE and any of the other parts of the product, got '
                f'{", ".join(sorted(parts)) or "none"}. Parts: '
                f'{", ".join(self.layers)}.'
            )
        arrays = {}
        for part, array in parts.items():
            layer = self.layers[part]
            array = array[np.newaxis] if array.ndim == 2 else array
            shape = (layer.count, height, width)
            if array.shape != shape or array.dtype != layer.dtype:
                raise OutputError(
                    f'Expected {part} as {layer.dtype} of shape {shape}, got '
                    f'{array.dtype} of shape {array.shape}.'
                )
            arrays[part] = array
        derived = derived_layers(arrays['SPECTRAL_IMAGE'], self.bands)
        for part, layer in self.layers.items():
            if part not in arrays:
                zeros = np.zeros((layer.count, height, width), layer.dtype)
                arrays[part] = derived.get(part, zeros)
        return arrays

    def close(self) -> None:
        """Write the metadata, check the product, and move it to its place.

        Raises:
            OutputError: If anything could not be written, e.g. on a full disk. Nothing
                half-written is left behind then.
        """
        if self._scratch is None:
            return
        with self._guard():
            for raster in self._rasters.values():
                raster.close()
            for part in self._rasters:
                check_blocks(self._work / self._file(part))
            for part, content in self.documents.items():
                text = json.dumps(content, indent=2)
                file = self._work / f'{self.name}-{part}.JSON'
                file.write_text(text + '\n', encoding='utf-8')
            files = sorted(entry.name for entry in self._work.iterdir())
            metadata = f'{self.name}-METADATA.XML'
            write_metadata(str(self._work / metadata), self._facts(files))
            for file in self._work.iterdir():
                # a network or quota file system may report a failed write only here
                with open(file, 'rb+') as stream:
                    os.fsync(stream.fileno())
            assert self._scratch is not None
            move_folder(self._work, self.path, self._scratch.path, self.overwrite)
        self._release()

    def _facts(self, files: Sequence[str]) -> ProductFacts:
        mean, std = self._statistics.result(1e-4)
        height, width = self.shape
        return ProductFacts(
            name=self.name,
            bands=self.bands,
            height=height,
            width=width,
            pixel_size=abs(self.transform.a),
            start=self.start,
            stop=self.start + timedelta(seconds=_ROW_TIME * height),
            sun_zenith=self.sun[0],
            sun_azimuth=self.sun[1],
            nodata=L2A_NODATA,
            cloud_cover=self._clouded / max(self._imaged, 1),
            mean=mean,
            std=std,
            files=files,
        )

    def _close_rasters(self) -> None:
        for raster in self._rasters.values():
            if not raster.closed:
                raster.close()


def write_enmap_l2a(
    path: PathLike,
    image: NDArray[np.int16],
    bands: BandSet,
    crs: Any,
    transform: Affine,
    start: datetime,
    *,
    quality: Mapping[str, NDArray[Any]] | None = None,
    **options: Any,
) -> Path:
    """Write an array as an EnMAP L2A product, e.g. a denoised scene.

    Args:
        path: Folder of the product; must not exist, or be empty.
        image: Reflectance x 10 000, int16 of shape ``(C, H, W)``, -32768 without data.
        bands: All bands in the order of *image*, named ``B1`` to ``B224``, with FWHM.
        crs: Coordinate reference system.
        transform: Affine transform from (column, row) to map coordinates.
        start: Start of the acquisition, UTC.
        quality: Quality layers of shape ``(H, W)`` by the part of their file name, such
            as ``{'QL_QUALITY_CLOUD': cloud}``, uint8.
        **options: More arguments of :class:`EnMAPL2AWriter`.

    Returns:
        The folder.

    Raises:
        BandMismatchError: If *image* has not the bands of *bands*.
        OutputError: If the folder exists and is not to be overwritten, an array does
            not fit, or the product cannot be written.
        MetadataError: If *bands* have no FWHM, or other names than those of EnMAP.
    """
    if image.ndim != 3 or len(image) != len(bands):
        raise BandMismatchError(
            f'Expected an image of {len(bands)} bands, got shape {image.shape}.'
        )
    shape = (image.shape[1], image.shape[2])
    parts = {'SPECTRAL_IMAGE': image, **(quality or {})}
    with EnMAPL2AWriter(path, bands, shape, crs, transform, start, **options) as writer:
        for window in blocks(*shape):
            rows, columns = window.toslices()
            writer.write(
                window, {part: a[..., rows, columns] for part, a in parts.items()}
            )
    return Path(path)


def _check_bands(bands: BandSet) -> None:
    if bands.fwhm is None:
        raise MetadataError('Expected bands with FWHM, which the product describes.')
    numbers = {f'B{n}' for n in range(1, 225)}
    if not set(bands.names) <= numbers:
        raise MetadataError(
            'Expected bands named B1 to B224, the numbers on the detectors of EnMAP, '
            f'got {", ".join(sorted(set(bands.names) - numbers)[:4])}.'
        )
