# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The two cubes of a PRISMA file and the order of their bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._typing import BoolArray, FloatArray
from ..errors import MetadataError
from . import _prisma_metadata as metadata
from ._hdf5 import damaged
from .mat import read_axes

#: What to do with the bands of 943 to 977 nm, where the two detectors overlap.
OVERLAP = ('swir', 'vnir', 'all')

#: Numbers of bands in the overlap: VNIR up to the first, SWIR from the second on. They
#: come from the nominal table: taken from the wavelengths of each scene, which are
#: shifted, scenes would differ in their bands.
_OVERLAP_VNIR, _OVERLAP_SWIR = 7, 168

#: Wavelengths in micrometres where the atmosphere is clear. Outside of the swath all
#: bands are 0; inside, only single ones are.
_CLEAR = (0.49, 0.56, 0.66, 0.78, 1.05, 1.25, 1.62, 2.20)

#: Axes of the cubes that are bands, rows and columns.
_AXES = (1, 0, 2)


@dataclass(frozen=True)
class Detector:
    """One of the two cubes.

    Args:
        name: ``'VNIR'`` or ``'SWIR'``.
        cube: Array of shape ``(H, C, W)``.
        errors: Error matrix of the same shape, or None.
        wavelength: Centres in nanometres, 0 for bands that are not used, ``(C,)``.
        fwhm: Widths in nanometres, ``(C,)``.
        good: Whether the product flags the band as good, ``(C,)``.
    """

    name: str
    cube: Any
    errors: Any
    wavelength: FloatArray
    fwhm: FloatArray
    good: BoolArray


def open_detectors(
    file: Any, path: str, level: str = '2D'
) -> tuple[Detector, Detector]:
    """Find the two cubes and what is said about their bands.

    Args:
        file: The open ``h5py.File``.
        path: The file, for messages.
        level: Level of the product.

    Returns:
        VNIR and SWIR.

    Raises:
        MetadataError: If something is missing or does not fit.
    """
    found = []
    for name in ('VNIR', 'SWIR'):
        group = f'{metadata.hyperspectral(level)}/Data Fields'
        cube = metadata.field(file, f'{group}/{name}_Cube', path)
        matrix = f'{group}/{name}_{metadata.error_matrix(level)}'
        errors = file.get(matrix)
        shapes = {array.shape for array in (cube, errors) if array is not None}
        kinds = {array.dtype.kind for array in (cube, errors) if array is not None}
        if cube.ndim != 3 or len(shapes) > 1 or not kinds <= set('fiu'):
            raise MetadataError(
                f'Expected {name}_Cube and its error matrix with the same rows, bands '
                f'and columns in {path}, got {", ".join(map(str, sorted(shapes)))}. '
                'Download it again.'
            )
        word, count = name.capitalize(), cube.shape[1]
        flags = f'List_Cw_{word}_Flags'
        good = (
            metadata.vector(file.attrs, flags, count, path) > 0
            if flags in file.attrs
            else np.ones(count, dtype=bool)
        )
        centres, widths = (
            metadata.vector(file.attrs, f'List_{key}_{word}', count, path)
            for key in ('Cw', 'Fwhm')
        )
        # 0 marks a band without data, and NaN nothing
        if not np.isfinite(centres).all():
            raise MetadataError(
                f'Expected finite centres of bands of {name} in {path}. Download it '
                'again.'
            )
        found.append(Detector(name, cube, errors, centres, widths, good))
    vnir, swir = found
    if vnir.cube.shape[::2] != swir.cube.shape[::2]:
        raise MetadataError(
            f'Expected VNIR and SWIR with the same rows and columns in {path}, got '
            f'{vnir.cube.shape[::2]} and {swir.cube.shape[::2]}. Download it again.'
        )
    return vnir, swir


def keeps(overlap: str, detector: str, number: int) -> bool:
    """Tell whether a band is kept.

    Args:
        overlap: One of :data:`OVERLAP`.
        detector: ``'VNIR'`` or ``'SWIR'``.
        number: Number of the band along the band axis of its cube, from 1.

    Returns:
        False for bands in the overlap of the detectors that come from the other one.
    """
    in_vnir = detector == 'VNIR' and number <= _OVERLAP_VNIR
    in_swir = detector == 'SWIR' and number >= _OVERLAP_SWIR
    return not (in_vnir or in_swir) or overlap in ('all', detector.lower())


def band_order(detectors: Sequence[Detector], overlap: str) -> list[tuple[int, int]]:
    """List the bands by wavelength.

    Args:
        detectors: VNIR and SWIR.
        overlap: One of :data:`OVERLAP`.

    Returns:
        Number of the detector and position along its band axis, for each band.
    """
    bands = []
    for number, detector in enumerate(detectors):
        for position in np.flatnonzero(detector.wavelength > 0).tolist():
            if keeps(overlap, detector.name, position + 1):
                bands.append((detector.wavelength[position], number, position))
    return [(number, position) for _, number, position in sorted(bands)]


def probes(detectors: Sequence[Detector]) -> list[tuple[int, int]]:
    """Choose the bands that tell what lies inside of the swath.

    Args:
        detectors: VNIR and SWIR.

    Returns:
        The same as :func:`band_order`, for a few bands.
    """
    bands = band_order(detectors, 'swir')
    centres = np.array([detectors[d].wavelength[i] for d, i in bands])
    nearest = {int(np.abs(centres - clear * 1e3).argmin()) for clear in _CLEAR}
    return [bands[i] for i in sorted(nearest)]


def read_array(
    array: Any, positions: list[int] | None, rows: slice, columns: slice, path: str
) -> NDArray[Any]:
    """Read a window of bands, or of an image.

    Args:
        array: Array of h5py.
        positions: Bands along its second axis, from 0; None for an image.
        rows: Rows.
        columns: Columns.
        path: The file, for messages.

    Returns:
        Stored numbers of shape ``(C, H, W)``, or ``(H, W)`` of an image.

    Raises:
        CorruptFileError: If the file is closed, truncated or damaged.
    """
    with damaged(path):
        if positions is None:
            return np.asarray(array[rows, columns])
        return read_axes(array, _AXES, positions, rows, columns)
