# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From what a file says about its bands to a band set; units are never guessed."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._typing import BoolArray, FloatArray
from ..errors import (
    BandMismatchError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
    UnitError,
)
from ..physics import BandSet, to_micrometres
from ._files import shorten


@dataclass(frozen=True)
class FileBands:
    """What a file says about its bands, in its own unit.

    Args:
        wavelength: Band centres, or None.
        unit: Unit of the centres and widths as the file writes it, or None.
        fwhm: Band widths, or None.
        good: Good-band flags, or None.
        names: Band names; empty if there are none.
        unreadable: What stands in the place of a band centre and is no number, or None.
        left_out: Why band widths that the file gives are of no use, or None.
    """

    wavelength: FloatArray | None = None
    unit: str | None = None
    fwhm: FloatArray | None = None
    good: BoolArray | None = None
    names: tuple[str, ...] = ()
    unreadable: str | None = None
    left_out: str | None = None


def unreadable(values: Sequence[object]) -> str | None:
    """Find what stands for a band centre and is no number.

    Args:
        values: Texts or numbers, one for each band.

    Returns:
        The first such text; None if all are finite numbers, or some bands have none, as
        masks.
    """
    texts = [str(value).strip() for value in values if value is not None]
    if len(texts) != len(values) or not all(texts):
        return None
    return next((text for text in texts if numbers([text]) is None), None)


def numbers(values: Sequence[object]) -> FloatArray | None:
    """Turn text into numbers; None if one of them is not a finite number.

    Args:
        values: Texts or numbers, one for each band.

    Returns:
        The numbers, or None.
    """
    try:
        array = np.array([float(str(value)) for value in values])
    except ValueError:
        return None
    return array if array.size and np.isfinite(array).all() else None


def stated_widths(values: Sequence[object]) -> tuple[FloatArray | None, str | None]:
    """Read band widths, and tell why those that a file states are of no use.

    Args:
        values: Texts or numbers; None for a band that has none.

    Returns:
        The widths, as many as there are, so that too few are noticed; and the reason.
        None and None if there are none.
    """
    stated = [value for value in values if value is not None]
    widths = numbers(stated)
    why = 'not all are finite numbers' if stated and widths is None else None
    return widths, why


def spectral_axis(
    path: str,
    count: int,
    found: FileBands,
    *,
    wavelength: ArrayLike | None = None,
    wavelength_unit: str | None = None,
    fwhm: ArrayLike | None = None,
) -> tuple[BandSet | None, str]:
    """Combine what the file says with what the caller says; the caller wins.

    Args:
        path: The file, for messages.
        count: Number of bands.
        found: What the file says.
        wavelength: Centres given by the caller, in *wavelength_unit*.
        wavelength_unit: Unit given by the caller. Centres given without it are in
            micrometres; centres of a file without it need one.
        fwhm: Widths given by the caller, in *wavelength_unit*.

    Returns:
        The band set, or None if nobody knows the wavelengths, and the source:
        ``'user'``, ``'scene'`` or ``'none'``.

    Raises:
        MetadataError: If the file gives wavelengths without a unit.
        BandMismatchError: If the number of values is not the number of bands.
        UnitError: If the values do not look like wavelengths in the unit.
    """
    source = 'user' if wavelength is not None else 'scene'
    centres = found.wavelength if wavelength is None else np.asarray(wavelength, float)
    if centres is None:
        _refuse_words(path, found.unreadable, fwhm)
        return None, 'none'
    unit = wavelength_unit or ('um' if source == 'user' else found.unit)
    if unit is None:
        raise MetadataError(
            f'{path} gives wavelengths ({centres.min():g} to {centres.max():g}) '
            "without their unit. Pass wavelength_unit= explicitly, e.g. 'nm' or 'um' "
            '(EnMAPL2A does not take it: open such files with HSICube).'
        )
    if centres.shape != (count,):
        remedy = (
            'Correct the file, or pass wavelength= and wavelength_unit=.'
            if source == 'scene'
            else 'Pass one for each band as wavelength=.'
        )
        raise BandMismatchError(
            f'Expected {count} wavelengths for the {count} bands of {path}, got '
            f'{centres.size}. {remedy}'
        )
    names = found.names if len(set(found.names)) == count else ()
    good = found.good if found.good is not None else np.ones(count, dtype=bool)
    try:
        widths = _widths(path, count, found, fwhm, wavelength_unit or 'um', unit)
        axis = BandSet(to_micrometres(centres, unit), widths, names, good)
    except (BandMismatchError, EmptyDataError, UnitError) as error:
        raise type(error)(
            f'Bands of {path}: {error} Correct the file, or pass wavelength=, '
            'wavelength_unit= and fwhm=.'
        ) from error
    return axis, source


def _refuse_words(path: str, unreadable: str | None, fwhm: ArrayLike | None) -> None:
    """Refuse words in the place of wavelengths, and widths without wavelengths."""
    if unreadable is not None:
        raise MetadataError(
            f'{path} gives {shorten(unreadable)!r} as a wavelength, which is no finite '
            'number. Correct the file, or pass wavelength= and wavelength_unit=.'
        )
    if fwhm is not None:
        raise MetadataError(
            f'{path} carries no wavelengths, so fwhm= alone says nothing. Pass '
            'wavelength= as well.'
        )


def _widths(
    path: str,
    count: int,
    found: FileBands,
    fwhm: ArrayLike | None,
    user_unit: str,
    unit: str,
) -> FloatArray | None:
    """Return the band widths in micrometres, or None if they are unknown."""
    if fwhm is not None:
        return to_micrometres(np.asarray(fwhm, float), user_unit)
    widths, why = found.fwhm, found.left_out
    if widths is not None and widths.shape != (count,):
        why = f'there are {widths.size} for {count} bands'
    elif widths is not None and not (np.isfinite(widths) & (widths > 0)).all():
        # zeros stand for "unknown" in many headers
        why = 'some are not positive and finite' if widths.any() else None
        widths = None
    if why is not None:
        warnings.warn(
            f'The band widths (FWHM) of {path} are left out: {why}. Correct the file, '
            'or pass fwhm= with one for each band, and wavelength_unit=.',
            HSIWarning,
            stacklevel=4,
        )
    if widths is None or why is not None:
        return None
    # widths of a file are in its own unit, also where the caller gives the centres
    return to_micrometres(widths, found.unit or unit)
