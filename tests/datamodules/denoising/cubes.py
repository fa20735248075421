# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files with noisy images."""

from pathlib import Path
from typing import Any

from torchgeo_hsi.datamodules import HSIDenoisingDataModule

BANDS = 12


def module(root: Path, **options: Any) -> HSIDenoisingDataModule:
    defaults: dict[str, Any] = {
        'train': str(root / 'abu-*.mat'),
        'patch_size': 16,
        'length': 8,
        'batch_size': 4,
    }
    return HSIDenoisingDataModule(**(defaults | options))
