# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes of any sensor in files of any supported format."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rasterio.crs import CRS
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from torch import Tensor
from torchgeo.datasets import NonGeoDataset

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, MetadataError
from ..io import CubeInfo, CubeReader, open_cube
from ..io.open import known_options
from ..physics import BandSet
from ._cube_files import find_files
from ._empty import EmptyBands
from ._handles import ReaderCache
from ._masks import CubeMasks
from ._place import place_of
from ._stored_numbers import keeps_stored
from .plotting import plot_sample


@dataclass(frozen=True)
class _Cube:
    """One file: what is known of it, and which bands to read."""

    info: CubeInfo
    indexes: tuple[int, ...]
    bands: BandSet | None


class HSICube(NonGeoDataset):
    """Hyperspectral cubes in ENVI, MATLAB, NetCDF, HDF5 or GeoTIFF files.

    Whole cubes, or windows of them in rows and columns. Many such files have no
    georeference (``.mat``) or one that does not share a grid with others, so this is no
    :class:`~torchgeo.datasets.GeoDataset`; place is still handed on where the files
    know it. For EnMAP scenes use :class:`EnMAPL2A`.

    Sample:

    * ``image``: float32 of shape ``(C, H, W)``; reflectance x 10 000 where the file
      declares a scale, else its own numbers; 0 without data
    * ``valid``: False where a selected band has no data, and outside of the cube; bool
      of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: micrometres, shape ``(C,)``, where known
    * ``mask``: classes, long of shape ``(H, W)``, where there are masks
    * ``bounds``, ``transform``: as in torchgeo's GeoDatasets, where all files have a
      georeference

    Example:
        .. code-block:: python

            cubes = HSICube(
                'flight.hdr', wavelength_unit='nm', patch_size=64, bands=[0.66, 0.56]
            )
            loader = DataLoader(cubes, batch_size=8, shuffle=True)
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike] = 'data',
        bands: Sequence[str | int | float] | None = None,
        patch_size: int | tuple[int, int] | None = None,
        stride: int | tuple[int, int] | None = None,
        mask_paths: PathLike | Sequence[PathLike] | None = None,
        mask_key: str | None = None,
        key: str | None = None,
        layout: str | None = None,
        wavelength: Sequence[float] | None = None,
        wavelength_unit: str | None = None,
        fwhm: Sequence[float] | None = None,
        nodata: float | None = None,
        scale: float | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
    ) -> None:
        """Initialize a new HSICube instance.

        Args:
            paths: Files, or a folder whose files are all taken.
            bands: Bands in the order wanted: names, positions (from 0), or wavelengths
                in micrometres (the nearest band). The bands that the file does not
                mark as bad, in its order, by default.
            patch_size: Rows and columns of a sample; the whole cube by default.
            stride: Rows and columns from one sample to the next; *patch_size* by
                default. The last sample of a row or column may reach over the edge.
            mask_paths: One class map for each file, in the same order.
            mask_key: Name of the class map in ``.mat``, NetCDF and HDF5 files: in the
                cube's own file, or in those of *mask_paths*.
            key: Name of the array in ``.mat``, NetCDF and HDF5 files.
            layout: Order of the axes in such files, ``'HWC'`` or ``'CHW'``.
            wavelength: Band centres, instead of those of the files.
            wavelength_unit: Unit of *wavelength* and *fwhm* (micrometres by default),
                or of the files' wavelengths where they do not say.
            fwhm: Band widths, instead of those of the files.
            nodata: Value of pixels without data, instead of that of the files.
            scale: Factor from stored numbers to values, instead of that of the files.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no files, or one of
                *paths* does not exist.
            CorruptFileError: If a file is empty, truncated or damaged.
            MetadataError: If metadata that must not be guessed are missing, or a kind
                of file lacks an option.
            BandMismatchError: If files differ in their number of bands, masks do not
                fit, or a patch or stride is no positive whole number.
            UnitError: If wavelengths look like nanometres.
        """
        self.paths = paths
        self.transforms = transforms
        files = find_files(paths)
        common = {
            'wavelength': wavelength,
            'wavelength_unit': wavelength_unit,
            'fwhm': fwhm,
            'nodata': nodata,
            'scale': scale,
        }
        opener = functools.partial(_open, common=common, key=key, layout=layout)
        self._readers = ReaderCache(opener, keep=cache)
        self._empty = EmptyBands()
        self._cubes = [self._cube(path, bands) for path in files]
        self._empty.warn()
        _check_alike(self._cubes)
        self._masks = CubeMasks(files, mask_paths, mask_key, keep=cache)
        self._windows = [
            (number, window)
            for number, cube in enumerate(self._cubes)
            for window in _windows(cube.info, patch_size, stride)
        ]
        self._has_place = all(
            cube.info.transform is not None and cube.info.crs is not None
            for cube in self._cubes
        )

    def _cube(self, path: str, bands: Sequence[str | int | float] | None) -> _Cube:
        """Open a file once and choose its bands."""
        with self._readers.opener(path) as reader:
            cube = self._select(reader.info, bands)
            self._empty.inspect(reader, cube.indexes)
            return cube

    @staticmethod
    def _select(info: CubeInfo, bands: Sequence[str | int | float] | None) -> _Cube:
        axis, path = info.bands, info.path
        if axis is not None:
            selected = axis.good_only() if bands is None else axis.select(bands)
            return _Cube(info, tuple(axis.indices(selected.names)), selected)
        if bands is None:
            return _Cube(info, tuple(range(info.shape[0])), None)
        indexes = [int(band) for band in bands if isinstance(band, int | np.integer)]
        if len(indexes) != len(bands):
            raise MetadataError(
                f'{path} carries no wavelengths, so its bands are chosen by position. '
                'Pass wavelength= and wavelength_unit= to choose by wavelength.'
            )
        count = info.shape[0]
        if any(not -count <= index < count for index in indexes):
            raise BandMismatchError(f'Expected bands 0 to {count - 1} of {path}.')
        return _Cube(info, tuple(index % count for index in indexes), None)

    @property
    def bandset(self) -> BandSet | None:
        """Selected bands of the first cube; None where it has no wavelengths."""
        return self._cubes[0].bands

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system of the first cube, or None."""
        return self._cubes[0].info.crs

    @property
    def files(self) -> list[str]:
        """The files, in order."""
        return [cube.info.path for cube in self._cubes]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each cube."""
        return [cube.info.shape[1:] for cube in self._cubes]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Number of the sample.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If a file is damaged.
        """
        sample = self.read_window(*self._windows[index])
        return sample if self.transforms is None else self.transforms(sample)

    def read_window(self, number: int, window: Window) -> Sample:
        """Read any window of a cube, without transforms.

        Args:
            number: Number of the file.
            window: Rows and columns; may reach over the edge of the cube.

        Returns:
            The sample, see the class.

        Raises:
            CorruptFileError: If a file is damaged.
        """
        cube = self._cubes[number]
        with self._readers.open(cube.info.path) as reader:
            part = reader.read_masked(cube.indexes, window, keeps_stored())
            self._empty.check(reader, cube.indexes, part.filled)
        sample: Sample = {
            'image': torch.from_numpy(part.values),
            'valid': torch.from_numpy(part.every),
        }
        if cube.bands is not None:
            sample['wavelength'] = _tensor(cube.bands.wavelength)
            if cube.bands.fwhm is not None:
                sample['fwhm'] = _tensor(cube.bands.fwhm)
        if self._masks:
            mask = self._masks.read(number, window, cube.info.shape[1:])
            sample['mask'] = torch.from_numpy(mask)
        return sample | self.place(number, window)

    def place(self, number: int, window: Window) -> dict[str, Tensor]:
        """Return ``bounds`` and ``transform`` of a window, if all cubes have a place.

        Args:
            number: Number of the file.
            window: Rows and columns.
        """
        return place_window(self._cubes[number].info, window) if self._has_place else {}

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false colour, masks and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no known wavelength is visible.
        """
        good = None if self.bandset is None else self.bandset.good
        # files do not say whether their numbers are reflectance
        return plot_sample(
            sample, show_titles=show_titles, suptitle=suptitle, good=good, scale=None
        )


def _open(
    path: str, common: dict[str, Any], key: str | None, layout: str | None
) -> CubeReader:
    """Open a file with those of the options that the caller set."""
    known = known_options(path)
    name = 'variable' if 'variable' in known else 'key'
    named = {name: key, 'layout': layout}
    needless = [n for n, v in named.items() if v is not None and n not in known]
    if needless:
        words = ' and '.join('layout=' if n == 'layout' else 'key=' for n in needless)
        raise MetadataError(
            f'{words} is for the arrays of MATLAB, NetCDF and HDF5 files, which {path} '
            'is not. Leave it out.'
        )
    options = {**common, **named}
    return open_cube(path, **{k: v for k, v in options.items() if v is not None})


def _check_alike(cubes: Sequence[_Cube]) -> None:
    """Check that samples of all files can be stacked."""
    first = cubes[0]
    for cube in cubes:
        same = (cube.bands is None) == (first.bands is None)
        if len(cube.indexes) != len(first.indexes) or not same:
            described = [
                f'{c.info.path} ({len(c.indexes)} bands, '
                f'{"with" if c.bands is not None else "without"} wavelengths)'
                for c in (first, cube)
            ]
            raise BandMismatchError(
                f'Expected the same kind of bands in all files, got {described[0]} and '
                f'{described[1]}. Choose with bands=, or use one HSICube for each kind.'
            )


def _pair(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    # users write them into configurations, so they may be anything
    pair: Any = value if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(length, Integral) for length in pair)
    if len(pair) != 2 or not whole or min(pair) < 1:
        raise BandMismatchError(
            f'Expected a positive {name}, one or two whole numbers, got {value!r}.'
        )
    return int(pair[0]), int(pair[1])


def _windows(
    info: CubeInfo,
    patch_size: int | tuple[int, int] | None,
    stride: int | tuple[int, int] | None,
) -> list[Window]:
    """List windows that cover a cube."""
    _, height, width = info.shape
    size = (height, width) if patch_size is None else _pair(patch_size, 'patch_size')
    step = size if stride is None else _pair(stride, 'stride')
    starts = [
        range(0, min(max(length - size[axis], 0) + step[axis], length), step[axis])
        for axis, length in enumerate((height, width))
    ]
    return [
        Window(column, row, size[1], size[0])
        for row in starts[0]
        for column in starts[1]
    ]


def place_window(info: CubeInfo, window: Window) -> dict[str, Tensor]:
    """Return where a window of a cube lies.

    Args:
        info: What is known about the cube.
        window: Rows and columns.

    Returns:
        ``bounds`` and ``transform``, in the form of torchgeo.
    """
    stamp = pd.to_datetime(info.start, errors='coerce', utc=True)
    time = None if info.start is None or pd.isna(stamp) else stamp.tz_localize(None)
    transform = window_transform(window, info.transform)
    return place_of(transform, (window.height, window.width), time)


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
