# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sums over every window of an array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def window_sums(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Sum over every window that lies inside.

    Args:
        values: Numbers of shape ``(H, W)``.
        size: Height and width of the windows, at most those of the values.

    Returns:
        Sums of shape ``(H - size + 1, W - size + 1)``, by the first row and column of
        the window; whole numbers where values are bool, else float64.
    """
    kind = np.int64 if values.dtype == bool else np.float64
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1), dtype=kind)
    np.cumsum(values, axis=0, dtype=kind, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    inner: NDArray[Any] = table[size:, size:] - table[:-size, size:]
    inner -= table[size:, :-size]
    inner += table[:-size, :-size]
    return inner
