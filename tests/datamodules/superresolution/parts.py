# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Parts of the super-resolution data module."""

from pathlib import Path
from typing import Any

import numpy as np

from torchgeo_hsi.datamodules import HSISuperResolutionDataModule
from torchgeo_hsi.physics import BandSet

BANDS = 12

AXIS = BandSet(np.linspace(0.44, 0.70, BANDS), np.full(BANDS, 0.03))


def module(root: Path, **options: Any) -> HSISuperResolutionDataModule:
    defaults: dict[str, Any] = {
        'train': str(root / '[ab].tif'),
        'patch_size': 8,
        'batch_size': 2,
        'length': 8,
    }
    return HSISuperResolutionDataModule(**(defaults | options))


def drawn(data: HSISuperResolutionDataModule, epochs: int = 1) -> list[dict[str, Any]]:
    """Return training batches as the task gets them."""
    data.setup('fit')
    found = []
    for _ in range(epochs):
        for batch in data.train_dataloader():
            found.append(data.on_after_batch_transfer(batch, 0))
    return found
