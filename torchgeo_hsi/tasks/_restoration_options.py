# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checks of the options of restoration tasks."""

import math

from torch import Tensor

from ..errors import UnitError

#: Values in [0, 1] with whatever noise are not that large; reflectance x 10 000 is.
_LARGEST = 50.0


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


def check_range(
    image: Tensor, valid: Tensor, data_range: float, datamodule: str
) -> None:
    """Refuse images that are not scaled.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        valid: Pixels that count, shape ``(B, H, W)``.
        data_range: Range that their values should have.
        datamodule: Name of the data module that scales them.

    Raises:
        UnitError: If their values are far larger.
    """
    values = image.detach().movedim(1, -1)[valid]
    largest = float(values.abs().max()) if values.numel() else 0.0
    if not largest <= _LARGEST * data_range:
        raise UnitError(
            f'Expected images with values of about 0 to {data_range}, got {largest:g}. '
            f'Scale reflectance x 10 000, and take out what is no data: {datamodule} '
            'does both.'
        )
