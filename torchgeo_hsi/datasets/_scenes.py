# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What datasets of scenes of one sensor have in common."""

import copy
import dataclasses
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from geopandas import GeoDataFrame
from matplotlib.figure import Figure
from pyproj import CRS as PROJ_CRS
from rasterio.crs import CRS
from torch import Tensor
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, HSIWarning, MetadataError, UnknownNameError
from ..io import CubeInfo, CubeReader, open_cube
from ..io.store import is_store
from ..physics import BandSet
from ._empty import EmptyBands
from ._grid import Grid, Tile, read_tile
from ._handles import ReaderCache
from ._index import build_index, query_scenes
from ._joined import Joinable
from ._mosaic import Mosaic
from ._resolution import check_resolution, native_resolution, to_rasterio
from .plotting import plot_sample

#: Warnings point at the code that made the dataset, however deep its class is.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True)
class SceneOpener:
    """Opens scenes, as products or as stores.

    Args:
        product: Opens a product of the sensor.
    """

    product: Callable[[str], CubeReader]

    def __call__(self, path: str) -> CubeReader:
        """Open a scene.

        Args:
            path: File of a product, or folder of a store.
        """
        return open_cube(path) if is_store(path) else self.product(path)


@dataclass(frozen=True)
class SelectedScene:
    """What is needed to read a scene.

    Args:
        indexes: Selected bands, from 0, in the order of the samples.
        bands: The same bands, with the wavelengths of this scene.
        layers: Quality layers that make pixels invalid.
    """

    indexes: tuple[int, ...]
    bands: BandSet
    layers: tuple[str, ...]

    def spectral_axis(self) -> dict[str, Tensor]:
        """Return the wavelengths and, if known, the widths of a sample."""
        axis = {'wavelength': self.bands.wavelength, 'fwhm': self.bands.fwhm}
        return {
            key: torch.tensor(values, dtype=torch.float32)
            for key, values in axis.items()
            if values is not None
        }


class SceneDataset(Joinable, RasterDataset):
    """Scenes of one sensor, as a torchgeo dataset.

    A subclass names its :attr:`sensor` and says how scenes are found
    (:meth:`_find_scenes`) and opened (:meth:`_opener`). It may also choose other bands
    (:meth:`_default_bands`), check the names of quality layers
    (:meth:`_check_quality`), look at each open scene (:meth:`_inspect`), warn
    (:meth:`_warn`) and add to samples (:meth:`_read_more`).
    """

    #: ``CubeInfo.sensor`` of every scene.
    sensor: ClassVar[str]

    #: Quality layers that a product may have; None if nothing is known about that.
    known_quality: ClassVar[tuple[str, ...] | None] = None

    #: Quality layers that flag pixels by default, as far as a scene has them.
    default_quality: ClassVar[tuple[str, ...]] = ()

    #: Scenes that are kept open between samples.
    open_scenes: ClassVar[int] = 32

    #: What to do about quality layers that a scene lacks.
    quality_hint: ClassVar[str] = 'Leave it out of quality=.'

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike],
        crs: PROJ_CRS | None,
        res: float | tuple[float, float] | None,
        bands: Sequence[str | int | float] | None,
        quality: Sequence[str] | None,
        transforms: Callable[[Sample], Sample] | None,
        cache: bool,
    ) -> None:
        """Initialize a new SceneDataset instance.

        Args:
            paths: Where scenes are.
            crs: CRS to warp to (that of the first scene by default).
            res: Pixel size in units of the CRS (that of the first scene by default).
            bands: Names, positions in the first scene, or wavelengths; the default
                bands of the sensor by default.
            quality: Quality layers that make pixels invalid; :attr:`default_quality`,
                as far as a scene has them, by default.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.
        """
        self.paths = paths
        self.transforms = transforms
        self.cache = cache
        self.time_series = False
        pixel = None if res is None else check_resolution(res)
        self.quality = None if quality is None else self._check_quality(quality)
        self._readers = ReaderCache(
            SceneOpener(self._opener()), cache, self.open_scenes
        )
        self._scenes: dict[str, SelectedScene] = {}
        self._empty = EmptyBands()
        infos = list(self._open_scenes(bands))
        self._empty.warn()
        self._warn(infos)
        self.bands = self.bandset.names
        self.index: GeoDataFrame = build_index(infos, crs)
        self._res = pixel or native_resolution(infos[0], self._rasterio_crs())

    @abstractmethod
    def _find_scenes(self) -> list[str]:
        """Find the scenes behind ``paths``.

        Returns:
            What :meth:`_opener` or a reader of stores opens, each scene once, at least
            one; the same as ``info.path`` of the open scene.

        Raises:
            DataNotFoundError: If one of the paths leads to no scene.
        """

    @abstractmethod
    def _opener(self) -> Callable[[str], CubeReader]:
        """Return the function that opens a product; it has to survive pickle."""

    def _default_bands(self, axis: BandSet) -> BandSet:
        """Select the default bands of a scene: those that it marks as good."""
        return axis.good_only()

    def _check_quality(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Check names of quality layers; each comes once."""
        # a lone string would be taken letter by letter
        names = tuple(dict.fromkeys([layers] if isinstance(layers, str) else layers))
        known = self.known_quality
        unknown = [] if known is None else [name for name in names if name not in known]
        if known is not None and unknown:
            raise MetadataError(
                f'Unknown quality layers {", ".join(map(repr, unknown))}. '
                f'Known: {", ".join(known)}.'
            )
        return names

    def _inspect(self, reader: CubeReader) -> None:
        """Look at an open scene, while the dataset is made."""

    def _warn(self, infos: list[CubeInfo]) -> None:
        """Say, once for all scenes, what had to be assumed."""
        if self.quality is None:
            self._warn_of_layers([info.path for info in infos])

    def _warn_of_layers(self, paths: list[str]) -> None:
        """Name the default quality layers that scenes lack.

        Args:
            paths: Scenes that ought to have them.
        """
        lacking = {
            name: [path for path in paths if name not in self._scenes[path].layers]
            for name in self.default_quality
        }
        words = [
            f'{self._describe_layer(name)} ({len(found)} of {len(paths)} scenes, such '
            f'as {found[0]})'
            for name, found in lacking.items()
            if found
        ]
        if words:
            warnings.warn(
                'Scenes lie beside their metadata, but without quality layers of their '
                f'product, so pixels that these flag, such as clouds, stay valid: '
                f'{", ".join(words)}. Copy the layers, or pass quality= with the layers '
                'to use, () for none, to say that this is meant.',
                HSIWarning,
                skip_file_prefixes=(_PACKAGE,),
            )

    def _describe_layer(self, name: str) -> str:
        """Return what a user has to look for to find a quality layer."""
        return name

    def _open_scenes(
        self, bands: Sequence[str | int | float] | None
    ) -> Iterator[CubeInfo]:
        """Open each scene once and remember what is needed to read it."""
        wanted = bands
        for path in self._find_scenes():
            with self._readers.opener(path) as reader:
                axis = self._axis(reader)
                if bands is not None and not self._scenes:
                    # positions and wavelengths are those of the first scene
                    wanted = axis.select(bands).names
                scene = self._select(reader, axis, wanted)
                self._scenes[path] = scene
                self._empty.inspect(reader, scene.indexes)
                self._inspect(reader)
                yield reader.info

    def _axis(self, reader: CubeReader) -> BandSet:
        """Return the bands of a scene, if it is one of this sensor."""
        info = reader.info
        if info.sensor != self.sensor or info.bands is None:
            raise BandMismatchError(
                f'Expected scenes of {self.sensor}, got {info.path}, a cube of '
                f'{info.sensor}. Open it with the dataset of that sensor, or with '
                'HSICube.'
            )
        return info.bands

    def _select(
        self,
        reader: CubeReader,
        axis: BandSet,
        bands: Sequence[str | int | float] | None,
    ) -> SelectedScene:
        """Find the selected bands and the quality layers of a scene."""
        try:
            chosen = self._default_bands(axis) if bands is None else axis.select(bands)
        except UnknownNameError as error:
            raise BandMismatchError(
                f'{reader.info.path} has {len(axis)} bands, but not all that were '
                f'selected: {error} Choose bands that every scene has.'
            ) from error
        existing = reader.quality_layers
        if self.quality is None:
            layers = tuple(name for name in self.default_quality if name in existing)
        else:
            layers = self.quality
        missing = [name for name in layers if name not in existing]
        if missing:
            raise MetadataError(
                f'{reader.info.path} has no quality layer {", ".join(missing)}. '
                f'{self.quality_hint}'
            )
        return SelectedScene(tuple(axis.indices(chosen.names)), chosen, layers)

    @property
    def bandset(self) -> BandSet:
        """Selected bands of the first scene, in the order of the samples."""
        return next(iter(self._scenes.values())).bands

    @property
    def files(self) -> list[str]:
        """Scenes, in the order in which they are preferred."""
        return list(self._scenes)

    def few_bands(self, count: int = 3) -> Self:
        """Return the same scenes with a few of the bands, without transforms.

        To see where there is data and what quality layers flag, at a part of the cost.
        A pixel that only other bands lack looks valid.

        Args:
            count: Number of bands, spread over those of this dataset.

        Returns:
            A dataset like this one.
        """
        places = np.unique(np.linspace(0, len(self.bands) - 1, count).round())
        few = copy.copy(self)
        few.transforms = None
        few._scenes = {
            path: dataclasses.replace(
                scene,
                indexes=tuple(scene.indexes[int(i)] for i in places),
                bands=scene.bands.select([int(i) for i in places]),
            )
            for path, scene in self._scenes.items()
        }
        few.bands = few.bandset.names
        return few

    def _rasterio_crs(self) -> CRS:
        return to_rasterio(self.crs)

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Retrieve a sample.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax:tres]`` coordinates.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If *index* is not found in the dataset.
            CorruptFileError: If a file is damaged.
        """
        rows, grid = query_scenes(self, index)
        mosaic, main = self._read(rows.filepath, grid)
        sample: Sample = {
            'bounds': self._slice_to_tensor(index),
            'transform': torch.tensor(tuple(grid.transform)),
            'image': torch.from_numpy(mosaic.image),
            'valid': torch.from_numpy(mosaic.valid),
            **self._scenes[main].spectral_axis(),
        }
        if mosaic.pan is not None:
            sample['pan'] = torch.from_numpy(mosaic.pan)
        sample |= self._read_more(grid)
        return sample if self.transforms is None else self.transforms(sample)

    def _read_more(self, grid: Grid) -> Sample:
        """Read what a dataset knows beside the image, before transforms see it."""
        return {}

    def _read(self, paths: Iterable[str], grid: Grid) -> tuple[Mosaic, str]:
        """Read scenes on a grid; name the one that gives most pixels."""
        mosaic = Mosaic((len(self.bands), grid.height, grid.width))
        counts: dict[str, int] = {}
        for path in paths:
            scene = self._scenes[path]
            counts[path] = 0
            with self._readers.open(path) as reader:
                tile = self._read_tile(reader, scene, grid)
                if tile is not None:
                    self._empty.check(reader, scene.indexes, tile.filled)
                    counts[path] = mosaic.add(tile)
            if mosaic.is_complete:
                break
        return mosaic, max(counts, key=counts.__getitem__)

    def _read_tile(
        self, reader: CubeReader, scene: SelectedScene, grid: Grid
    ) -> Tile | None:
        """Read a scene on a grid; None if it does not touch the grid."""
        return read_tile(reader, scene.indexes, grid, scene.layers)

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false colour, masks and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a ``mask``
                and a ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If there is no visible band.
        """
        return plot_sample(
            sample, show_titles=show_titles, suptitle=suptitle, good=self.bandset.good
        )
