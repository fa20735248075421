# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EMIT L2A scenes."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from pyproj import CRS as PROJ_CRS

from .._typing import PathLike, Sample
from ..io import CubeReader, EMITL2AReader
from ..io._emit_mask import INTERPOLATED, LAYERS, is_part
from ._index import files_below, find_scenes
from ._scenes import SceneDataset


class EMITL2A(SceneDataset):
    """`EMIT <https://earth.jpl.nasa.gov/emit/>`__ L2A surface reflectance.

    Granules of the LP DAAC: ``EMIT_L2A_RFL_*.nc``, with the mask
    ``EMIT_L2A_MASK_*.nc`` (version 1 or 2) beside it. Needs the package h5py.

    The files hold the image as the instrument saw it. Samples show it on the grid of
    its lookup table, 0.00054 degrees (60 m), or warped to *crs* and *res*; each window
    reads only the part of the file below it.

    Sample:

    * ``image``: reflectance x 10 000, float32 of shape ``(C, H, W)``; 0 without data
    * ``valid``: False where a selected band has no data, where a quality layer flags
      the pixel, and outside of the swath; bool of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: of this very scene, micrometres, shape ``(C,)``
    * ``bounds``, ``transform``: as in torchgeo

    Bands are those that the scene marks as good (244 of 285, without the absorption of
    water vapour), unless *bands* says otherwise. Where scenes overlap, each pixel comes
    from the first scene where it is valid; use a query or sampler with a time to
    choose. Scenes of one place and several dates fall on different grids, and are
    brought to the first one by the nearest pixel.

    If you use this dataset in your research, please cite it:

    * https://doi.org/10.5067/EMIT/EMITL2ARFL.001

    Example:
        .. code-block:: python

            scenes = EMITL2A('data/emit', bands=[0.66, 0.56, 0.49, 2.2])
            sampler = RandomWindowSampler(scenes, size=128)
            loader = DataLoader(scenes, sampler=sampler, collate_fn=stack_samples)
    """

    all_bands = tuple(f'B{n}' for n in range(1, 286))
    rgb_bands = ('B36', 'B24', 'B13')
    sensor: ClassVar[str] = 'EMIT'
    known_quality: ClassVar[tuple[str, ...]] = (*LAYERS, INTERPOLATED)
    #: Water is a surface, and an aggregate that counts it would drop every lake.
    default_quality: ClassVar[tuple[str, ...]] = (
        'cloud',
        'cirrus',
        'dilated_cloud',
        'spacecraft',
    )
    quality_hint: ClassVar[str] = (
        'Copy EMIT_L2A_MASK_*.nc of the same orbit and scene beside it (spectf_cloud '
        'needs version 2), or leave it out of quality=.'
    )
    #: A scene keeps its lookup table in memory, 14 to 34 MB.
    open_scenes: ClassVar[int] = 8

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
        """Initialize a new EMITL2A instance.

        Args:
            paths: Folders to search for ``EMIT_L2A_RFL_*.nc``, or files (also those of
                the uncertainty, ``EMIT_L2A_RFLUNCERT_*.nc``).
            crs: CRS to warp to (that of the first scene, EPSG:4326, by default).
            res: Pixel size in units of the CRS, one number or ``(x, y)`` (that of the
                first scene by default).
            bands: Bands in the order wanted: names (``'B36'``, from 1), positions (from
                0), or wavelengths in micrometres (its nearest band). The good ones by
                default.
            quality: Quality layers that make pixels invalid, see
                :class:`~torchgeo_hsi.io.EMITL2AReader`; ``()`` for none. Each scene has
                to have the layers named here. By default ``'cloud'``, ``'cirrus'``,
                ``'dilated_cloud'`` and ``'spacecraft'``, as far as a scene has them.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If one of *paths* does not exist or
                leads to no scene.
            ValueError: If *res* is not positive.
            CorruptFileError: If a file is empty, truncated or damaged.
            MetadataError: If a quality layer is unknown or missing, or a file has not
                the layout of EMIT L2A.
            UnitError: If a wavelength in *bands* looks like nanometres.
            UnknownNameError: If a band does not exist.
            BandMismatchError: If a scene lacks a selected band.
            ImportError: If h5py is not installed.
        """
        super().__init__(paths, crs, res, bands, quality, transforms, cache)

    def _find_scenes(self) -> list[str]:
        return find_scenes(
            self.paths, _granules, 'EMIT', 'EMIT_L2A_RFL_*.nc, or folders of these'
        )

    def _opener(self) -> Callable[[str], CubeReader]:
        return EMITL2AReader

    def _describe_layer(self, name: str) -> str:
        return f'{name} of EMIT_L2A_MASK'


def _granules(path: str) -> tuple[list[str], str]:
    """Find the scenes behind one path; say why there are none."""
    if os.path.isfile(path):
        return [path], ''
    files = files_below(path, lambda name: name.lower().endswith('.nc'))
    found = [file for file in files if is_part(file, 'RFL')]
    others = f', but {len(files)} other NetCDF files' if files else ''
    return found, f'{path} holds no EMIT_L2A_RFL_*.nc{others}'
