# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP L2A scenes."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from pyproj import CRS as PROJ_CRS

from .._typing import PathLike, Sample
from ..io import CubeInfo, CubeReader, EnMAPL2AReader
from ..io.enmap import QUALITY_LAYERS, check_layers, warn_nominal, warn_widths
from ..physics import BandSet, get_sensor
from ._index import find_enmap
from ._scenes import SceneDataset

#: Quality layers that flag pixels by default, as far as a scene has them. Thin cirrus
#: and snow leave the spectrum usable, and a pixel with one defective band of 202 is
#: interpolated in the product, so these are for the user to choose.
DEFAULT_QUALITY = ('cloud', 'cloudshadow', 'haze', 'thick_cirrus')


class EnMAPL2A(SceneDataset):
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
    sensor: ClassVar[str] = 'EnMAP'
    default_quality: ClassVar[tuple[str, ...]] = DEFAULT_QUALITY
    quality_hint: ClassVar[str] = (
        'Copy the QL_* files of the product beside it, or leave it out of quality=.'
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
        #: Scenes whose metadata file was found.
        self._products: list[CubeInfo] = []
        super().__init__(paths, crs, res, bands, quality, transforms, cache)

    def _find_scenes(self) -> list[str]:
        return find_enmap(self.paths)

    def _opener(self) -> Callable[[str], CubeReader]:
        return functools.partial(EnMAPL2AReader, warn=False)

    def _check_quality(self, layers: Sequence[str]) -> tuple[str, ...]:
        return check_layers(layers)

    def _default_bands(self, axis: BandSet) -> BandSet:
        # scenes are shifted, so the order in the overlap of the detectors is that of
        # the scene and not that of the nominal table
        return axis.select(get_sensor('enmap').default_bands).by_wavelength()

    def _describe_layer(self, name: str) -> str:
        return QUALITY_LAYERS[name][0]

    def _inspect(self, reader: CubeReader) -> None:
        if isinstance(reader, EnMAPL2AReader) and reader.metadata is not None:
            self._products.append(reader.info)

    def _warn(self, infos: list[CubeInfo]) -> None:
        nominal = [info.path for info in infos if info.spectral_source == 'nominal']
        if nominal:
            warn_nominal(nominal)
        bare = [
            info.path
            for info in self._products
            if info.bands is not None and info.bands.fwhm is None
        ]
        if bare:
            warn_widths(bare)
        if self.quality is None:
            self._warn_of_layers([info.path for info in self._products])
