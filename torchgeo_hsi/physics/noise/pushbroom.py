# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Striping of pushbroom sensors: each column of a band has a detector of its own."""

import math

import torch
from torch import Tensor

from ...errors import UnitError
from .draw import Source, as_real, like_given, normal, uniform
from .resampling import check_angle


def add_striping(
    cube: Tensor,
    gain: Tensor | float = 0.0025,
    offset: Tensor | float = 0.0,
    common: float = 0.2,
    angle: float = 0.0,
    generator: Source = None,
) -> Tensor:
    """Give each detector element an error of its gain and offset.

    The sensors that scan a swath at once have one element for each column and band,
    whose calibration is never perfect. So a column of a band is too bright or too dark
    over its whole length, more so over bright ground. Dust on the slit does the same in
    all bands at once. In a product that has been brought onto a map, the columns are
    tilted, and what lies between two of them is interpolated.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        gain: Standard deviation of the factor on each column: a number, or of shape
            ``(..., C)``.
        offset: Standard deviation of what is added to each column, in units of the
            cube, of the same form.
        common: Share of the variance of the gain that all bands of a column have in
            common.
        angle: Angle between the columns of the detector and those of the image in
            degrees, below 90; positive leans to the right, like a slash, as the track of a
            satellite that flies south does.
        generator: Source of randomness; torch's own by default.

    Returns:
        The striped cubes, not clipped.

    Raises:
        UnitError: If a deviation is negative, *common* no share, or *angle* too large.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> striped = add_striping(torch.ones(5, 64, 900), gain=0.01, generator=seed)
        >>> round(striped.mean(-2).std().item(), 3), striped.std(-2).max().item()
        (0.01, 0.0)
    """
    clean = as_real(cube)
    columns, place = detector_columns(clean, angle)
    factors = _spread(draw_gain(clean, columns, gain, common, generator), place)
    shifts = _spread(draw_offset(clean, columns, offset, generator), place)
    return like_given(clean * factors + shifts, cube)


def detector_columns(cube: Tensor, angle: float) -> tuple[int, Tensor | None]:
    """Tell which column of the detector saw each pixel.

    Args:
        cube: Cube of shape ``(..., H, W)``.
        angle: Angle in degrees.

    Returns:
        Number of columns, and the place of each pixel between them of shape ``(H, W)``,
        or None where they are the columns of the image.

    Raises:
        UnitError: If the angle is not below 90 degrees.
    """
    check_angle(angle)
    height, width = cube.shape[-2:]
    if angle == 0:
        return width, None
    turn = math.radians(angle)
    x = torch.arange(width, device=cube.device, dtype=torch.float64)
    y = torch.arange(height, device=cube.device, dtype=torch.float64)[:, None]
    place = math.cos(turn) * x + math.sin(turn) * y
    place -= place.min()
    return int(place.max()) + 2, place


def _spread(values: Tensor, place: Tensor | None) -> Tensor:
    """Give each pixel the value of its column, or what lies between two of them."""
    if place is None:
        return values[..., None, :]
    left = place.long()
    part = (place - left).to(values.dtype)
    return torch.lerp(values[..., left], values[..., left + 1], part)


def draw_gain(
    cube: Tensor, columns: int, gain: Tensor | float, common: float, generator: Source
) -> Tensor:
    """Draw the gain of each detector element, shape ``(..., C, columns)``."""
    if not 0 <= common <= 1:
        raise UnitError(f'Expected common to be a share from 0 to 1, got {common}.')
    spread = _deviation(gain, cube, 'gain')
    shape = cube.shape[:-2]
    own = normal((*shape, columns), cube, generator)
    slit = normal((*shape[:-1], 1, columns), cube, generator)
    return 1 + spread * (math.sqrt(1 - common) * own + math.sqrt(common) * slit)


def draw_offset(
    cube: Tensor, columns: int, offset: Tensor | float, generator: Source
) -> Tensor:
    """Draw the offset of each detector element, shape ``(..., C, columns)``."""
    spread = _deviation(offset, cube, 'offset')
    return spread * normal((*cube.shape[:-2], columns), cube, generator)


def fill_dead(
    cube: Tensor, share: float, angle: float = 0.0, generator: Source = None
) -> Tensor:
    """Let detector elements die, and fill them from the bands beside them.

    That is what processors do before they deliver a product: a dead column is no black
    line but a smooth spectrum where there may have been a feature. The first and the
    last band have one neighbor only, and never die.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        share: Share of the elements that are dead.
        angle: Angle of the columns in degrees, as in :func:`add_striping`.
        generator: Source of randomness; torch's own by default.

    Returns:
        The cubes.

    Raises:
        UnitError: If *share* is not between 0 and 1.

    Example:
        >>> cube = torch.arange(5.0).square().view(5, 1, 1)
        >>> fill_dead(cube, 1.0).flatten().tolist()  # all but the ends are dead
        [0.0, 2.0, 5.0, 10.0, 16.0]
    """
    if not 0 <= share <= 1:
        raise UnitError(f'Expected a share of dead elements from 0 to 1, got {share}.')
    clean = as_real(cube)
    if clean.shape[-3] < 3:
        return like_given(clean.clone(), cube)
    columns, place = detector_columns(clean, angle)
    number = uniform((*clean.shape[:-2], columns), clean, generator)
    dead = (number < share)[..., 1:-1, :]
    dead = dead[..., None, :] if place is None else dead[..., place.round().long()]
    before, after = clean[..., :-2, :, :], clean[..., 2:, :, :]
    result = clean.clone()
    result[..., 1:-1, :, :] = torch.where(
        dead, (before + after) / 2, clean[..., 1:-1, :, :]
    )
    return like_given(result, cube)


def _deviation(value: Tensor | float, cube: Tensor, name: str) -> Tensor:
    spread = torch.as_tensor(value, device=cube.device, dtype=cube.dtype)
    if not bool((spread >= 0).all()):
        raise UnitError(f'Expected {name} to be at least 0, got {float(spread.min())}.')
    return spread[..., None] if spread.ndim else spread
