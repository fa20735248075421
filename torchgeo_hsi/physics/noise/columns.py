# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Stripes and dead lines: what goes wrong in whole columns of single bands."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import BandMismatchError, UnitError
from .draw import Source, as_real, integers, like_given, random_ranks, uniform

#: Share of the columns that are hit in a band: at least, and below.
COLUMNS = (0.05, 0.15)


def add_stripes(
    cube: Tensor,
    bands: Tensor | None = None,
    columns: tuple[float, float] = COLUMNS,
    strength: float = 0.25,
    generator: Source = None,
) -> Tensor:
    """Shift random columns of a band by a random amount each.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        bands: True for bands that get stripes, shape ``(..., C)``; all by default.
        columns: Smallest and largest share *a*, *b* of the columns; their number in a
            band is drawn from ``floor(a * W)`` to below ``floor(b * W)``.
        strength: Largest shift, in units of the cube: each column is lowered by a
            number between ``-strength`` and ``strength``.
        generator: Source of randomness; torch's own by default.

    Returns:
        The cubes with stripes, not clipped.

    Raises:
        BandMismatchError: If *bands* does not fit the cube.
        UnitError: If *columns* are no shares, or *strength* is negative.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise = add_stripes(torch.zeros(2, 3, 40), generator=seed)
        >>> (noise != 0).all(1).sum(1).tolist()  # columns of each band
        [2, 5]
    """
    check_strength(strength)
    clean = as_real(cube)
    hit = draw_columns(clean, bands, columns, math.floor, generator)
    shift = strength * (2 * uniform(hit.shape, clean, generator) - 1)
    return like_given(clean - (shift * hit)[..., None, :], cube)


def add_deadlines(
    cube: Tensor,
    bands: Tensor | None = None,
    columns: tuple[float, float] = COLUMNS,
    value: float = 0.0,
    generator: Source = None,
) -> Tensor:
    """Set random columns of a band to a value, as if their detectors were dead.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        bands: True for bands that have dead columns, shape ``(..., C)``; all by default.
        columns: Smallest and largest share *a*, *b* of the columns; their number in a
            band is drawn from ``ceil(a * W)`` to below ``ceil(b * W)``.
        value: Value of a dead pixel.
        generator: Source of randomness; torch's own by default.

    Returns:
        The cubes with dead columns.

    Raises:
        BandMismatchError: If *bands* does not fit the cube.
        UnitError: If *columns* are no shares, or *value* is not finite.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise = add_deadlines(torch.ones(2, 3, 40), generator=seed)
        >>> (noise == 0).all(1).sum(1).tolist()  # columns of each band
        [2, 5]
    """
    check_value(value)
    clean = as_real(cube)
    hit = draw_columns(clean, bands, columns, math.ceil, generator)
    return like_given(clean.masked_fill(hit[..., None, :], value), cube)


def check_columns(columns: tuple[float, float]) -> None:
    """Refuse what are no shares of the columns, in order."""
    if len(columns) != 2 or not 0 <= columns[0] <= columns[1] <= 1:
        raise UnitError(
            f'Expected shares of the columns 0 <= low <= high <= 1, got {columns}.'
        )


def check_strength(strength: float) -> None:
    """Refuse a largest shift that is none."""
    if not (math.isfinite(strength) and strength >= 0):
        raise UnitError(f'Expected a strength of at least 0, got {strength}.')


def check_value(value: float) -> None:
    """Refuse a value of dead pixels that is none."""
    if not math.isfinite(value):
        raise UnitError(f'Expected a finite value of dead pixels, got {value}.')


def draw_columns(
    cube: Tensor,
    bands: Tensor | None,
    columns: tuple[float, float],
    rounding: Callable[[float], int],
    generator: Source,
) -> Tensor:
    """Draw columns of each band, shape ``(..., C, W)``."""
    check_columns(columns)
    low, high = columns
    shape = cube.shape[:-2]
    width = cube.shape[-1]
    least, limit = rounding(low * width), rounding(high * width)
    # narrow images leave no choice
    number = integers(least, max(limit, least + 1), (*shape, 1), cube, generator)
    hit = random_ranks((*shape, width), cube, generator) < number
    return hit if bands is None else hit & check_bands(bands, cube)[..., None]


def check_bands(bands: Tensor, cube: Tensor) -> Tensor:
    """Refuse a choice of bands that does not fit the cube."""
    if bands.dtype != torch.bool or bands.shape[-1:] != cube.shape[-3:-2]:
        raise BandMismatchError(
            f'Expected one truth value for each of the {cube.shape[-3]} bands of the '
            f'cube, got {bands.dtype} of shape {tuple(bands.shape)}.'
        )
    return bands.to(cube.device).expand(cube.shape[:-2])
