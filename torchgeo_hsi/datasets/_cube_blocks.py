# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes in blocks that cover each pixel once."""

import copy

from rasterio.windows import Window

from .hsi_cube import HSICube


def cube_blocks(dataset: HSICube, size: int) -> HSICube:
    """Return the cubes of a dataset in blocks that do not overlap.

    Args:
        dataset: The dataset, with windows of any size.
        size: Rows and columns of a block; there are fewer at the edges.

    Returns:
        A dataset of the same cubes.
    """
    result = copy.copy(dataset)
    result._windows = [
        (
            number,
            Window(column, row, min(size, width - column), min(size, height - row)),
        )
        for number, cube in enumerate(dataset._cubes)
        for height, width in [cube.info.shape[1:]]
        for row in range(0, height, size)
        for column in range(0, width, size)
    ]
    return result
