# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Factors and summands that lead from stored numbers to values."""

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BandMismatchError, MetadataError
from ._files import shorten


def uniform(
    gain: ArrayLike | None, offset: ArrayLike | None, count: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Bring gain and offset into the form of :class:`CubeInfo`.

    Args:
        gain: One factor, one for each band, or None.
        offset: One summand, one for each band, or None.
        count: Number of bands.

    Returns:
        One gain and one offset for each band; None where they would do nothing.

    Raises:
        BandMismatchError: If the number of values is neither 1 nor *count*.
    """
    result: list[tuple[float, ...] | None] = []
    for values, neutral in ((gain, 1.0), (offset, 0.0)):
        full = per_band(neutral if values is None else values, count)
        # a factor such as 0.0001 * 10 000 is 1 up to rounding
        same = np.allclose(full, neutral, rtol=1e-9, atol=1e-12)
        result.append(None if same else full)
    return result[0], result[1]


def declared(
    scale: ArrayLike | None, offset: ArrayLike | None, count: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Bring what a file declares into the form of :class:`CubeInfo`.

    A scale of 0.0001 does nothing to numbers that are reflectance x 10 000, but a file
    that is made of this one has to declare it, too.

    Args:
        scale: One factor to reflectance, one for each band, or None.
        offset: One summand, one for each band, or None.
        count: Number of bands.

    Returns:
        One scale and one offset for each band; None and None if nothing is declared.

    Raises:
        BandMismatchError: If the number of values is neither 1 nor *count*.
    """
    full = per_band(1.0 if scale is None else scale, count)
    add = per_band(0.0 if offset is None else offset, count)
    if set(full) == {1.0} and set(add) == {0.0}:
        return None, None
    return full, add


def per_band(values: ArrayLike, count: int) -> tuple[float, ...]:
    """Repeat a number for each band.

    Args:
        values: One number, or one for each band.
        count: Number of bands.

    Returns:
        One number for each band.

    Raises:
        BandMismatchError: If the number of values is neither 1 nor *count*.
    """
    array = np.atleast_1d(np.asarray(values, float))
    if array.shape not in ((1,), (count,)):
        raise BandMismatchError(
            f'Expected 1 or {count} scale values, got shape {array.shape}.'
        )
    return tuple(np.broadcast_to(array, count).tolist())


def check_scale(
    scale: ArrayLike | None, offset: ArrayLike | None, count: int, path: str
) -> None:
    """Refuse a scale of a file that no pixel would survive.

    Args:
        scale: One factor, one for each band, or None.
        offset: One summand, one for each band, or None.
        count: Number of bands.
        path: The file, for messages.

    Raises:
        MetadataError: If a factor is 0 or a number is not finite, or if there is neither
            one nor one for each band.
    """
    for what, values in (('scale', scale), ('offset', offset)):
        array = np.zeros(1) if values is None else np.atleast_1d(values)
        # files are read as reflectance x 10 000
        with np.errstate(over='ignore', invalid='ignore'):
            usable = np.isfinite(np.asarray(array * 1e4, np.float32)) & (
                (array != 0) | (what == 'offset') | (values is None)
            )
        if array.shape not in ((1,), (count,)) or not usable.all():
            raise MetadataError(
                f'Expected 1 or {count} finite numbers as the {what} of {path}, and no '
                f'factor of 0, got {shorten(str(array.tolist()))}. Correct the file, or '
                'pass scale=.'
            )
