# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random numbers for noise: levels, bands, and where a generator may live."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import UnitError

#: A number, bounds of a uniform distribution (a tuple), or values to choose from (a
#: list).
type Level = float | tuple[float, float] | list[float]

#: Source of randomness; torch's own of the device of the cube if None.
type Source = torch.Generator | None

#: Shares of bands are rounded down; 31 * (1 / 3) must not become 10.33 - 1e-15.
_ROUNDING = 1e-9


def check_level(level: Level, name: str) -> None:
    """Refuse what no noise can have as its level.

    Args:
        level: A number, a tuple ``(low, high)``, or a list of values.
        name: Name of the argument, for the message.

    Raises:
        UnitError: If a value is negative or not finite, the list is empty, or the
            bounds are not two, or not in order.
    """
    values = list(level) if isinstance(level, Sequence) else [level]
    good = bool(values) and all(math.isfinite(v) and v >= 0 for v in values)
    if isinstance(level, tuple):
        good = good and len(level) == 2 and level[0] <= level[1]
    if not good:
        raise UnitError(
            f'Expected {name} to be a number, a tuple (low, high) or a list of values, '
            f'all finite and not negative, got {level!r}.'
        )


def check_share(share: float, parts: int = 1) -> None:
    """Refuse shares of the bands that add up to more than all of them.

    Args:
        share: Share of the bands in each set.
        parts: Number of sets.

    Raises:
        UnitError: If they add up to more than 1, or are negative.
    """
    if not 0 <= share * parts <= 1 + _ROUNDING:
        most = 'at most 1' if parts == 1 else f'at most 1 / {parts}'
        raise UnitError(
            f'Expected a share of the bands of at least 0 and {most}, got {share}.'
        )


def draw_level(
    level: Level, shape: Sequence[int], like: Tensor, generator: Source = None
) -> Tensor:
    """Draw levels.

    Args:
        level: A number for a fixed level, a tuple ``(low, high)`` for a uniform
            distribution, a list for values of which each is as likely.
        shape: Shape of the result.
        like: Tensor that has the device and floating type of the result.
        generator: Source of randomness.

    Returns:
        The levels.

    Raises:
        UnitError: See ``check_level``.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> draw_level([10, 30, 50, 70], (6,), torch.empty(0), seed).tolist()
        [10.0, 70.0, 30.0, 10.0, 70.0, 70.0]
    """
    check_level(level, 'the level')
    if isinstance(level, tuple):
        low, high = level
        return low + (high - low) * uniform(shape, like, generator)
    if isinstance(level, list):
        values = torch.tensor(level, dtype=real_dtype(like), device=like.device)
        return values[integers(0, len(level), shape, like, generator)]
    return torch.full(
        tuple(shape), float(level), dtype=real_dtype(like), device=like.device
    )


def draw_bands(
    shape: Sequence[int],
    share: float,
    like: Tensor,
    generator: Source = None,
    parts: int = 1,
) -> list[Tensor]:
    """Draw bands, without replacement: each set has the same number, none shares any.

    Args:
        shape: Shape of a set, the bands last, e.g. ``(B, C)``; each of the others draws
            its own.
        share: Share of the bands in each set; their number is rounded down.
        like: Tensor that has the device of the result.
        generator: Source of randomness.
        parts: Number of sets.

    Returns:
        Sets of bands, True for those in it.

    Raises:
        UnitError: If the share is not between 0 and 1, or there are too few bands.

    Example:
        >>> [s.sum().item() for s in draw_bands((31,), 1 / 3, torch.empty(0), parts=3)]
        [10, 10, 10]
    """
    check_share(share, parts)
    count = math.floor(shape[-1] * share + _ROUNDING)
    rank = random_ranks(shape, like, generator)
    return [(rank >= k * count) & (rank < (k + 1) * count) for k in range(parts)]


def random_ranks(
    shape: Sequence[int], like: Tensor, generator: Source = None
) -> Tensor:
    """Draw permutations of 0 ... n - 1 along the last axis."""
    # twice the precision: ties would favour the bands in front
    keys = torch.empty(0, dtype=torch.float64, device=like.device)
    return uniform(shape, keys, generator).argsort(-1).argsort(-1)


def integers(
    low: int, high: int, shape: Sequence[int], like: Tensor, generator: Source = None
) -> Tensor:
    """Draw integers from *low* to below *high*."""
    where = place(like, generator)
    drawn = torch.randint(low, high, tuple(shape), generator=generator, **where)
    return drawn.to(like.device)


def uniform(shape: Sequence[int], like: Tensor, generator: Source = None) -> Tensor:
    """Draw numbers from 0 to below 1."""
    where = place(like, generator)
    drawn = torch.rand(
        tuple(shape), generator=generator, dtype=real_dtype(like), **where
    )
    return drawn.to(like.device)


def normal(shape: Sequence[int], like: Tensor, generator: Source = None) -> Tensor:
    """Draw numbers of mean 0 and standard deviation 1."""
    where = place(like, generator)
    drawn = torch.randn(
        tuple(shape), generator=generator, dtype=real_dtype(like), **where
    )
    return drawn.to(like.device)


def place(like: Tensor, generator: Source) -> dict[str, Any]:
    """Choose where to draw: where the generator is, so that it decides alone."""
    return {'device': like.device if generator is None else generator.device}


def real_dtype(like: Tensor) -> torch.dtype:
    """Return float64 for float64, and float32 for everything else."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def as_real(cube: Tensor) -> Tensor:
    """Return at least float32: half precision has too few digits for small noise."""
    return cube.to(real_dtype(cube))


def like_given(result: Tensor, cube: Tensor) -> Tensor:
    """Return the type of the cube, if that is a floating one."""
    return result.to(cube.dtype) if cube.is_floating_point() else result


def per_band(value: Tensor | float, cube: Tensor) -> Tensor:
    """Give levels of bands the axes of a cube, whose last three are (C, H, W)."""
    value = torch.as_tensor(value, device=cube.device).to(real_dtype(cube))
    return value if value.ndim == 0 else value[..., None, None]
