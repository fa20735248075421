# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which bands of a scene see a gas, which tell the ground apart, and how the sun stood."""

import warnings
from collections.abc import Sequence
from typing import Any

import defusedxml.ElementTree
import numpy as np
from rasterio.windows import Window

from ..errors import BandMismatchError, EmptyDataError, MetadataError, NodataWarning
from ..io import CubeReader, EnMAPL2AReader
from ..physics import BandSet
from ..physics.gases import GasAbsorption

#: Wavelengths in micrometres that are looked at by default: the absorption, and next to
#: it what tells the ground from the gas.
WINDOWS: dict[str, tuple[tuple[float, float], ...]] = {
    'methane': ((1.6, 1.78), (2.05, 2.45)),
    'carbon_dioxide': ((1.5, 1.78), (1.96, 2.45)),
}

#: Fewest bands that tell a gas from the ground.
_FEWEST = 8

#: Rows that are looked at to find bands without data, and the share of the pixels in
#: which a band has to have some.
_ROWS, _SHARE = 16, 0.98

#: Fewest and most bands that tell kinds of ground apart, and the largest absorption in
#: them relative to the strongest.
_KINDS, _MOST, _CLEAR = 3, 16, 0.01


def check_windows(
    gas: str, windows: Sequence[tuple[float, float]] | None
) -> tuple[tuple[float, float], ...]:
    """Choose the wavelengths that are looked at.

    Args:
        gas: Name of the gas.
        windows: Lowest and highest wavelength of each range in micrometres.

    Returns:
        The windows; those of the gas by default.

    Raises:
        ValueError: If one is none, or there is no default.
    """
    if windows is None:
        if gas not in WINDOWS:
            raise ValueError(
                f'Expected windows for {gas}, such as windows=[(2.1, 2.4)] in µm; there '
                f'are defaults for {", ".join(WINDOWS)}.'
            )
        return WINDOWS[gas]
    found = tuple((float(low), float(high)) for low, high in windows)
    if not found or not all(0.2 < low < high < 20 for low, high in found):
        raise ValueError(
            'Expected windows from lower to higher wavelengths in micrometres, such as '
            f'(2.1, 2.45), got {windows}. Divide nanometres by 1000.'
        )
    return found


def spectral_axis(reader: CubeReader, gas: GasAbsorption) -> BandSet:
    """Return the bands of a scene, with their widths.

    Args:
        reader: The open scene.
        gas: The gas, for messages.

    Returns:
        The bands.

    Raises:
        MetadataError: If wavelengths or widths are not known.
    """
    info = reader.info
    if info.bands is None or info.bands.fwhm is None:
        missing = 'wavelengths' if info.bands is None else 'widths of bands (FWHM)'
        raise MetadataError(
            f'{info.path} has no {missing}, and without them nobody knows which bands '
            f'see {gas.title.lower()}. Give the reader wavelength=, wavelength_unit= '
            'and fwhm=.'
        )
    return info.bands


def gas_bands(
    reader: CubeReader, gas: GasAbsorption, windows: Sequence[tuple[float, float]]
) -> tuple[list[int], tuple[str, ...]]:
    """Find the good bands in the windows.

    Args:
        reader: The open scene.
        gas: The gas.
        windows: Lowest and highest wavelength of each range in micrometres.

    Returns:
        Positions of the bands, and names of those that lack data, which are left out.

    Raises:
        BandMismatchError: If too few bands see the gas.
        EmptyDataError: If too few of them have data.
        MetadataError: If wavelengths or widths are not known.
    """
    bands = spectral_axis(reader, gas)
    inside = np.zeros(len(bands), dtype=bool)
    for low, high in windows:
        inside |= (bands.wavelength >= low) & (bands.wavelength <= high)
    chosen = np.flatnonzero(inside & bands.good).tolist()
    told = ', '.join(f'{low:g}-{high:g}' for low, high in windows)
    if len(chosen) < _FEWEST:
        raise BandMismatchError(
            f'Expected at least {_FEWEST} good bands at {told} µm to see '
            f'{gas.title.lower()}, got {len(chosen)}: {reader.info.path} has bands from '
            f'{bands.wavelength.min():.4g} to {bands.wavelength.max():.4g} µm. Choose '
            'another scene or other windows.'
        )
    kept = with_data(reader, chosen)
    names = tuple(bands.names[band] for band in chosen if band not in kept)
    if len(kept) < _FEWEST:
        raise EmptyDataError(
            f'Expected data in at least {_FEWEST} bands of {reader.info.path} that see '
            f'{gas.title.lower()}, got {len(kept)}; {", ".join(names)} lack data.'
        )
    if names:
        warnings.warn(
            f'{", ".join(names)} of {reader.info.path} lack data in places and were left '
            'out.',
            NodataWarning,
            stacklevel=2,
        )
    return kept, names


def ground_bands(
    reader: CubeReader, gas: GasAbsorption, chosen: list[int]
) -> list[int]:
    """Find bands that tell kinds of ground apart, and that the gas does not touch.

    Args:
        reader: The open scene.
        gas: The gas.
        chosen: Positions of the bands that see the gas, for comparison.

    Returns:
        Positions of a few bands all over the spectrum.

    Raises:
        BandMismatchError: If there are too few.
    """
    bands = spectral_axis(reader, gas)
    absorption = gas.absorption_coefficients(bands).numpy()
    clear = bands.good & (absorption <= _CLEAR * absorption[chosen].max())
    found = np.flatnonzero(clear)
    found = found[np.argsort(bands.wavelength[found], kind='stable')]
    kept = with_data(reader, found.tolist())
    if len(kept) < _KINDS:
        raise BandMismatchError(
            f'Expected at least {_KINDS} bands of {reader.info.path} that '
            f'{gas.title.lower()} does not touch, to tell kinds of ground apart, got '
            f'{len(kept)}. Pass clusters=1.'
        )
    places = np.linspace(0, len(kept) - 1, min(_MOST, len(kept))).round().astype(int)
    return [kept[place] for place in places]


def with_data(reader: CubeReader, chosen: list[int]) -> list[int]:
    """Leave bands out that lack data where others have some.

    Args:
        reader: The open scene.
        chosen: Positions of bands.

    Returns:
        Those that have data; all if there is none in the rows that are looked at.
    """
    chosen = [band for band in chosen if not reader.lacks_data([band])]
    if not chosen:
        return []
    _, height, width = reader.info.shape
    rows = np.unique(np.linspace(0, height - 1, min(_ROWS, height)).astype(int))
    masks = [reader.read(chosen, Window(0, int(row), width, 1))[1] for row in rows]
    mask = np.concatenate([part.reshape(len(chosen), -1) for part in masks], 1)
    seen = mask.any(0)
    if not seen.any():
        # what little there is may lie between these rows
        return chosen
    full = mask[:, seen].mean(1) >= _SHARE
    return [band for band, has in zip(chosen, full, strict=True) if has]


def find_sun(reader: CubeReader, sun_zenith: float | None) -> float:
    """Find out how high the sun stood.

    Args:
        reader: The open scene.
        sun_zenith: Zenith angle in degrees that the user knows.

    Returns:
        The zenith angle in degrees.

    Raises:
        MetadataError: If neither the user nor the product says it.
    """
    if sun_zenith is not None:
        return sun_zenith
    if isinstance(reader, EnMAPL2AReader) and reader.product.metadata is not None:
        with open(reader.product.metadata, 'rb') as file:
            root: Any = defusedxml.ElementTree.parse(file).getroot()
        try:
            return 90 - float(root.findtext('.//sunElevationAngle/center') or 'none')
        except ValueError:
            pass
    raise MetadataError(
        f'{reader.info.path} does not say how high the sun stood, and the way of its light '
        'through the gas depends on it. Pass sun_zenith= in degrees.'
    )
