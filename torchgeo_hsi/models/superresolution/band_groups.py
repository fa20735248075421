# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Overlapping groups of neighboring bands: cut a cube into them, and join them again."""

import torch
from torch import Tensor

from ...errors import BandMismatchError


def group_starts(bands: int, size: int, overlap: int) -> list[int]:
    """Return the first band of each group; the last group ends with the last band.

    Args:
        bands: Number of bands.
        size: Bands of a group.
        overlap: Bands that a group shares with the one before it; the last group may
            share more.

    Returns:
        First bands, ascending.

    Raises:
        BandMismatchError: If there are fewer bands than a group has.
        ValueError: If the overlap is negative, or leaves no new band to a group.

    Example:
        >>> group_starts(31, 8, 2)
        [0, 6, 12, 18, 23]
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f'Expected an overlap from 0 to {size - 1} for groups of {size} bands, got '
            f'{overlap}.'
        )
    if bands < size:
        raise BandMismatchError(
            f'{bands} bands are too few for groups of {size}. Take smaller groups.'
        )
    count = max(1, -(-(bands - overlap) // (size - overlap)))
    return [min(i * (size - overlap), bands - size) for i in range(count)]


def split_groups(image: Tensor, starts: list[int], size: int) -> Tensor:
    """Cut cubes into groups of bands.

    Args:
        image: Cubes of shape ``(B, C, H, W)``.
        starts: First band of each group.
        size: Bands of a group.

    Returns:
        Groups of shape ``(B, G, size, H, W)``.
    """
    index = _index(starts, size, image.device)
    return image[:, index]


def join_groups(groups: Tensor, starts: list[int], bands: int) -> Tensor:
    """Join groups of bands, with the mean where they overlap.

    Args:
        groups: Groups of shape ``(B, G, size, H, W)``.
        starts: First band of each group.
        bands: Number of bands.

    Returns:
        Cubes of shape ``(B, bands, H, W)``.
    """
    index = _index(starts, groups.shape[2], groups.device).flatten()
    total = groups.new_zeros(len(groups), bands, *groups.shape[3:])
    total = total.index_add(1, index, groups.flatten(1, 2))
    counts = torch.bincount(index, minlength=bands).clamp_min(1)
    return total / counts.to(total.dtype)[:, None, None]


def _index(starts: list[int], size: int, device: torch.device) -> Tensor:
    """Return the bands of each group, shape (G, size)."""
    first = torch.tensor(starts, device=device)
    return first[:, None] + torch.arange(size, device=device)
