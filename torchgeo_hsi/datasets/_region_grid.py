# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cut scenes into regions that are made of whole blocks of their files."""

import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from ..errors import HSIError
from ..io._tiff_layout import find_layout
from ..io._tiff_tags import Tags, open_plain
from ..io.geotiff import open_raster


class Blocks(NamedTuple):
    """The blocks of a file.

    Args:
        rows: Rows of a block.
        columns: Columns of a block.
        transform: Affine transform of the file, or None.
    """

    rows: int
    columns: int
    transform: Affine | None


@dataclass(frozen=True)
class Scene:
    """An area to draw crops from, in pixels of a grid of its own.

    Args:
        number: Number of the scene in its dataset.
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        block: Rows and columns of the blocks, which begin at row and column 0.
        origin: Map coordinates of the upper left corner of row and column 0.
        res: Size of a pixel in map coordinates, to the east and to the north.
        area: Area that crops may not leave, in map coordinates, or None.
    """

    number: int
    top: int
    left: int
    height: int
    width: int
    block: tuple[int, int] = (1, 1)
    origin: tuple[float, float] = (0.0, 0.0)
    res: tuple[float, float] = (1.0, 1.0)
    area: BaseGeometry | None = None


class Region(NamedTuple):
    """Pixels that are read at once.

    Args:
        scene: The scene.
        row: First row.
        column: First column.
        height: Rows.
        width: Columns.
    """

    scene: Scene
    row: int
    column: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def inside(self) -> int:
        """Return the number of pixels in the area that crops may not leave."""
        if self.scene.area is None:
            return self.area
        (west, north), (x, y) = self.scene.origin, self.scene.res
        left, top = west + self.column * x, north - self.row * y
        box = shapely.box(left, top - self.height * y, left + self.width * x, top)
        share: float = self.scene.area.intersection(box).area
        return round(share / (x * y))


def find_blocks(path: str) -> Blocks | None:
    """Find out how a raster is cut into blocks.

    Args:
        path: The file.

    Returns:
        Its blocks; None if it is no raster with blocks, or cannot be opened.
    """
    try:
        if os.path.isfile(path):
            with open_plain(path) as file:
                tags = Tags(file)
                layout = find_layout(tags)
                transform = tags.transform()
            if layout is not None and transform is not None:
                return Blocks(layout.block[0], layout.block[1], transform)
        with open_raster(path, complete=False) as src:
            rows, columns = src.block_shapes[0]
            return Blocks(rows, columns, src.transform)
    except (HSIError, OSError):
        # a reader that knows the file better complains when it is read, or does not
        return None


def cut_scene(
    scene: Scene, size: int, target: int, rng: np.random.Generator
) -> list[Region]:
    """Cut a scene into regions of whole blocks, each time elsewhere.

    Args:
        scene: The scene.
        size: Rows and columns of a crop; no region is smaller, unless the scene is.
        target: Rows and columns that a region should have.
        rng: Source of randomness.

    Returns:
        Regions that cover each pixel once, without those outside of the area; one that
        is larger than the scene if the scene is smaller than a crop.
    """
    rows, columns = group_blocks(scene, target, rng)
    down = _cuts(scene.top, scene.height, scene.block[0], rows, size, rng)
    across = _cuts(scene.left, scene.width, scene.block[1], columns, size, rng)
    regions = [
        Region(scene, top, left, height, width)
        for top, height in down
        for left, width in across
    ]
    return [region for region in regions if region.inside() > 0]


def group_blocks(
    scene: Scene, target: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Choose how many blocks make a region.

    A region of a single row of blocks has no crop across the border of two rows, so
    some have two, and fewer columns.

    Args:
        scene: The scene.
        target: Rows and columns that a region should have.
        rng: Source of randomness.

    Returns:
        Rows and columns of blocks.
    """
    high, wide = scene.block
    rows, columns = math.ceil(target / high), math.ceil(target / wide)
    shapes = []
    if rows > 1 or scene.height <= high:
        shapes.append((rows, columns))
    else:
        shapes.append((2, max(1, columns // 2)))
    if columns > 1 or scene.width <= wide:
        shapes.append((rows, columns))
    else:
        shapes.append((max(1, rows // 2), 2))
    return shapes[int(rng.integers(2))]


def _cuts(
    start: int, length: int, block: int, group: int, size: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Cut one axis; return the start and the length of each piece."""
    if length <= size:
        # as far as a scene is smaller than a crop, it is in the middle
        return [(start - (size - length) // 2, size)]
    end, step = start + length, group * block
    shift = int(rng.integers(group)) * block
    first = (start - shift) // step * step + shift
    places = [start]
    for place in range(first + step, end, step):
        if place - places[-1] >= size:
            places.append(place)
    if len(places) > 1 and end - places[-1] < size:
        places.pop()
    return [(a, b - a) for a, b in zip(places, [*places[1:], end], strict=True)]
