# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What rho-PNN looks at before it tunes: scale, contrast, bands that are alike."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from .options import RhoPNNOptions
from .patches import Patch

#: What digital numbers are divided by, and the medians that are taken for them.
_DIGITAL = 65536.0
_MEDIANS = (3000.0, 65536.0)

#: The median of other images behind the division.
_MEDIAN = 0.1

#: Contrast of a band, as a part of its largest value, that is none.
_FLAT = 1e-6


def find_scale(cube: Tensor) -> float:
    """Find what to divide a cube by.

    Args:
        cube: Values of any shape.

    Returns:
        65536 for digital numbers, and else ten times the median; 1 if that is 0.

    Example:
        >>> find_scale(torch.full((1, 2, 3, 3), 6500.0))
        65536.0
        >>> round(find_scale(torch.full((1, 2, 3, 3), 0.25)), 3)
        2.5
    """
    middle = float(cube.abs().flatten().median())
    if _MEDIANS[0] <= middle < _MEDIANS[1]:
        return _DIGITAL
    return middle / _MEDIAN if middle > 0 else 1.0


def usable_bands(patches: list[Patch]) -> list[int]:
    """Find the bands that have any contrast.

    Args:
        patches: Patches of the same size.

    Returns:
        Positions of the bands.
    """
    count = patches[0].cube.shape[1]
    flat = torch.cat([patch.inner[0].reshape(count, -1) for patch in patches], 1)
    contrast = flat.amax(1) - flat.amin(1)
    good = contrast > _FLAT * flat.abs().amax(1)
    return [band for band in range(count) if bool(good[band])]


def correlations(patches: list[Patch]) -> list[float]:
    """Correlate each band with the one before.

    Args:
        patches: Patches of the same size.

    Returns:
        Correlations from the second band on; NaN where a band has no contrast.
    """
    count = patches[0].cube.shape[1]
    flat = torch.cat([patch.inner[0].reshape(count, -1) for patch in patches], 1)
    flat = flat.double()
    flat = flat - flat.mean(1, keepdim=True)
    norm = flat.norm(dim=1)
    values = (flat[1:] * flat[:-1]).sum(1) / (norm[1:] * norm[:-1])
    return [value if math.isfinite(value) else math.nan for value in values.tolist()]


def group_bands(
    bands: list[int], alike: list[float], options: RhoPNNOptions
) -> list[list[int]]:
    """Put neighbors together that are alike.

    Args:
        bands: Positions of the bands that are to be tuned.
        alike: Correlations of all bands, from :func:`correlations`.
        options: The options.

    Returns:
        Positions of the bands of each group.
    """
    groups = [bands[:1]] if bands else []
    for before, band in pairwise(bands):
        near = band == before + 1 and alike[before] >= options.group_correlation
        if near and len(groups[-1]) < options.group:
            groups[-1].append(band)
        else:
            groups.append([band])
    return groups
