# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP L2A scenes."""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
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
from ..io import EnMAPL2AReader
from ..io.enmap import QUALITY_LAYERS, check_layers, warn_nominal, warn_widths
from ..physics import BandSet, get_sensor
from ._empty import EmptyBands
from ._grid import Grid, check_resolution, native_resolution, read_tile
from ._handles import ReaderCache
from ._index import Record, build_index, find_scenes
from ._joined import Joinable
from ._mosaic import Mosaic
from .plotting import plot_sample

#: Quality layers that flag pixels by default, as far as a scene has them. Thin cirrus
#: and snow leave the spectrum usable, and a pixel with one defective band of 202 is
#: interpolated in the product, so these are for the user to choose.
DEFAULT_QUALITY = ('cloud', 'cloudshadow', 'haze', 'thick_cirrus')


@dataclass(frozen=True)
class _Scene:
    """What is needed to read a scene."""

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


class EnMAPL2A(Joinable, RasterDataset):
    """`EnMAP <https://www.enmap.org/>`__ L2A surface reflectance.

    Product folders of DLR (``*-METADATA.XML``, ``*-SPECTRAL_IMAGE.TIF`` or its COG, and
    the ``QL_QUALITY_*`` layers), or bare GeoTIFFs with the bands of EnMAP.

    Sample:

    * ``image``: reflectance x 10 000, float32 of shape ``(C, H, W)``; 0 without data
    * ``valid``: False where a selected band has no data, where a quality layer flags
      the pixel, and outside of the scene; bool of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: of this very scene, micrometres, shape ``(C,)``
    * ``bounds``, ``transform``: as in torchgeo

    Bands are the 202 that the literature keeps, in the order of wavelength, unless
    *bands* says otherwise. Where scenes overlap, each pixel comes from the first scene
    where it is valid, and the wavelengths from the scene that gives most pixels; use
    a query or sampler with a time to choose. ``a | b`` does the same for two datasets.

    Pixels are returned as stored where CRS and pixel size are those of the scene.
    Elsewhere values are interpolated between pixels that have data, and masks take the
    nearest pixel.

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1016/j.rse.2024.114379

    Example:
        .. code-block:: python

            scenes = EnMAPL2A('data/enmap', bands=[0.66, 0.56, 0.49, 'B72'])
            sampler = RandomPatchSampler(scenes, size=128)
            loader = DataLoader(scenes, sampler=sampler, collate_fn=stack_samples)
    """

    all_bands = tuple(f'B{n}' for n in range(1, 225))
    rgb_bands = ('B44', 'B29', 'B11')

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike] = 'data',
        crs: PROJ_CRS | None = None,
        res: float | tuple[float, float] | None = None,
        bands: Sequence[str | int | float] | None = None,
        quality: Sequence[str] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
    ) -> None:
        """Initialize a new EnMAPL2A instance.

        Args:
            paths: Folders to search, product folders, metadata files or images.
            crs: CRS to warp to (that of the first scene by default).
            res: Pixel size in units of the CRS, one number or ``(x, y)`` (that of the
                first scene by default).
            bands: Bands in the order wanted: names (``'B48'``, the number on the
                detectors), positions in the first file (from 0), or wavelengths in
                micrometres (its nearest band). The 202 bands outside of the water
                vapour windows, by wavelength, by default.
            quality: Quality layers that make pixels invalid, see
                :class:`~torchgeo_hsi.io.EnMAPL2AReader`; ``()`` for none. Each scene
                has to have the layers named here. By default ``'cloud'``,
                ``'cloudshadow'``, ``'haze'`` and ``'thick_cirrus'``, as far as a scene
                has them.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If one of *paths* does not exist or
                leads to no scene.
            ValueError: If *res* is not positive.
            CorruptFileError: If a file is empty, truncated or damaged.
            MetadataError: If a quality layer is unknown or missing, or a scene has no
                georeference.
            UnitError: If a wavelength in *bands* looks like nanometres.
            UnknownNameError: If a band does not exist.
            BandMismatchError: If the bands of a file are not those of EnMAP, or lack a
                selected one.
        """
        self.paths = paths
        self.transforms = transforms
        self.cache = cache
        self.time_series = False
        pixel = None if res is None else check_resolution(res)
        self.quality = None if quality is None else check_layers(quality)
        opener = functools.partial(EnMAPL2AReader, warn=False)
        self._readers = ReaderCache(opener, keep=cache)
        self._scenes: dict[str, _Scene] = {}
        self._empty = EmptyBands()
        records = list(self._open_scenes(bands))
        self._warn(records)
        self.bands = self.bandset.names
        self.index: GeoDataFrame = build_index(records, crs)
        self._res = pixel or native_resolution(records[0].info, self._rasterio_crs())

    def _open_scenes(
        self, bands: Sequence[str | int | float] | None
    ) -> Iterator[Record]:
        """Open each scene once and remember what is needed to read it."""
        wanted = bands
        for path in find_scenes(self.paths):
            with EnMAPL2AReader(path, warn=False) as reader:
                axis = reader.info.bands
                assert axis is not None
                if bands is not None and not self._scenes:
                    # positions and wavelengths are those of the first scene
                    wanted = axis.select(bands).names
                scene = self._scene(reader, axis, wanted)
                self._scenes[path] = scene
                self._empty.inspect(reader, scene.indexes)
                meta = reader.metadata
                stop = None if meta is None else meta.stop
                yield Record(reader.info, stop, is_product=meta is not None)

    def _scene(
        self,
        reader: EnMAPL2AReader,
        axis: BandSet,
        bands: Sequence[str | int | float] | None,
    ) -> _Scene:
        """Find the selected bands and the quality layers of a scene."""
        try:
            if bands is None:
                # scenes are shifted, so the order in the overlap of the detectors is
                # that of the scene and not that of the nominal table
                kept = get_sensor('enmap').default_bands
                selected = axis.select(kept).by_wavelength()
            else:
                selected = axis.select(bands)
        except UnknownNameError as error:
            raise BandMismatchError(
                f'{reader.info.path} has {len(axis)} bands, but not all that were '
                f'selected: {error} Choose bands that every scene has.'
            ) from error
        existing = reader.quality_layers
        if self.quality is None:
            layers = tuple(name for name in DEFAULT_QUALITY if name in existing)
        else:
            layers = self.quality
        missing = [name for name in layers if name not in existing]
        if missing:
            raise MetadataError(
                f'{reader.info.path} has no quality layer {", ".join(missing)}. Copy '
                'the QL_* files of the product beside it, or leave it out of quality=.'
            )
        return _Scene(tuple(axis.indices(selected.names)), selected, layers)

    def _warn(self, records: list[Record]) -> None:
        """Say, once for all scenes, what had to be assumed."""
        self._empty.warn()
        nominal = [r.info.path for r in records if r.info.spectral_source == 'nominal']
        if nominal:
            warn_nominal(nominal)
        products = [record.info for record in records if record.is_product]
        bare = [
            p.path for p in products if p.bands is not None and p.bands.fwhm is None
        ]
        if bare:
            warn_widths(bare)
        if self.quality is None:
            self._warn_of_layers([product.path for product in products])

    def _warn_of_layers(self, products: list[str]) -> None:
        """Name the default quality layers that products lack."""
        lacking = {
            name: [path for path in products if name not in self._scenes[path].layers]
            for name in DEFAULT_QUALITY
        }
        words = [
            f'{QUALITY_LAYERS[name][0]} ({len(paths)} of {len(products)} scenes, such '
            f'as {paths[0]})'
            for name, paths in lacking.items()
            if paths
        ]
        if words:
            warnings.warn(
                'Scenes lie beside their metadata, but without quality layers of their '
                f'product, so pixels that these flag, such as clouds, stay valid: '
                f'{", ".join(words)}. Copy the layers, or pass quality= with the layers '
                'to use, () for none, to say that this is meant.',
                HSIWarning,
                stacklevel=4,
            )

    @property
    def bandset(self) -> BandSet:
        """Selected bands of the first scene, in the order of the samples."""
        return next(iter(self._scenes.values())).bands

    @property
    def files(self) -> list[str]:
        """Spectral images, in the order in which they are preferred."""
        return list(self._scenes)

    def _rasterio_crs(self) -> CRS:
        return _to_rasterio(self.crs)

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
        x, y, t = self._disambiguate_slice(index)
        rows = self.index.iloc[
            self.index.index.overlaps(pd.Interval(t.start, t.stop))
        ].iloc[:: t.step]
        rows = rows.cx[x.start : x.stop, y.start : y.stop]
        if rows.empty:
            raise IndexError(
                f'index: {index} not found in dataset with bounds: {self.bounds}'
            )
        grid = Grid.from_slices(x, y, self._rasterio_crs())
        mosaic, main = self._read(rows.filepath, grid)
        sample: Sample = {
            'bounds': self._slice_to_tensor(index),
            'transform': torch.tensor(tuple(grid.transform)),
            'image': torch.from_numpy(mosaic.image),
            'valid': torch.from_numpy(mosaic.valid),
            **self._scenes[main].spectral_axis(),
        }
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, paths: Iterable[str], grid: Grid) -> tuple[Mosaic, str]:
        """Read scenes on a grid; name the one that gives most pixels."""
        mosaic = Mosaic((len(self.bands), grid.height, grid.width))
        counts: dict[str, int] = {}
        for path in paths:
            scene = self._scenes[path]
            counts[path] = 0
            with self._readers.open(path) as reader:
                assert isinstance(reader, EnMAPL2AReader)
                tile = read_tile(reader, scene.indexes, grid, scene.layers)
                if tile is not None:
                    self._empty.check(reader, scene.indexes, tile.filled)
                    counts[path] = mosaic.add(tile)
            if mosaic.is_complete:
                break
        return mosaic, max(counts, key=counts.__getitem__)

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


@functools.lru_cache(maxsize=8)
def _to_rasterio(crs: PROJ_CRS) -> CRS:
    # parsing WKT takes longer than reading a small patch
    return CRS.from_user_input(crs)
