# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Simulated EnMAP L2A scenes with their truth."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from pyproj import CRS as PROJ_CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from torch import Tensor

from .._typing import PathLike, Sample
from ..errors import CorruptFileError, MetadataError
from ..io import GeoTIFFReader
from ..io.geotiff import open_raster
from ..io.simulated import (
    GAS_PART,
    TRUTH_PARTS,
    differences,
    read_config,
    simulate_enmap,
    truth_file,
)
from ..physics.simulation import LAND_COVER, PlumeSource, SceneConfig
from ._grid import Grid, read_tile
from ._handles import ReaderCache
from ._index import DataNotFoundError
from .enmap_l2a import EnMAPL2A
from .plotting import plot_sample


class SimulatedEnMAP(EnMAPL2A):
    """An EnMAP L2A scene from a physical simulator, with its truth.

    Spectra come from models of leaves, canopies, soils and waters and from curves of
    built surfaces, all published; they are mixed linearly within the pixels of a
    landscape with rivers, forests, fields and towns; slope, sun, clouds, shadows, the
    bands of EnMAP, noise, stripes and residuals of the processing turn them into a
    product. See :mod:`torchgeo_hsi.physics.simulation`.

    The product is written to *root* on first use, in the format of the real one. The
    same arguments give the same scene. Nothing is downloaded.

    Sample, besides what :class:`EnMAPL2A` returns:

    * ``mask``: class with the largest share of the pixel, long of shape ``(H, W)``;
      :attr:`ignore_index` outside of the swath. Under clouds, it is the ground
    * ``target``: if asked for, the same bands as ``image`` without noise, stripes,
      clouds, shadows and residuals, float32 of shape ``(C, H, W)``
    * ``abundance``: if asked for, the share of each class, float32 of shape
      ``(K, H, W)``, sums to 1 in the swath
    * ``enhancement``: if asked for, the gas of the plume in ppm m, float32 of shape
      ``(1, H, W)``; 0 outside of the swath, and everywhere in scenes without plume

    A plume darkens ``image`` and ``target`` alike, as part of the signal.

    Example:
        .. code-block:: python

            scene = SimulatedEnMAP('data/scene', size=128, seed=1)
            sample = scene[scene.bounds]
            scene.plot(sample)
    """

    #: Names of the classes, in the order of their codes.
    classes: ClassVar[tuple[str, ...]] = tuple(cover.name for cover in LAND_COVER)

    #: Colour of each class.
    class_colors: ClassVar[tuple[str, ...]] = tuple(
        '#{:02x}{:02x}{:02x}'.format(*cover.color) for cover in LAND_COVER
    )

    #: Value of ``mask`` where there is no truth.
    ignore_index: ClassVar[int] = 255

    def __init__(
        self,
        root: PathLike = 'data/simulated_enmap',
        size: int | tuple[int, int] | None = None,
        seed: int | None = None,
        cloud_cover: float | None = None,
        footprint: bool | None = None,
        noise: float | None = None,
        bands: Sequence[str | int | float] | None = None,
        quality: Sequence[str] | None = None,
        target: bool = False,
        abundance: bool = False,
        crs: PROJ_CRS | None = None,
        res: float | tuple[float, float] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        generate: bool = True,
        cache: bool = True,
        plume: PlumeSource | dict[str, Any] | None = None,
        enhancement: bool = False,
    ) -> None:
        """Initialize a new SimulatedEnMAP instance.

        Of the scene, None means what *root* holds already, or the default.

        Args:
            root: Folder of the product.
            size: Rows and columns in pixels of 30 m, one number for both (256 by
                default).
            seed: Seed of everything random (0 by default).
            cloud_cover: Share of the imaged pixels under cloud (0.05 by default).
            footprint: Whether the swath is tilted as in a real product, so that the
                corners of the raster are empty (True by default).
            noise: Factor on noise and stripes (1 by default).
            bands: Bands in the order wanted, see :class:`EnMAPL2A`.
            quality: Quality layers that make pixels invalid, see :class:`EnMAPL2A`.
            target: Whether samples have the clean cube.
            abundance: Whether samples have the shares of the classes.
            crs: CRS to warp to (UTM zone 33 N by default).
            res: Pixel size in units of the CRS (30 m by default).
            transforms: Function that takes a sample and returns a changed one.
            generate: Whether to simulate the scene if *root* does not hold it.
            cache: Whether to keep files open between samples.
            plume: A plume of gas over the scene (none by default):
                :class:`~torchgeo_hsi.physics.simulation.PlumeSource`, or its arguments
                by name.
            enhancement: Whether samples have the enhancement of the plume.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there is no product and *generate* is False.
            MetadataError: If *root* holds another scene than the one asked for.
            ValueError: If a value is out of its range.
            OutputError: If *root* holds something else than a simulated scene, or the
                product cannot be written.
            CorruptFileError: If a file is missing, truncated or damaged.
            UnknownNameError: If a band or gas does not exist.
        """
        self.root = root
        self.paths = root
        source = PlumeSource.of(plume)
        wanted = _wanted(size, seed, cloud_cover, footprint, noise, source)
        found = read_config(root)
        if found is None:
            if not generate:
                raise DataNotFoundError(
                    f'{os.fspath(root)} holds no simulated scene, and generate=False '
                    'forbids to simulate one.'
                )
            self.config = SceneConfig(**wanted)
            _simulate(root, self.config)
        else:
            _check_same(root, found, wanted)
            self.config = found
        self.target = target
        self.abundance = abundance
        self.enhancement = enhancement
        super().__init__(root, crs, res, bands, quality, transforms, cache)
        self._truth = ReaderCache(GeoTIFFReader, keep=cache)
        paths = {part: truth_file(root, part) for part in (*TRUTH_PARTS, GAS_PART)}
        self._truth_paths = {part: path for part, path in paths.items() if path}
        # the truth has all bands of the product, in the same order
        self._clean_bands = self._scenes[self.files[0]].indexes

    def _read_more(self, grid: Grid) -> Sample:
        sample: Sample = {'mask': self._read_classes(grid)}
        if self.target:
            part = 'TRUTH_CLEAN_IMAGE'
            sample['target'] = self._read_truth(part, self._clean_bands, grid)
        if self.abundance:
            shares = range(len(self.classes))
            sample['abundance'] = self._read_truth('TRUTH_ABUNDANCES', shares, grid)
        if self.enhancement:
            sample['enhancement'] = self._read_truth(GAS_PART, [0], grid)
        return sample

    def _read_classes(self, grid: Grid) -> Tensor:
        """Read the nearest class of each pixel."""
        path = self._truth_paths['TRUTH_CLASSES']
        try:
            with (
                open_raster(path) as src,
                WarpedVRT(
                    src,
                    crs=grid.crs,
                    transform=grid.transform,
                    width=grid.width,
                    height=grid.height,
                    resampling=Resampling.nearest,
                ) as vrt,
            ):
                codes = vrt.read(1)
        except RasterioError as error:
            raise CorruptFileError(
                f'{path} is damaged ({error}). Delete the folder and simulate again.'
            ) from error
        return torch.from_numpy(codes.astype(np.int64))

    def _read_truth(self, part: str, indexes: Sequence[int], grid: Grid) -> Tensor:
        """Read a cube, 0 where there is no data, as the image is read."""
        if part == GAS_PART and self.config.plume is None:
            return torch.zeros(len(indexes), grid.height, grid.width)
        with self._truth.open(self._truth_paths[part]) as reader:
            tile = read_tile(reader, indexes, grid)
        if tile is None:
            return torch.zeros(len(indexes), grid.height, grid.width)
        return torch.from_numpy(np.asarray(tile.image, dtype=np.float32))

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false colour, classes and the mean spectrum.

        Args:
            sample: A sample as returned by ``__getitem__``, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If there is no visible band.
        """
        return plot_sample(
            sample,
            show_titles=show_titles,
            suptitle=suptitle,
            class_names=self.classes,
            class_colors=self.class_colors,
            ignore_index=self.ignore_index,
        )


def _wanted(
    size: int | tuple[int, int] | None, *values: float | bool | PlumeSource | None
) -> dict[str, Any]:
    """Collect what was asked for, by the names of the configuration."""
    height, width = size if isinstance(size, tuple | list) else (size, size)
    names = [field.name for field in fields(SceneConfig)]
    given = dict(zip(names, (height, width, *values), strict=True))
    return {name: value for name, value in given.items() if value is not None}


def _check_same(root: PathLike, found: SceneConfig, wanted: dict[str, Any]) -> None:
    """Refuse to open another scene than the one asked for."""
    there, asked = differences(found, wanted)
    if there:
        raise MetadataError(
            f'{os.fspath(root)} holds a scene with {there}, but {asked} was asked for. '
            'Choose another root, delete the folder, or leave these arguments out.'
        )


def _simulate(root: PathLike, config: SceneConfig) -> None:
    simulate_enmap(
        root,
        (config.height, config.width),
        config.seed,
        config.cloud_cover,
        footprint=config.footprint,
        noise=config.noise,
        plume=config.plume,
    )
