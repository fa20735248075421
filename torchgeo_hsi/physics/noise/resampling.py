# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of products on a map: neighbors share it, as they share detector elements."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UnitError
from .draw import Source, normal, uniform


def check_angle(angle: float) -> None:
    """Refuse an angle at which columns of the detector are rows of the image."""
    if not abs(angle) < 90:
        raise UnitError(f'Expected an angle between -90 and 90 degrees, got {angle}.')


def angle_range(angle: float | tuple[float, float]) -> tuple[float, float]:
    """Return the bounds of an angle, which may be bounds or one angle."""
    low, high = angle if isinstance(angle, tuple | list) else (angle, angle)
    if not -90 < low <= high < 90:
        raise UnitError(
            f'Expected angles between -90 and 90 degrees, in order, got {angle}.'
        )
    return float(low), float(high)


def draw_angles(
    bounds: tuple[float, float], count: int, like: Tensor, generator: Source = None
) -> list[float]:
    """Draw an angle for each of some images."""
    low, high = bounds
    return (low + (high - low) * uniform((count,), like, generator)).tolist()


def draw_resampled(
    shape: Sequence[int], like: Tensor, angle: float = 0.0, generator: Source = None
) -> tuple[Tensor, Tensor]:
    """Draw noise of the pixels of a detector, and bring it onto a map.

    A product is interpolated from what the sensor saw, whose rows and columns are
    turned against those of the map. Where a pixel of the map lies between four of the
    sensor, their noise is averaged: it is weaker there, by two thirds of the deviation
    on the whole, and neighbors have a part of it in common.

    Args:
        shape: Shape of the noise, ``(..., H, W)``. All images are turned by the same
            angle and shifted by the same part of a pixel, which is random.
        like: Tensor that has the device and floating type of the noise.
        angle: Angle between the columns of the detector and those of the map in
            degrees; positive leans to the right, like a slash.
        generator: Source of randomness; torch's own by default.

    Returns:
        The noise, and its standard deviation in each pixel of shape ``(H, W)``; that of
        the pixels of the detector is 1.

    Raises:
        UnitError: If the angle is not below 90 degrees.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise, sigma = draw_resampled((20, 90, 90), torch.empty(0), 13.0, seed)
        >>> round(noise.std().item(), 2), round(sigma.square().mean().sqrt().item(), 2)
        (0.67, 0.67)
    """
    check_angle(angle)
    *batch, height, width = shape
    turn = math.radians(angle)
    x = torch.arange(width, dtype=torch.float64, device=like.device)
    y = torch.arange(height, dtype=torch.float64, device=like.device)[:, None]
    columns = math.cos(turn) * x + math.sin(turn) * y
    rows = math.cos(turn) * y - math.sin(turn) * x
    shift = uniform((2,), columns, generator)
    columns = columns - columns.min() + shift[0]
    rows = rows - rows.min() + shift[1]
    size = [int(place.max()) + 2 for place in (rows, columns)]
    noise = normal((math.prod(batch), 1, *size), like, generator)
    places = torch.stack([columns / (size[1] - 1), rows / (size[0] - 1)], -1)
    grid = (2 * places - 1).to(noise.dtype)
    # all images lie on the same grid, so they are channels of one
    moved = F.grid_sample(noise.transpose(0, 1), grid[None], align_corners=True)
    power = torch.ones_like(columns)
    for place in (rows, columns):
        part = place - place.floor()
        power = power * (part**2 + (1 - part) ** 2)
    return moved.reshape(tuple(shape)), power.sqrt().to(noise.dtype)
