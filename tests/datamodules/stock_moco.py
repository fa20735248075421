# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small task of torchgeo that learns from two dates of a location."""

from typing import Any

from torchgeo.tasks import MoCo


def small_moco(bands: int, **options: Any) -> MoCo:
    """Make the task for images of 16 by 16 pixels.

    Args:
        bands: Number of bands.
        **options: Of the task.

    Returns:
        The task.
    """
    small = {'layers': 2, 'hidden_dim': 16, 'output_dim': 8, 'memory_bank_size': 8}
    return MoCo(
        model='resnet18', in_channels=bands, version=2, size=16, **(small | options)
    )
