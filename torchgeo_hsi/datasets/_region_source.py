# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Regions of a dataset, whatever dataset it is."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pandas as pd
import shapely
import torch
from affine import Affine
from rasterio.windows import Window
from shapely import Polygon
from shapely.geometry.base import BaseGeometry
from torch import Tensor
from torchgeo.datasets import GeoDataset

from .._typing import Sample
from ..errors import EmptyDataError
from ._region_grid import Blocks, Region, Scene, find_blocks
from ._stored_numbers import stored_numbers
from .hsi_cube import HSICube

#: Part of a pixel by which edges may miss the pixel grid.
_SLACK = 0.01

#: Share of a scene that an area may leave out and still count as all of it.
_SAME_AREA = 1e-6


class Source(Protocol):
    """Where regions come from."""

    #: Function of the user that changes samples, or None.
    transforms: Callable[[Sample], Sample] | None

    def scenes(self, roi: Polygon | None, size: int) -> list[Scene]:
        """List the scenes."""

    def read(self, region: Region) -> Sample:
        """Read a region."""

    def place(self, region: Region) -> dict[str, Tensor]:
        """Return ``bounds`` and ``transform`` of a region, or nothing."""


class GeoSource:
    """Regions of a georeferenced dataset.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: GeoDataset) -> None:
        """Initialize a new GeoSource instance."""
        self.transforms = getattr(dataset, 'transforms', None)
        # a copy: what changes samples shall see crops, as with any sampler
        parts: Any = copy.copy(dataset)
        parts.transforms = None
        self.dataset: GeoDataset = parts
        self.times = [slice(i.left, i.right) for i in dataset.index.index]
        self.res = dataset.res

    def scenes(self, roi: Polygon | None, size: int) -> list[Scene]:
        """List the scenes that a region of interest touches.

        Args:
            roi: Region in the CRS of the dataset, or None.
            size: Rows and columns of a crop.

        Returns:
            The scenes, without those of which the region leaves less than a crop. A
            scene that is smaller by itself stays.

        Raises:
            EmptyDataError: If there are none.
        """
        index = self.dataset.index
        found, too_small = [], False
        for number, geometry in enumerate(index.geometry):
            area = geometry if roi is None else geometry & roi
            if area.is_empty or not area.area > 0:
                continue
            scene = self._scene(number, geometry, area)
            if not self._is_cut_short(scene, geometry, size):
                found.append(scene)
            too_small = True
        if not found and too_small:
            raise EmptyDataError(
                f'No scene has a crop of {size} x {size} pixels that lies in the region '
                'of interest as a whole. Pass a smaller size or a larger roi.'
            )
        if not found:
            raise EmptyDataError(
                'No scene lies in the region of interest. Check its CRS: it has to be '
                f'that of the dataset ({self.dataset.crs}).'
            )
        return found

    def _scene(self, number: int, geometry: BaseGeometry, area: BaseGeometry) -> Scene:
        blocks = self._blocks(self.dataset, self.times[number], area)
        west, _, _, north = geometry.bounds
        size = (1, 1)
        if blocks is not None and blocks.transform is not None:
            west, north = blocks.transform.c, blocks.transform.f
            size = blocks.rows, blocks.columns
        xres, yres = self.res
        left, bottom, right, top = area.bounds
        columns = (left - west) / xres, (right - west) / xres
        rows = (north - top) / yres, (north - bottom) / yres
        first = [math.ceil(low - _SLACK) for low, _ in (rows, columns)]
        last = [math.floor(high + _SLACK) for _, high in (rows, columns)]
        height, width = (max(b - a, 1) for a, b in zip(first, last, strict=True))
        is_cut = area.area < geometry.area * (1 - _SAME_AREA)
        is_box = area.area > shapely.box(*area.bounds).area * (1 - _SAME_AREA)
        # crops may reach over the edge of a scene, but never of the region of interest
        limit = area if is_cut and not is_box else None
        origin = west, north
        top, left = first
        return Scene(number, top, left, height, width, size, origin, self.res, limit)

    def _is_cut_short(self, scene: Scene, geometry: BaseGeometry, size: int) -> bool:
        """Tell whether an area left less of a scene than a crop."""
        left, bottom, right, top = geometry.bounds
        whole = (top - bottom) / self.res[1], (right - left) / self.res[0]
        lengths = scene.height, scene.width
        return any(
            length < size and length < math.floor(full + _SLACK)
            for length, full in zip(lengths, whole, strict=True)
        )

    def _blocks(
        self, dataset: GeoDataset, time: slice, area: BaseGeometry
    ) -> Blocks | None:
        """Find the blocks of the file that lies in an area."""
        parts = getattr(dataset, 'datasets', None)
        if parts is not None:
            found = (self._blocks(part, time, area) for part in parts)
            return next((blocks for blocks in found if blocks is not None), None)
        index = dataset.index
        if 'filepath' not in index:
            return None
        rows = index[index.index.overlaps(pd.Interval(time.start, time.stop, 'both'))]
        rows = rows[rows.geometry.contains(area.representative_point())]
        for path, geometry in zip(rows.filepath, rows.geometry, strict=True):
            blocks = find_blocks(str(path))
            if blocks is not None and self._fits(blocks.transform, geometry):
                return blocks
        return None

    def _fits(self, transform: Affine | None, geometry: BaseGeometry) -> bool:
        """Tell whether pixels of a file are those of the dataset."""
        if transform is None or transform.b or transform.d:
            return False
        west, _, _, north = geometry.bounds
        xres, yres = self.res
        return (
            abs(transform.a - xres) < 1e-6 * xres
            and abs(-transform.e - yres) < 1e-6 * yres
            and abs(transform.c - west) < _SLACK * xres
            and abs(transform.f - north) < _SLACK * yres
        )

    def query(self, region: Region) -> tuple[slice, slice, slice]:
        """Return the coordinates of a region.

        Args:
            region: The region.

        Returns:
            ``[xmin:xmax, ymin:ymax, tmin:tmax]`` to index the dataset.
        """
        (west, north), (xres, yres) = region.scene.origin, self.res
        x, y = region.column, region.row
        xs = slice(west + x * xres, west + (x + region.width) * xres)
        ys = slice(north - (y + region.height) * yres, north - y * yres)
        return xs, ys, self.times[region.scene.number]

    def read(self, region: Region) -> Sample:
        """Read a region.

        Args:
            region: The region.

        Returns:
            A sample, with an image of as few bytes as hold it.
        """
        with stored_numbers():
            sample: Sample = self.dataset[self.query(region)]
        if 'image' in sample:
            sample['image'] = shrink(sample['image'])
        return sample

    def place(self, region: Region) -> dict[str, Tensor]:
        """Return ``bounds`` and ``transform`` of a region.

        Args:
            region: The region.
        """
        xs, ys, times = self.query(region)
        (x, y), t = self.res, times
        bounds = [xs.start, xs.stop, x, ys.start, ys.stop, y]
        bounds += [t.start.timestamp(), t.stop.timestamp(), 1]
        transform = Affine(x, 0.0, xs.start, 0.0, -y, ys.stop)
        return {
            'bounds': torch.tensor(bounds),
            'transform': torch.tensor(tuple(transform)),
        }


class CubeSource:
    """Regions of cubes that need no georeference.

    Args:
        dataset: The cubes.
    """

    def __init__(self, dataset: HSICube) -> None:
        """Initialize a new CubeSource instance."""
        self.transforms = dataset.transforms
        self.dataset = dataset

    def scenes(self, roi: Polygon | None, size: int) -> list[Scene]:
        """List the cubes.

        Args:
            roi: Has to be None.
            size: Rows and columns of a crop.

        Returns:
            One scene for each cube.

        Raises:
            ValueError: If there is a region of interest.
        """
        if roi is not None:
            raise ValueError(
                'HSICube shares no map between its cubes, so roi= cannot be used. Open '
                'georeferenced scenes with a GeoDataset.'
            )
        return list(self._scenes())

    def _scenes(self) -> Iterator[Scene]:
        for number, path in enumerate(self.dataset.files):
            blocks = find_blocks(path)
            block = (1, 1) if blocks is None else (blocks.rows, blocks.columns)
            yield Scene(number, 0, 0, *self.dataset.shapes[number], block)

    def read(self, region: Region) -> Sample:
        """Read a region.

        Args:
            region: The region.

        Returns:
            A sample, with an image of as few bytes as hold it.
        """
        with stored_numbers():
            return self.dataset.read_window(region.scene.number, _window(region))

    def place(self, region: Region) -> dict[str, Tensor]:
        """Return ``bounds`` and ``transform`` of a region, if cubes have a place.

        Args:
            region: The region.
        """
        return self.dataset.place(region.scene.number, _window(region))


def _window(region: Region) -> Window:
    return Window(region.column, region.row, region.width, region.height)


def shrink(image: Tensor) -> Tensor:
    """Store an image as int16 where that loses nothing.

    Args:
        image: Image of shape ``(C, H, W)``.

    Returns:
        The same numbers.
    """
    if image.dtype != torch.float32:
        return image
    small = torch.empty(image.shape, dtype=torch.int16)
    for target, band in zip(small, image, strict=True):
        target.copy_(band)
        if not torch.equal(target.float(), band):
            return image
    return small
