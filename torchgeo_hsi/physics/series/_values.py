# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band values as they come: whole numbers, and bands without data."""

import torch
from torch import Tensor


def floating(spectra: Tensor) -> Tensor:
    """Return spectra in float32 or better: in others, matrices would be cut off.

    Args:
        spectra: Band values of any type.

    Returns:
        The same values.
    """
    if spectra.dtype in (torch.float32, torch.float64):
        return spectra
    return spectra.float()


def without(values: Tensor, weights: Tensor | None) -> Tensor:
    """Set bands that do not count to 0: they may be anything, e.g. NaN.

    Args:
        values: Band values, bands last.
        weights: What each band counts, of a shape that broadcasts; all by default.

    Returns:
        The values, 0 where the weight is 0.
    """
    if weights is None:
        return values
    return values.masked_fill(weights.to(values.device) == 0, 0)


def check_weights(weights: Tensor) -> None:
    """Refuse numbers that are no weights.

    Args:
        weights: What bands count.

    Raises:
        ValueError: If one is negative or NaN.
    """
    if not bool((weights >= 0).all()):
        raise ValueError(
            'Expected weights of 0 or more, got negative ones or NaN. Give bands '
            'without data the weight 0.'
        )
