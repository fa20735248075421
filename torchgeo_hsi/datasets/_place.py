# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where a sample lies, in the form of torchgeo."""

import pandas as pd
import torch
from affine import Affine
from rasterio.transform import array_bounds
from torch import Tensor


def place_of(
    transform: Affine,
    shape: tuple[int, int],
    time: pd.Timestamp | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Return what torchgeo tells of the place of a sample.

    Args:
        transform: From (column, row) of the sample to map coordinates.
        shape: Rows and columns.
        time: When it was taken, in UTC without a zone; any time by default.
        dtype: Type of the numbers.

    Returns:
        ``bounds`` and ``transform``.
    """
    west, south, east, north = array_bounds(*shape, transform)
    first, last = (pd.Timestamp.min, pd.Timestamp.max) if time is None else (time, time)
    bounds = [west, east, abs(transform.a), south, north, abs(transform.e)]
    bounds += [first.timestamp(), last.timestamp(), 1]
    return {
        'bounds': torch.tensor(bounds, dtype=dtype),
        'transform': torch.tensor(tuple(transform), dtype=dtype),
    }
