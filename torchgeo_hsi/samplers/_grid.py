# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The pixel grid of a dataset, and the scenes on it."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from shapely import Polygon
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import BoolArray
from ..errors import EmptyDataError

#: Share of a scene that a region may leave out and still count as all of it.
_SAME_AREA = 1e-6


class Scene(NamedTuple):
    """A scene on the pixel grid.

    Args:
        left: First column, counted from the left edge of the dataset.
        bottom: First row, counted upwards from the lower edge of the dataset.
        width: Columns.
        height: Rows.
        time: Start and end.
        row: Number in the index of the dataset.
        area: Region to stay in, in the CRS of the dataset; None if it is not cut.
    """

    left: int
    bottom: int
    width: int
    height: int
    time: slice
    row: int
    area: BaseGeometry | None


class PixelGrid:
    """Pixels of a dataset, counted from its lower left corner.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: GeoDataset) -> None:
        """Initialize a new PixelGrid instance."""
        xs, ys, _ = dataset.bounds
        self.res = dataset.res
        self.origin = float(xs.start), float(ys.start)

    def scenes(
        self, dataset: GeoDataset, roi: Polygon | None, lenient: int = 0
    ) -> list[Scene]:
        """List the scenes that a region touches.

        Args:
            dataset: The dataset.
            roi: Region in the CRS of the dataset, or None.
            lenient: Of parts with fewer rows or columns than this, the region is the
                box.

        Returns:
            The scenes.

        Raises:
            EmptyDataError: If there are none.
        """
        found = []
        index = dataset.index
        for number, (interval, geometry) in enumerate(
            zip(index.index, index.geometry, strict=True)
        ):
            area = geometry if roi is None else geometry & roi
            if area.is_empty or not area.area > 0:
                continue
            # a window may reach over the edge of a scene, and never of the region
            is_cut = roi is not None and area.area < geometry.area * (1 - _SAME_AREA)
            pixels = self.pixels(area)
            keep = is_cut and min(pixels[2:]) >= lenient
            time = slice(interval.left, interval.right)
            found.append(Scene(*pixels, time, number, area if keep else None))
        if not found:
            raise EmptyDataError(
                'No scene lies in the region of interest. Check its CRS: it has to be '
                f'that of the dataset ({dataset.crs}).'
            )
        return found

    def pixels(self, area: BaseGeometry) -> tuple[int, int, int, int]:
        """Return left, bottom, width and height of an area in pixels.

        Args:
            area: The area; pixels that it covers by less than a hundredth are out.
        """
        low, high = [], []
        for axis in (0, 1):
            edges = (area.bounds[axis], area.bounds[axis + 2])
            first, last = (
                (edge - self.origin[axis]) / self.res[axis] for edge in edges
            )
            low.append(math.ceil(first - 0.01))
            high.append(math.floor(last + 0.01))
        return (*low, max(high[0] - low[0], 1), max(high[1] - low[1], 1))

    def query(
        self, left: int, bottom: int, width: int, height: int, time: slice
    ) -> tuple[slice, slice, slice]:
        """Return the coordinates of a window.

        Args:
            left: First column.
            bottom: First row, upwards.
            width: Columns.
            height: Rows.
            time: Start and end.

        Returns:
            ``[xmin:xmax, ymin:ymax, tmin:tmax]`` to index the dataset.
        """
        xs, ys = (
            slice(
                self.origin[axis] + start * self.res[axis],
                self.origin[axis] + (start + extent) * self.res[axis],
            )
            for axis, start, extent in ((0, left, width), (1, bottom, height))
        )
        return xs, ys, time

    def transform(self, scene: Scene) -> Affine:
        """Return the transform of a scene, from its upper left corner.

        Args:
            scene: The scene.
        """
        west = self.origin[0] + scene.left * self.res[0]
        north = self.origin[1] + (scene.bottom + scene.height) * self.res[1]
        return Affine(self.res[0], 0.0, west, 0.0, -self.res[1], north)

    def inside(self, scene: Scene) -> BoolArray | None:
        """Tell which pixels of a scene lie in its region.

        Args:
            scene: The scene.

        Returns:
            Mask of shape ``(H, W)``, rows downwards: True where the middle of the pixel
            lies inside; None if all do.
        """
        if scene.area is None:
            return None
        covered = rasterize(
            [scene.area],
            (scene.height, scene.width),
            transform=self.transform(scene),
            dtype=np.uint8,
        )
        return np.asarray(covered, dtype=bool)


def to_query(
    grid: PixelGrid, scene: Scene, row: int, column: int, size: int
) -> GeoSlice:
    """Return the coordinates of a square window.

    Args:
        grid: The pixel grid.
        scene: The scene.
        row: First row in the scene, downwards.
        column: First column in the scene.
        size: Rows and columns.

    Returns:
        The query. A scene smaller than the window is in its middle.
    """
    free_x, free_y = scene.width - size, scene.height - size
    left = scene.left + (column if free_x > 0 else free_x // 2)
    # rows are counted downwards, coordinates upwards
    up = free_y - row if free_y > 0 else free_y // 2
    return grid.query(left, scene.bottom + up, size, size, scene.time)


def blocks(scene: Scene, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a scene into blocks.

    Args:
        scene: The scene.
        size: Rows and columns of a block.

    Yields:
        First row (downwards), first column, rows and columns.
    """
    for row in range(0, scene.height, size):
        for column in range(0, scene.width, size):
            yield (
                row,
                column,
                min(size, scene.height - row),
                min(size, scene.width - column),
            )
