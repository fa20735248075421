# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images of which a crop can be read off, and crops computed by hand."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

WHOLE = {'scale': (1.0, 1.0), 'ratio': (1.0, 1.0)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramps(height: int, width: int, count: int = 1) -> Tensor:
    """Make images whose two channels are the row and the column of the pixel."""
    grid = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack(grid).double().repeat(count, 1, 1, 1)


def by_hand(plane: np.ndarray, box: tuple[int, int, int, int], size: int) -> Any:
    """Interpolate between the middles of pixels; edges are repeated outwards."""
    top, left, height, width = box
    plane = plane[top : top + height, left : left + width]

    def weights(length: int) -> np.ndarray:
        rows = np.zeros((size, length))
        for i in range(size):
            x = min(max((i + 0.5) * length / size - 0.5, 0), length - 1)
            low = int(x)
            rows[i, low] += 1 - (x - low)
            rows[i, min(low + 1, length - 1)] += x - low
        return rows

    return weights(height) @ plane @ weights(width).T
