# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Color images of any kind, to train beside cubes."""

import glob
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..datasets._index import DataNotFoundError
from ..datasets._stored_numbers import stored_numbers
from ..errors import BandMismatchError, EmptyDataError, MetadataError, UnitError
from ..io._gdal import gdal_errors, unplaced
from ..io.geotiff import open_raster
from ..samplers._grid import PixelGrid
from ._cube_sources import LazyCubes, Sources, as_list
from ._cubes import Cube

#: Endings of files with images.
_SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp')

#: Pixels of an image, which is read whole: some more than a tile of Sentinel-2 has.
_LARGEST = 1 << 27

#: Largest reflectance of an image in which 1 is that of white.
_BRIGHTEST = 2.0


class ColorImages(LazyCubes):
    """Color images, as cubes of three bands.

    Args:
        sources: Files, folders of files, patterns, datasets, or a list of these.
        bands: Bands of an image that are red, green and blue.
        peak: Number that becomes 1. By default the largest one that a file with 8 or 16
            bits could hold, and for real numbers 1 or, if there are some above 2, 255.

    Raises:
        torchgeo.datasets.DatasetNotFoundError: If a path leads to nothing.
    """

    def __init__(
        self,
        sources: Sources,
        bands: Sequence[int] = (0, 1, 2),
        peak: float | None = None,
    ) -> None:
        """Initialize a new ColorImages instance; see the class for the arguments."""
        self._bands = list(bands)
        self._peak = peak
        self._entries: list[tuple[Any, Any]] = []
        for source in as_list(sources):
            self._entries += _entries(source)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._entries)

    def read(self, index: int) -> Cube:
        """Read an image.

        Args:
            index: Its number.

        Raises:
            EmptyDataError: If there is no valid pixel.
            BandMismatchError: If it has no such bands.
            CorruptFileError: If its file is damaged or no image.
            MetadataError: If it has too many pixels to be read whole.
        """
        source, key = self._entries[index]
        name = source if isinstance(source, str) else f'{type(source).__name__}[{key}]'
        if isinstance(source, str):
            sample, peak = _read_file(source, self._bands)
        else:
            with stored_numbers():
                sample = source[key]
            sample, peak = _three_bands(sample, self._bands, name), None
        return _as_cube(sample, self._peak or peak, name)


def _entries(source: Any) -> list[tuple[Any, Any]]:
    """Name the images of a source."""
    if isinstance(source, GeoDataset):
        grid = PixelGrid(source)
        return [(source, grid.query(*scene[:5])) for scene in grid.scenes(source, None)]
    if isinstance(source, NonGeoDataset):
        return [(source, number) for number in range(len(source))]
    path = os.fspath(source)
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        found = [os.path.join(path, n) for n in names if n.lower().endswith(_SUFFIXES)]
    else:
        found = [path] if os.path.isfile(path) else sorted(glob.glob(path))
    if not found:
        raise DataNotFoundError(
            f'No image fits {path}. Check the path; images of a folder end in '
            f'{", ".join(_SUFFIXES)}.'
        )
    return [(file, None) for file in found]


def _read_file(path: str, bands: list[int]) -> tuple[Sample, float | None]:
    """Read a file; return its numbers, and the largest that it could hold."""
    with unplaced(), open_raster(path) as src:
        if src.count <= max(bands):
            raise BandMismatchError(
                f'{path} has {src.count} bands, and {bands} are to be red, green '
                'and blue. Name them in rgb_options, as bands, and leave out '
                'images in gray.'
            )
        if src.height * src.width > _LARGEST:
            raise MetadataError(
                f'{path} has {src.width} x {src.height} pixels, and images are read '
                f'whole: at most {_LARGEST} pixels. Cut it into smaller ones.'
            )
        with gdal_errors(path, 'its pixels'):
            image = src.read([band + 1 for band in bands])
            valid = src.dataset_mask() > 0
    is_deep = image.dtype == np.uint16
    # torch can do little with unsigned numbers of two bytes
    values = torch.from_numpy(image.astype(np.int32) if is_deep else image)
    sample = {'image': values, 'valid': torch.from_numpy(valid)}
    return sample, float(np.iinfo(np.uint16).max) if is_deep else None


def _three_bands(sample: Sample, bands: list[int], name: str) -> Sample:
    """Return red, green and blue of a sample of a dataset."""
    image = sample.get('image')
    if image is None or image.ndim != 3 or len(image) <= max(bands):
        shape = 'none' if image is None else f'shape {tuple(image.shape)}'
        raise BandMismatchError(
            f'Expected a color image with bands {bands} in {name}, got {shape}. Name '
            'others in rgb_options, as bands.'
        )
    found = {'image': image[bands]}
    return found | ({'valid': sample['valid']} if 'valid' in sample else {})


def _as_cube(sample: Sample, peak: float | None, name: str) -> Cube:
    image = sample['image']
    finite = image.isfinite().all(0)
    valid = finite & sample['valid'].bool() if 'valid' in sample else finite
    if not valid.any():
        raise EmptyDataError(f'{name} holds no pixel with data.')
    known = image[:, valid]
    if peak is None:
        peak = _peak(image.dtype, float(known.max()), name)
    fill = known.double().mean(1).float()
    return Cube(image, valid, peak, 0.0, fill)


def _peak(kind: torch.dtype, largest: float, name: str) -> float:
    """Return the number that means full brightness."""
    if kind == torch.uint8:
        return 255.0
    if kind.is_floating_point and largest <= 255:
        # reflectance of snow and glint is above 1
        return 1.0 if largest <= _BRIGHTEST else 255.0
    raise UnitError(
        f'{name} holds {kind} up to {largest:g}, so nobody knows what is full '
        'brightness. Name it in rgb_options, as peak: 10000 for reflectance x 10 000.'
    )


def color_options(
    options: dict[str, Any] | None,
) -> tuple[list[int], float | None, bool]:
    """Check how color images are to be read.

    Args:
        options: ``bands``, ``peak`` and ``in_memory``, or some of them.

    Returns:
        Which bands, what is 1, and whether images are held in memory.

    Raises:
        ValueError: If there is no such option.
    """
    known = {'bands': [0, 1, 2], 'peak': None, 'in_memory': False}
    chosen = known | (options or {})
    if set(chosen) != set(known):
        raise ValueError(
            f'Expected rgb_options out of {", ".join(known)}, got {options}.'
        )
    return list(chosen['bands']), chosen['peak'], bool(chosen['in_memory'])
