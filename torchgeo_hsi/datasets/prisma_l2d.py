# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""PRISMA L2D scenes."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Self

import numpy as np
from pyproj import CRS as PROJ_CRS

from .._typing import FloatArray, PathLike, Sample
from ..errors import MetadataError
from ..io import CubeReader, PRISMAL2DReader
from ..io._hdf5 import open_hdf5
from ..io._prisma_cubes import OVERLAP, keeps
from ..io._prisma_metadata import RATIO, finer, level_of
from ..io.prisma import QUALITY_LAYERS
from ..physics import BandSet, get_sensor
from ._grid import Grid, Tile, aligned_window, read_tile
from ._index import files_below, find_scenes
from ._scenes import SceneDataset, SelectedScene

#: Ranges in micrometres where water vapour takes all light: those that the usual 202
#: bands of EnMAP leave out as well.
WATER_VAPOUR = ((1.290, 1.525), (1.733, 1.972))


class PRISMAL2D(SceneDataset):
    """`PRISMA <https://www.asi.it/en/earth-science/prisma/>`__ L2D surface reflectance.

    The HDF-EOS5 files of ASI as they are delivered, ``PRS_L2D_STD_*.he5``; other levels
    are not on a map grid. Needs the package h5py.

    Sample:

    * ``image``: reflectance x 10 000, float32 of shape ``(C, H, W)``; 0 without data
    * ``valid``: False outside of the swath and where a quality layer flags the pixel;
      bool of shape ``(H, W)``
    * ``pan``: panchromatic reflectance x 10 000 with pixels of 5 m on the same extent,
      float32 of shape ``(1, 6 H, 6 W)``; only with ``pan=True``
    * ``wavelength``, ``fwhm``: of this very scene, micrometres, shape ``(C,)``
    * ``bounds``, ``transform``: as in torchgeo

    Bands are the 182 outside of the water vapour windows (1.290 to 1.525 and 1.733 to
    1.972 micrometres), in the order of wavelength, unless *bands* says otherwise. From
    943 to 977 nm, both detectors have bands; *overlap* says which ones are kept.

    A single 0 within the swath is a value, mostly a reflectance that came out negative;
    the quality layer ``'negative'`` flags it. Where scenes overlap, each pixel comes
    from the first scene where it is valid; use a query or sampler with a time to
    choose.

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1016/j.rse.2021.112499

    Example:
        .. code-block:: python

            scenes = PRISMAL2D('data/prisma', pan=True)
            sampler = RandomWindowSampler(scenes, size=64)
            loader = DataLoader(scenes, sampler=sampler, collate_fn=stack_samples)
    """

    all_bands = get_sensor('prisma').bands.names
    rgb_bands = ('VNIR37', 'VNIR46', 'VNIR58')
    sensor: ClassVar[str] = 'PRISMA'
    known_quality: ClassVar[tuple[str, ...]] = tuple(QUALITY_LAYERS)

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike] = 'data',
        crs: PROJ_CRS | None = None,
        res: float | tuple[float, float] | None = None,
        bands: Sequence[str | int | float] | None = None,
        quality: Sequence[str] = (),
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
        overlap: str = 'swir',
        pan: bool = False,
    ) -> None:
        """Initialize a new PRISMAL2D instance.

        Args:
            paths: Folders to search for L2D products, or files.
            crs: CRS to warp to (that of the first scene by default).
            res: Pixel size in units of the CRS, one number or ``(x, y)`` (that of the
                first scene by default).
            bands: Bands in the order wanted: names (``'VNIR37'``, detector and number
                in the file), positions (from 0), or wavelengths in micrometres (its
                nearest band). The 182 outside of the water vapour windows, by
                wavelength, by default.
            quality: Quality layers that make pixels invalid, ``'invalid'``,
                ``'negative'`` and ``'saturated'``, see
                :class:`~torchgeo_hsi.io.PRISMAL2DReader`. None by default: a pixel is
                flagged as soon as one of the selected bands is, which with many bands
                leaves little. L2D products have no layer of clouds.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.
            overlap: From 943 to 977 nm, ``'swir'`` keeps the bands of SWIR, ``'vnir'``
                those of VNIR, and ``'all'`` both (186 bands).
            pan: Whether to add the panchromatic image.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If one of *paths* does not exist or
                leads to no scene.
            ValueError: If *res* is not positive.
            CorruptFileError: If a file is empty, truncated or damaged.
            MetadataError: If *overlap* or a quality layer is unknown, a file has not
                the layout of PRISMA L2D, or *pan* is asked of a file without it.
            UnitError: If a wavelength in *bands* looks like nanometres.
            UnknownNameError: If a band does not exist.
            BandMismatchError: If a scene lacks a selected band.
            ImportError: If h5py is not installed.
        """
        if overlap not in OVERLAP:
            raise MetadataError(
                f'Expected overlap as one of {", ".join(OVERLAP)}, got {overlap!r}.'
            )
        self.overlap = overlap
        self.pan = pan
        super().__init__(paths, crs, res, bands, quality, transforms, cache)

    def _find_scenes(self) -> list[str]:
        return find_scenes(
            self.paths, _products, 'PRISMA', 'PRS_L2D_*.he5, or folders of these'
        )

    def _opener(self) -> Callable[[str], CubeReader]:
        return functools.partial(PRISMAL2DReader, overlap=self.overlap)

    def _default_bands(self, axis: BandSet) -> BandSet:
        # by the nominal table: centres are shifted from scene to scene, and each scene
        # has to give the same bands
        table = get_sensor('prisma').bands
        chosen = [
            name
            for name, centre in zip(table.names, table.wavelength, strict=True)
            if keeps(self.overlap, name[:4], int(name[4:]))
            and not any(low < centre < high for low, high in WATER_VAPOUR)
        ]
        return axis.select(chosen).by_wavelength()

    def _inspect(self, reader: CubeReader) -> None:
        if not self.pan:
            return
        if not isinstance(reader, PRISMAL2DReader):
            raise MetadataError(
                f'{reader.info.path} holds no panchromatic image, only the product '
                'itself does. Name the .he5 file, or leave out pan=True.'
            )
        # says what is wrong with it now and not in the middle of an epoch
        _ = reader.pan

    def few_bands(self, count: int = 3) -> Self:
        """Return the same scenes with a few of the bands, without PAN and transforms.

        Args:
            count: Number of bands, spread over those of this dataset.

        Returns:
            A dataset like this one.
        """
        few = super().few_bands(count)
        few.pan = False
        return few

    def _read_tile(
        self, reader: CubeReader, scene: SelectedScene, grid: Grid
    ) -> Tile | None:
        tile = super()._read_tile(reader, scene, grid)
        if tile is None or not self.pan:
            return tile
        assert isinstance(reader, PRISMAL2DReader)
        return dataclasses.replace(tile, pan=_read_pan(reader, grid))


def _read_pan(reader: PRISMAL2DReader, grid: Grid) -> FloatArray:
    """Read the panchromatic image on the finer pixels of a grid."""
    window = aligned_window(reader, grid)
    if window is not None:
        # a grid that is off by a part of a pixel moves both images alike
        return reader.read_pan(window)[0]
    fine = Grid(
        transform=finer(grid.transform, RATIO),
        width=grid.width * RATIO,
        height=grid.height * RATIO,
        crs=grid.crs,
    )
    tile = read_tile(reader.pan, [0], fine)
    if tile is None:
        return np.zeros((1, fine.height, fine.width), dtype=np.float32)
    return tile.image


def _products(path: str) -> tuple[list[str], str]:
    """Find the scenes behind one path; say why there are none."""
    if os.path.isfile(path):
        return [path], ''
    files = files_below(path, lambda name: name.lower().endswith('.he5'))
    found: list[str] = []
    levels: set[str] = set()
    for file in files:
        with open_hdf5(file) as content:
            level = level_of(content)
        if level == '2D':
            found.append(file)
        elif level is not None:
            levels.add(f'L{level}')
    other = f' (but PRISMA of level {", ".join(sorted(levels))})' if levels else ''
    return found, f'{path} holds no PRISMA L2D product{other}'
