# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes from files, folders, patterns and datasets."""

import fnmatch
import functools
import glob
import os
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch.utils.data import ConcatDataset
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..datasets._cube_files import SUFFIXES
from ..datasets._index import DataNotFoundError
from ..datasets._stored_numbers import stored_numbers
from ..errors import EmptyDataError, MetadataError, NodataWarning
from ..io import CubeReader, open_cube
from ..io._files import siblings
from ..io.open import known_options
from ..io.store import is_store
from ..samplers._grid import PixelGrid
from ..scenes._numbers import Scaling
from ._cubes import Cube

type Source = str | NonGeoDataset | GeoDataset
type Sources = Source | Sequence[Source]


def as_list(sources: Sources | None) -> list[Source]:
    """Return one or several sources as a list."""
    if sources is None:
        return []
    if isinstance(sources, str | os.PathLike | NonGeoDataset | GeoDataset):
        return [sources]
    return list(sources)


def find_cubes(path: str, exclude: Iterable[str] = ()) -> list[str]:
    """Find the files that a path stands for.

    Args:
        path: File, product folder, folder of files, or a pattern of these with ``*``.
        exclude: Patterns of names that are left out, with or without their suffix.

    Returns:
        What :func:`~torchgeo_hsi.io.open_cube` opens.

    Raises:
        torchgeo.datasets.DatasetNotFoundError: If there is none.
    """
    found = [path]
    if glob.has_magic(path) and not os.path.exists(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise DataNotFoundError(
                f'No file fits {path}. Check the pattern; relative paths start at '
                f'{os.getcwd()}.'
            )
    files = [file for entry in found for file in _files(entry)]
    patterns = list(exclude)
    return [file for file in files if not _fits(file, patterns)]


def _fits(file: str, patterns: list[str]) -> bool:
    name = os.path.basename(os.path.normpath(file))
    names = (name, os.path.splitext(name)[0])
    return any(fnmatch.fnmatch(n, pattern) for n in names for pattern in patterns)


def _files(path: str) -> list[str]:
    if '://' in path or os.path.isfile(path) or path.startswith('/vsi'):
        return [path]
    if not os.path.isdir(path):
        raise DataNotFoundError(f'{path} does not exist. Check the path.')
    inside = siblings(path)
    if is_store(path) or any('spectral_image' in name for name in inside):
        # products of EnMAP and DESIS, and our own stores
        return [path]
    files = sorted(full for name, full in inside.items() if name.endswith(SUFFIXES))
    if not files:
        raise DataNotFoundError(
            f'The folder {path} holds no file that ends in {", ".join(SUFFIXES)}.'
        )
    return files


def open_with(path: str, options: Mapping[str, Any]) -> CubeReader:
    """Open a file with those of the options that its reader knows.

    Args:
        path: The file.
        options: Options of :func:`~torchgeo_hsi.io.open_cube`.

    Returns:
        The open file.

    Raises:
        MetadataError: If no reader knows an option.
    """
    known = known_options(path)
    unknown = sorted(set(options) - set(known) - _ALL_OPTIONS)
    if unknown:
        raise MetadataError(
            f'No reader has the option {", ".join(unknown)}. The one of {path} has '
            f'{", ".join(known)}.'
        )
    return open_cube(path, **{k: v for k, v in options.items() if k in known})


#: Options that readers of other files have: of a folder with several kinds.
_ALL_OPTIONS = frozenset(
    [
        'wavelength',
        'wavelength_unit',
        'fwhm',
        'nodata',
        'scale',
        'key',
        'layout',
        'variable',
        'overlap',
    ]
)


def usable_bands(reader: CubeReader) -> list[int]:
    """Name the bands that the file does not mark as bad, from 0.

    Args:
        reader: The open file.
    """
    axis = reader.info.bands
    count = reader.info.shape[0]
    return list(range(count)) if axis is None else np.flatnonzero(axis.good).tolist()


def read_file(path: str, options: Mapping[str, Any]) -> Sample:
    """Read a whole file, without bands that are bad or hold no data.

    Args:
        path: The file.
        options: Options of its reader.

    Returns:
        The sample; the image has the data type of the file, where that loses nothing.

    Raises:
        EmptyDataError: If no band has data.
    """
    with open_with(path, options) as reader:
        bands = usable_bands(reader)
        part = reader.read_masked(bands, stored=True)
        if not part.filled.any():
            raise EmptyDataError(
                f'{path} holds no data. Check its nodata value ({reader.info.nodata}).'
            )
        if not part.filled.all():
            # one empty band makes all pixels invalid
            bands = [b for b, full in zip(bands, part.filled, strict=True) if full]
            part = reader.read_masked(bands, stored=True)
        sample: Sample = {
            'image': torch.from_numpy(part.values),
            'valid': torch.from_numpy(part.every),
        }
        axis = reader.info.bands
        for key in ('wavelength', 'fwhm'):
            values = None if axis is None else getattr(axis, key)
            if values is not None:
                sample[key] = torch.tensor(values[bands], dtype=torch.float32)
        return sample


def dataset_samples(dataset: NonGeoDataset | GeoDataset) -> Iterator[Sample]:
    """Go through a dataset: sample by sample, or scene by scene.

    Args:
        dataset: The dataset.

    Yields:
        Samples, whose images may be as they are stored.
    """
    with stored_numbers():
        if isinstance(dataset, GeoDataset):
            grid = PixelGrid(dataset)
            for scene in grid.scenes(dataset, None):
                yield dataset[grid.query(*scene[:5])]
        else:
            for index in range(len(dataset)):
                yield dataset[index]


def load_cubes(
    sources: Sources | None,
    scaling: Scaling,
    options: Mapping[str, Any],
    exclude: Iterable[str] = (),
    clean: bool = False,
) -> list[Cube]:
    """Read cubes into memory.

    Args:
        sources: Paths and datasets.
        scaling: What 0 and 1 are to be.
        options: Options of the readers.
        exclude: Patterns of the names of files that are left out.
        clean: Whether to take the target for the image.

    Returns:
        The cubes. Those without any valid pixel are left out, with a warning.

    Raises:
        torchgeo.datasets.DatasetNotFoundError: If a path leads to nothing.
        EmptyDataError: If no cube is left.
    """
    cubes = []
    for name, sample in _samples(sources, options, exclude):
        try:
            if isinstance(sample, EmptyDataError):
                raise sample
            cube = Cube.of_sample(sample, scaling, name)
            cubes.append(cube.clean() if clean else cube)
        except EmptyDataError as error:
            warnings.warn(f'{error} It is left out.', NodataWarning, stacklevel=2)
    if not cubes:
        raise EmptyDataError(
            f'No cube with data is left of {_names(as_list(sources))}. Check the paths, '
            'exclude= and nodata values.'
        )
    return cubes


def _samples(
    sources: Sources | None, options: Mapping[str, Any], exclude: Iterable[str]
) -> Iterator[tuple[str, Sample | EmptyDataError]]:
    for source in as_list(sources):
        if isinstance(source, NonGeoDataset | GeoDataset):
            title = type(source).__name__
            for number, sample in enumerate(dataset_samples(source)):
                yield f'{title}[{number}]', sample
            continue
        for path in find_cubes(os.fspath(source), exclude):
            try:
                yield path, read_file(path, options)
            except EmptyDataError as error:
                yield path, error


def _names(sources: list[Source]) -> str:
    names = [s if isinstance(s, str) else type(s).__name__ for s in sources]
    return ', '.join(names) or 'nothing'


class LazyCubes(Sequence[Cube]):
    """Cubes that are read each time they are asked for, all alike.

    Subclasses define :meth:`__len__` and :meth:`read`.
    """

    @abstractmethod
    def read(self, index: int) -> Cube:
        """Read a cube.

        Args:
            index: Its number.

        Raises:
            EmptyDataError: If there is no valid pixel.
        """

    @overload
    def __getitem__(self, index: int) -> Cube: ...
    @overload
    def __getitem__(self, index: slice) -> list[Cube]: ...
    def __getitem__(self, index: int | slice) -> Cube | list[Cube]:
        """Read one or several cubes.

        Args:
            index: Their number.

        Raises:
            EmptyDataError: If there is no valid pixel.
        """
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        return self.read(index)

    @functools.cached_property
    def first(self) -> Cube:
        """The first cube with data, which stands for all of them."""
        for index in range(len(self)):
            try:
                return self.read(index)
            except EmptyDataError:
                continue
        raise EmptyDataError('No patch of the dataset holds data.')


class StreamedCubes(LazyCubes):
    """Cubes of datasets of patches.

    Args:
        sources: Datasets without a grid, such as those of patches.
        scaling: What 0 and 1 are to be.
        clean: Whether to take the target for the image.

    Raises:
        MetadataError: If there are other sources.
    """

    def __init__(self, sources: Sources | None, scaling: Scaling, clean: bool) -> None:
        """Initialize a new StreamedCubes instance; see the class for the arguments."""
        listed = as_list(sources)
        datasets = [source for source in listed if isinstance(source, NonGeoDataset)]
        if len(datasets) < len(listed) or not datasets:
            raise MetadataError(
                'in_memory=False is for datasets of patches, such as SpectralEarth, '
                f'got {_names(listed)}. Files and scenes are held in memory.'
            )
        self._dataset: ConcatDataset[Sample] = ConcatDataset(datasets)
        self._scaling = scaling
        self._clean = clean

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self._dataset)

    def read(self, index: int) -> Cube:
        """Read a patch.

        Args:
            index: Its number.

        Raises:
            EmptyDataError: If there is no valid pixel.
        """
        with stored_numbers():
            sample = self._dataset[index]
        cube = Cube.of_sample(sample, self._scaling, f'sample {index}')
        return cube.clean() if self._clean else cube


class ChosenCubes(LazyCubes):
    """Some bands of cubes.

    Args:
        cubes: The cubes.
        bands: Positions from 0, or wavelengths in micrometres.
    """

    def __init__(self, cubes: LazyCubes, bands: Sequence[int | float]) -> None:
        """Initialize a new ChosenCubes instance; see the class for the arguments."""
        self._cubes = cubes
        self._bands = tuple(bands)

    def __len__(self) -> int:
        """Return the number of cubes."""
        return len(self._cubes)

    def read(self, index: int) -> Cube:
        """Read a cube.

        Args:
            index: Its number.

        Raises:
            EmptyDataError: If there is no valid pixel.
        """
        return self._cubes.read(index).select(self._bands)
