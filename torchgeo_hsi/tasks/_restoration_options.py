# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checks of the options of restoration tasks."""

import math

from ..errors import UnitError


def check_options(warmup: float, schedule: str, supervision: str = 'clean') -> None:
    """Refuse options that mean nothing.

    Args:
        warmup: Share of the steps in which the learning rate rises.
        schedule: How the learning rate falls.
        supervision: What to learn from.

    Raises:
        ValueError: If one is out of its range.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f'Expected a warmup from 0 to below 1, got {warmup}.')
    for name, value, known in (
        ('schedule', schedule, ('cosine', 'constant')),
        ('supervision', supervision, ('clean', 'recorrupted', 'neighbors')),
    ):
        if value not in known:
            raise ValueError(
                f'Expected a {name} out of {", ".join(known)}, got {value!r}.'
            )


def check_sigma(sigma: float | list[float] | None) -> None:
    """Refuse what no noise can have as its strength.

    Args:
        sigma: Standard deviation of the noise, or one for each band, or None.

    Raises:
        UnitError: If it is negative or not finite, or the list is empty.
    """
    values = sigma if isinstance(sigma, list | tuple) else [sigma or 0.0]
    if not values or not all(0 <= value < math.inf for value in values):
        raise UnitError(
            f'Expected a finite sigma of at least 0, or one for each band, got {sigma}.'
        )
