# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DESIS L2A scenes."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from pyproj import CRS as PROJ_CRS

from .._typing import PathLike, Sample
from ..errors import BandMismatchError
from ..io import CubeReader, DESISL2AReader
from ..io._desis_xml import find_desis_product, is_desis_l2a
from ..io.desis import QUALITY_LAYERS
from ._index import files_below, find_scenes
from ._scenes import SceneDataset


class DESISL2A(SceneDataset):
    """`DESIS <https://www.dlr.de/eoc/desis>`__ L2A surface reflectance.

    Product folders of DLR (``DESIS-HSI-L2A-*-SPECTRAL_IMAGE.tif``, ``*-METADATA.xml``
    and the quality layers ``*-QL_QUALITY-2.tif``).

    Sample:

    * ``image``: reflectance x 10 000, float32 of shape ``(C, H, W)``; 0 without data
    * ``valid``: False where a selected band has no data, where a quality layer flags
      the pixel, and outside of the scene; bool of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: of this very scene, micrometres, shape ``(C,)``
    * ``bounds``, ``transform``: as in torchgeo

    Bands are all 235 from 402 to 1000 nm, in the order of wavelength, unless *bands*
    says otherwise. Where scenes overlap, each pixel comes from the first scene where it
    is valid; use a query or sampler with a time to choose.

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.3390/s19204471

    Example:
        .. code-block:: python

            scenes = DESISL2A('data/desis', bands=[0.66, 0.56, 0.49, 0.86])
            sampler = RandomWindowSampler(scenes, size=128)
            loader = DataLoader(scenes, sampler=sampler, collate_fn=stack_samples)
    """

    all_bands = tuple(f'B{n}' for n in range(1, 236))
    rgb_bands = ('B94', 'B61', 'B27')
    sensor: ClassVar[str] = 'DESIS'
    known_quality: ClassVar[tuple[str, ...]] = tuple(QUALITY_LAYERS)
    #: Snow, land and water are surfaces, and for the user to choose.
    default_quality: ClassVar[tuple[str, ...]] = ('cloud', 'haze', 'shadow')
    quality_hint: ClassVar[str] = (
        'Copy QL_QUALITY-2.tif of the product beside it, or leave it out of quality=.'
    )

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
        """Initialize a new DESISL2A instance.

        Args:
            paths: Folders to search, product folders, metadata files or images.
            crs: CRS to warp to (that of the first scene by default).
            res: Pixel size in units of the CRS, one number or ``(x, y)`` (that of the
                first scene by default).
            bands: Bands in the order wanted: names (``'B94'``, from 1), positions (from
                0), or wavelengths in micrometres (its nearest band). All by default.
            quality: Quality layers that make pixels invalid, see
                :class:`~torchgeo_hsi.io.DESISL2AReader`; ``()`` for none. Each scene
                has to have the layers named here. By default ``'cloud'``, ``'haze'``
                and ``'shadow'``, as far as a scene has them.
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If one of *paths* does not exist or
                leads to no scene.
            ValueError: If *res* is not positive.
            CorruptFileError: If a file is empty, truncated or damaged.
            MetadataError: If a metadata file or quality layer is unknown or missing, or
                a product is not L2A.
            UnitError: If a wavelength in *bands* looks like nanometres.
            UnknownNameError: If a band does not exist.
            BandMismatchError: If scenes differ in their binning of bands.
        """
        #: The first scene and its number of bands.
        self._first: tuple[str, int] | None = None
        super().__init__(paths, crs, res, bands, quality, transforms, cache)

    def _find_scenes(self) -> list[str]:
        return find_scenes(
            self.paths,
            _images,
            'DESIS',
            'product folders, their *-METADATA.xml or *-SPECTRAL_IMAGE.tif, or folders '
            'of these',
        )

    def _opener(self) -> Callable[[str], CubeReader]:
        return DESISL2AReader

    def _describe_layer(self, name: str) -> str:
        return f'{name} of QL_QUALITY-2'

    def _inspect(self, reader: CubeReader) -> None:
        path, count = reader.info.path, reader.info.shape[0]
        self._first = self._first or (path, count)
        if count != self._first[1]:
            # B60 is another wavelength in a product with binned bands
            raise BandMismatchError(
                f'Expected {self._first[1]} bands in every scene, as in '
                f'{self._first[0]}, got {count} in {path}: their bands are binned in '
                'another way. Use one dataset for each binning.'
            )


def _images(path: str) -> tuple[list[str], str]:
    """Find the scenes behind one path; say why there are none."""
    if os.path.isfile(path):
        return [find_desis_product(path).image], ''
    found = [file for file in files_below(path, bool) if is_desis_l2a(file)]
    return found, f'{path} holds no DESIS-HSI-L2A-*-SPECTRAL_IMAGE.tif'
