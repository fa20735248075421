# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""PRISMA products: one HDF-EOS5 file with cubes, error matrices and PAN image."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray, PathLike
from ..errors import MetadataError
from . import _prisma_metadata as metadata
from ._hdf5 import damaged, misleading, open_hdf5, text
from ._prisma_cubes import OVERLAP, band_order, open_detectors, probes, read_array
from ._prisma_pan import PanReader
from ._spectral import FileBands, spectral_axis
from .base import CubeInfo, CubeReader, uniform

#: Quality layers of L2 by name: values of the error matrices. Saturation is 3 in the
#: reader of SNAP and 4 in that of EnMAP-Box.
QUALITY_LAYERS: dict[str, tuple[int, ...]] = {
    'invalid': (1,),
    'negative': (2,),
    'saturated': (3, 4),
}

#: The same of L1, after the documentation of prismaread.
L1_QUALITY_LAYERS: dict[str, tuple[int, ...]] = {
    'invalid': (1, 4),
    'saturated': (2,),
    'resampled': (3,),
}

#: What a 0 within the swath is read as: it is a value, and not a lack of data.
_DARK = 1


class PRISMAReader(CubeReader):
    """Reader of a PRISMA product of level L1, L2C or L2D; needs the package h5py.

    ===== ============================================= ============================
    level values                                        place
    ===== ============================================= ============================
    L1    radiance at the sensor in W/(m2 sr um)        geometry of the sensor
    L2C   surface reflectance x 10 000                  geometry of the sensor
    L2D   surface reflectance x 10 000                  map grid
    ===== ============================================= ============================

    Cubes in the geometry of the sensor have no ``crs`` and no ``transform``, and rows
    and columns as the file stores them: north is not up. Of L1, those cubes are read
    that are registered to each other (``HCO``).

    Bands come in the order of wavelength, without those that the product leaves unused
    (wavelength 0). They are named by detector and number along the band axis of the
    file: ``VNIR66`` is the first and ``SWIR1`` the last. VNIR and SWIR overlap from 943
    to 977 nm; *overlap* says which of the two to keep.

    Stored numbers become values by the scale of their detector. Outside
    of the swath, where all bands are 0, there is no data. A single 0 inside is a value,
    mostly a reflectance that came out negative. It is read as 1, which is about 0.15 in
    10 000 more, so that 0 means the same everywhere, also in copies of the cube.

    Quality layers (:meth:`~torchgeo_hsi.io.CubeReader.read_quality`), from the error matrices of the bands read:

    ============= ==========================================
    name          flags
    ============= ==========================================
    ``invalid``   pixel is invalid in the L1 product
    ``negative``  negative after the atmospheric correction
    ``saturated`` saturated after the atmospheric correction
    ============= ==========================================

    Those of L1 are ``invalid`` (defective, or not finite), ``saturated`` and
    ``resampled`` (less accurate because detectors were registered to each other).

    The panchromatic image has pixels of 5 m on the same extent; see :attr:`pan` and
    :meth:`read_pan`.

    Args:
        path: The ``.he5`` file.
        overlap: ``'swir'`` keeps the bands of SWIR where the detectors overlap,
            ``'vnir'`` those of VNIR, and ``'all'`` both.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm*, micrometres by default.
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data, for each band alone, instead of 0 in all
            bands.
        scale: Factor from stored numbers to values, instead of those of the file.

    Raises:
        CorruptFileError: If the file is empty, truncated or not HDF5.
        MetadataError: If the file is no PRISMA product of such a level, something is
            missing in it, or *overlap* is unknown.
        UnitError: If wavelengths are not those of the unit.
        ImportError: If h5py is not installed.

    Example:
        .. code-block:: python

            with PRISMAReader('PRS_L2C_STD_20200813103056_20200813103100_0001.he5') as r:
                red, valid = r.read(r.info.bands.indices([0.66]), Window(0, 0, 64, 64))
                pan, _ = r.read_pan(Window(0, 0, 64, 64))  # (1, 384, 384)
    """

    #: Levels that can be opened.
    levels: ClassVar[tuple[str, ...]] = metadata.LEVELS

    def __init__(
        self,
        path: PathLike,
        *,
        overlap: str = 'swir',
        wavelength: ArrayLike | None = None,
        wavelength_unit: str | None = None,
        fwhm: ArrayLike | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Initialize a new PRISMAReader instance."""
        if overlap not in OVERLAP:
            raise MetadataError(
                f'Expected overlap as one of {", ".join(OVERLAP)}, got {overlap!r}.'
            )
        name = os.fspath(path)
        self._file = open_hdf5(name)
        try:
            with misleading(name):
                #: Level of the product, ``'1'``, ``'2C'`` or ``'2D'``.
                self.level = metadata.check_level(self._file, name, self.levels)
                self._detectors = open_detectors(self._file, name, self.level)
                self._places = band_order(self._detectors, overlap)
                self._probes = probes(self._detectors)
                axis = spectral_axis(
                    name,
                    len(self._places),
                    self._bands(),
                    wavelength=wavelength,
                    wavelength_unit=wavelength_unit,
                    fwhm=fwhm,
                )
                self.info = self._info(name, *axis, nodata, scale)
        except Exception:
            self._file.close()
            raise
        self._has_marker = nodata is not None
        self._swath: tuple[tuple[int, ...], BoolArray] | None = None
        self._pan: PanReader | None = None

    def _bands(self) -> FileBands:
        """Collect what the file says about the bands of the cube."""
        found = [(self._detectors[d], position) for d, position in self._places]
        return FileBands(
            wavelength=np.array([d.wavelength[i] for d, i in found]),
            unit='nm',
            fwhm=np.array([d.fwhm[i] for d, i in found]),
            good=np.array([d.good[i] for d, i in found]),
            names=tuple(f'{d.name}{i + 1}' for d, i in found),
        )

    def _info(
        self,
        path: str,
        bands: Any,
        source: str,
        nodata: float | None,
        factor: float | None,
    ) -> CubeInfo:
        attributes = self._file.attrs
        height, _, width = self._detectors[0].cube.shape
        count = len(self._places)
        if factor is None:
            scales = [
                metadata.scale(attributes, detector, path, self.level)
                for detector in ('Vnir', 'Swir')
            ]
            both = np.array([scales[detector] for detector, _ in self._places])
            gain, offset = uniform(both[:, 0], both[:, 1], count)
        else:
            gain, offset = uniform(factor, None, count)
        system, transform = None, None
        if self.level == '2D':
            system, transform = metadata.place(self._file, (height, width), path)
        return CubeInfo(
            path=path,
            sensor='PRISMA',
            shape=(count, height, width),
            dtype=self._detectors[0].cube.dtype.name,
            bands=bands,
            nodata=0.0 if nodata is None else nodata,
            gain=gain,
            offset=offset,
            crs=system,
            transform=transform,
            start=text(attributes.get('Product_StartTime')),
            spectral_source=source,
            stop=text(attributes.get('Product_StopTime')),
        )

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers; none if the file lacks the error matrices."""
        missing = any(detector.errors is None for detector in self._detectors)
        return () if missing else tuple(self._codes)

    @property
    def _codes(self) -> dict[str, tuple[int, ...]]:
        """Values of the error matrices by the name of the quality layer."""
        return L1_QUALITY_LAYERS if self.level == '1' else QUALITY_LAYERS

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        return np.asarray(self._read_band_layer(name, window, indexes).any(axis=0))

    def _read_band_layer(
        self, name: str, window: Window, indexes: list[int]
    ) -> BoolArray:
        errors = self._read(self._places_of(indexes), window, errors=True)
        return np.asarray(np.isin(errors, self._codes[name]))

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        """Read stored numbers, of which 0 stands for pixels outside of the swath."""
        places = self._places_of(indexes)
        raw = self._read(places, window)
        if self._has_marker:
            return raw
        inside = self._inside(window, dict(zip(places, raw, strict=True)))
        axis = self.info.bands
        assert axis is not None
        dark = raw == 0
        if dark.any():
            # what the product does not vouch for is 0 where it was never computed
            dark &= inside & axis.good[indexes][:, None, None]
            np.copyto(raw, _DARK, where=dark)
        return raw

    def _inside(
        self, window: Window, known: dict[tuple[int, int], NDArray[Any]]
    ) -> BoolArray:
        """Return where a window lies inside of the swath, shape ``(H, W)``.

        Args:
            window: The window.
            known: Bands that are read already.
        """
        key = (window.col_off, window.row_off, window.width, window.height)
        # cubes are often read in chunks of bands, window by window
        if self._swath is None or self._swath[0] != key:
            missing = [probe for probe in self._probes if probe not in known]
            bands = [known[probe] for probe in self._probes if probe in known]
            bands.extend(self._read(missing, window) if missing else ())
            self._swath = key, np.asarray(bands).any(axis=0)
        return self._swath[1]

    def _places_of(self, indexes: list[int]) -> list[tuple[int, int]]:
        return [self._places[index] for index in indexes]

    def _read(
        self, places: Sequence[tuple[int, int]], window: Window, errors: bool = False
    ) -> NDArray[Any]:
        """Read bands, each given as the number of its detector and its position."""
        rows, columns = window.toslices()
        with damaged(self.info.path):
            first = self._detectors[0]
            dtype = (first.errors if errors else first.cube).dtype
        shape = len(places), rows.stop - rows.start, columns.stop - columns.start
        values: NDArray[Any] = np.empty(shape, dtype=dtype)
        for number, detector in enumerate(self._detectors):
            wanted = [i for i, place in enumerate(places) if place[0] == number]
            if wanted:
                array = detector.errors if errors else detector.cube
                positions = [places[i][1] for i in wanted]
                values[wanted] = read_array(
                    array, positions, rows, columns, self.info.path
                )
        return values

    @property
    def pan(self) -> CubeReader:
        """The panchromatic image as a cube of one band.

        It shares the open file, so it can be read until this reader is closed.

        Raises:
            MetadataError: If the file has none, or not on the extent of the cubes.
        """
        if self._pan is None:
            with misleading(self.info.path):
                self._pan = PanReader(self._file, self.info, self.level)
        return self._pan

    def read_pan(self, window: Window | None = None) -> tuple[FloatArray, BoolArray]:
        """Read the panchromatic image.

        Args:
            window: Rows and columns of the cubes; everything by default. What lies
                outside of the file comes as pixels without data.

        Returns:
            Values in the unit of the cubes, float32 of shape ``(1, 6 H, 6 W)`` for a window of
            ``H`` rows and ``W`` columns, 0 where there is no data; and a boolean mask
            of the same shape that is True where there is data.

        Raises:
            MetadataError: If the file has none, or not on the extent of the cubes.
            CorruptFileError: If the file is truncated or damaged.
        """
        pan = self.pan
        if window is None:
            window = Window(0, 0, self.info.shape[2], self.info.shape[1])
        place = window.col_off, window.row_off, window.width, window.height
        fine = (round(length) * metadata.RATIO for length in place)
        return pan.read([0], Window(*fine))

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._file.close()


class PRISMAL2DReader(PRISMAReader):
    """Reader of a PRISMA L2D product: reflectance on a map grid.

    It is a :class:`PRISMAReader` that refuses other levels; see there for bands, values
    and quality layers.

    Args:
        path: The ``.he5`` file.
        overlap: ``'swir'`` keeps the bands of SWIR where the detectors overlap,
            ``'vnir'`` those of VNIR, and ``'all'`` both.
        wavelength: Band centres, instead of those of the file.
        wavelength_unit: Unit of *wavelength* and *fwhm*, micrometres by default.
        fwhm: Band widths, instead of those of the file.
        nodata: Value of pixels without data, for each band alone, instead of 0 in all
            bands.
        scale: Factor from stored numbers to values, instead of those of the file.

    Raises:
        CorruptFileError: If the file is empty, truncated or not HDF5.
        MetadataError: If the file is no PRISMA L2D product, something is missing in it,
            or *overlap* is unknown.
        UnitError: If wavelengths are not those of the unit.
        ImportError: If h5py is not installed.

    Example:
        .. code-block:: python

            with PRISMAL2DReader('PRS_L2D_STD_20200813103056_20200813103100_0001.he5') as r:
                red, valid = r.read(r.info.bands.indices([0.66]), Window(0, 0, 64, 64))
                pan, _ = r.read_pan(Window(0, 0, 64, 64))  # (1, 384, 384)
    """

    levels: ClassVar[tuple[str, ...]] = ('2D',)


def is_prisma(file: Any) -> bool:
    """Tell whether an HDF5 file is a product of PRISMA.

    Args:
        file: The open ``h5py.File``.

    Returns:
        True for any level.
    """
    return metadata.level_of(file) is not None
