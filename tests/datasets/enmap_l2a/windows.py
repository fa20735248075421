# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The scene of the tests, and windows of it."""

from collections.abc import Sequence

import numpy as np
from data.enmap_l2a.data import FLAGS, NORTH, PIXEL, WEST

HEIGHT, WIDTH = 16, 14


DROPPED = {f'B{i}' for i in [*range(127, 142), *range(161, 168)]}


type Query = tuple[slice, slice]


def query(column: float, row: float, width: float, height: float) -> Query:
    """Ask for pixels of the first scene."""
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    return (slice(west, west + width * PIXEL), slice(north - height * PIXEL, north))


WHOLE = query(0, 0, WIDTH, HEIGHT)


def flagged(parts: Sequence[str]) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for part in parts:
        mask[FLAGS[part][0]] = True
    return mask
