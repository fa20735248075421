# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Impulse noise: pixels that are lost in single bands."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import UnitError
from .columns import check_bands
from .draw import Source, as_real, draw_level, like_given, uniform

#: Shares of the pixels of a band that are lost.
AMOUNTS = (0.1, 0.3, 0.5, 0.7)


def add_impulses(
    cube: Tensor,
    bands: Tensor | None = None,
    amounts: Sequence[float] = AMOUNTS,
    peak: float = 1.0,
    generator: Source = None,
) -> Tensor:
    """Replace random pixels of a band by 0 (pepper) or the peak (salt).

    Both are as likely. Each band draws its own share of pixels.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        bands: True for bands that lose pixels, shape ``(..., C)``; all by default.
        amounts: Shares of the pixels, of which each band draws one.
        peak: Value of salt.
        generator: Source of randomness; torch's own by default.

    Returns:
        The noisy cubes.

    Raises:
        BandMismatchError: If *bands* does not fit the cube.
        UnitError: If *amounts* are no shares.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise = add_impulses(torch.full((1, 90, 90), 0.5), None, [0.3], 1.0, seed)
        >>> [round((noise == v).float().mean().item(), 2) for v in (0, 0.5, 1)]
        [0.15, 0.7, 0.15]
    """
    check_amounts(amounts)
    clean = as_real(cube)
    shape = cube.shape[:-2]
    if bands is None:
        bands = torch.ones(shape, dtype=torch.bool, device=cube.device)
    chosen = check_bands(bands, clean)
    # two of three bands keep their pixels, so they need no random numbers
    some = clean[chosen]
    amount = draw_level(list(amounts), (len(some), 1, 1), clean, generator)
    number = uniform(some.shape, clean, generator)
    some = some.masked_fill(number < amount, 0.0)
    some = some.masked_fill(number < amount / 2, peak)
    result = clean.clone()
    result[chosen] = some
    return like_given(result, cube)


def check_amounts(amounts: Sequence[float]) -> None:
    """Refuse what are no shares of the pixels."""
    if not amounts or not all(0 <= amount <= 1 for amount in amounts):
        raise UnitError(f'Expected shares of the pixels from 0 to 1, got {amounts}.')
