# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which EnMAP band is which: names from the rank of a band in its file."""

import numpy as np

from .._typing import BoolArray
from ..errors import BandMismatchError
from ..physics import BandSet, get_sensor

#: Largest plausible shift in micrometres of a scene against the nominal table.
_TOLERANCE = 0.006

#: Number of bands of a product, and of the selection of SpectralEarth.
_ALL, _KEPT = 224, 202


def _candidates(count: int) -> list[BandSet]:
    """List the nominal tables that a file with this many bands may follow."""
    sensor = get_sensor('enmap')
    if count == _KEPT:
        return [sensor.bands.select(sensor.default_bands).by_wavelength()]
    if count == _ALL:
        by_number = [f'B{i + 1}' for i in range(_ALL)]
        return [sensor.bands.by_wavelength(), sensor.bands.select(by_number)]
    return []


def nominal_bands(count: int, good: BoolArray | None, path: str) -> BandSet:
    """Return the nominal bands of a file that says nothing about its wavelengths.

    Args:
        count: Number of bands of the file.
        good: Good-band flags of the file, or None.
        path: The file, for messages.

    Returns:
        The bands, in the order of wavelength, which is the default of the product.

    Raises:
        BandMismatchError: If it is unknown which bands these are.
    """
    candidates = _candidates(count)
    if not candidates:
        raise BandMismatchError(
            f'{path} has {count} bands and no wavelengths. Nominal ones are known for '
            f'all {_ALL} bands of EnMAP and for the {_KEPT} kept ones. Keep the '
            'METADATA.XML beside it, or open it with HSICube, which takes wavelength= '
            'and wavelength_unit=.'
        )
    bands = candidates[0]
    flags = bands.good if good is None else good
    return BandSet(bands.wavelength, fwhm=bands.fwhm, names=bands.names, good=flags)


def name_bands(bands: BandSet, path: str, names: tuple[str, ...] = ()) -> BandSet:
    """Give the bands of a scene their numbers on the detectors.

    Unless the metadata say which band is which, a name follows from the rank of a band
    and not from its centre: where the detectors overlap, centres lie closer together
    than scenes are shifted.

    Args:
        bands: Bands of the scene, in the order of its file.
        path: The file, for messages.
        names: Names that the metadata give; empty if they do not.

    Returns:
        The same bands with names ``B1`` ... ``B224``.

    Raises:
        BandMismatchError: If these are not bands of EnMAP.
    """
    if names:
        tables = [get_sensor('enmap').bands.select(names)]
    else:
        tables = _candidates(len(bands))
        tables = [table for table in tables if table.is_sorted == bands.is_sorted]
    for table in tables:
        if np.abs(table.wavelength - bands.wavelength).max() <= _TOLERANCE:
            return _renamed(bands, table.names)
    nominal = get_sensor('enmap').bands.by_wavelength()
    distance = np.abs(bands.wavelength[:, None] - nominal.wavelength)
    nearest = distance.argmin(axis=1)
    unique = len(set(nearest.tolist())) == len(bands)
    if not unique or distance.min(axis=1).max() > _TOLERANCE:
        raise BandMismatchError(
            f'The wavelengths of {path} do not fit EnMAP: {len(bands)} bands from '
            f'{bands.wavelength.min():g} to {bands.wavelength.max():g} µm. Open files '
            'of other sensors with HSICube.'
        )
    return _renamed(bands, tuple(nominal.names[i] for i in nearest))


def _renamed(bands: BandSet, names: tuple[str, ...]) -> BandSet:
    return BandSet(bands.wavelength, fwhm=bands.fwhm, names=names, good=bands.good)
