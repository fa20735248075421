# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The pixel grid of a scene, and where a tile lies on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from affine import Affine
from torch import Tensor

from ..errors import MetadataError

# Largest distance of a tile from the grid, in pixels. Less is rounding; more means that
# the tile was resampled to another grid.
_TOLERANCE = 0.05

# Largest relative difference of two resolutions: 0.05 pixels over a tile of 512.
_RESOLUTION_TOLERANCE = 1e-4

# Relative rounding error of float32, in which torchgeo hands out coordinates: 0.25 m at
# a northing of 5,800 km.
_FLOAT32 = 2.0**-24


@dataclass(frozen=True)
class Grid:
    """Rows and columns over map coordinates; north is up.

    Args:
        left: Map coordinate of the left edge.
        top: Map coordinate of the upper edge.
        xres: Width of a pixel.
        yres: Height of a pixel, positive.
        height: Number of rows.
        width: Number of columns.
    """

    left: float
    top: float
    xres: float
    yres: float
    height: int
    width: int

    @classmethod
    def of_dataset(cls, dataset: Any, tile: Sequence[float]) -> Self:
        """Build the grid that covers a dataset.

        torchgeo aligns tiles with the lower left corner of the bounds. Where the
        bounds are no whole number of pixels high or wide, the first tile decides
        whether that corner or the opposite one is meant.

        Args:
            dataset: torchgeo ``GeoDataset`` with ``bounds`` and ``res``.
            tile: First six numbers of the affine transform of a tile.

        Returns:
            The grid.

        Raises:
            MetadataError: If the dataset has no bounds or resolution, or the tile does
                not lie on a grid that starts at the bounds.
        """
        try:
            x, y = dataset.bounds[:2]
            xres, yres = (abs(float(r)) for r in dataset.res)
            left, right, bottom, top = (
                float(v) for v in (x.start, x.stop, y.start, y.stop)
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise MetadataError(
                f'Expected a torchgeo GeoDataset with bounds and res to predict on, '
                f'got {type(dataset).__name__}. Whole-scene output needs to know '
                'where the tiles lie.'
            ) from error
        width = math.ceil((right - left) / xres - _TOLERANCE)
        height = math.ceil((top - bottom) / yres - _TOLERANCE)
        found = None
        for start_x in (left, right - width * xres):
            for start_y in (bottom + height * yres, top):
                grid = cls(start_x, start_y, xres, yres, height, width)
                if grid._offset(tile) <= grid._tolerance(tile):
                    found = found or grid
        if found is None:
            found = cls(left, bottom + height * yres, xres, yres, height, width)
            found.locate(tile)
        return found

    @property
    def transform(self) -> Affine:
        """Affine transform from (column, row) to map coordinates."""
        return Affine(self.xres, 0, self.left, 0, -self.yres, self.top)

    def refine(self, zoom: int) -> 'Grid':
        """Divide every pixel.

        Args:
            zoom: Number of new pixels along each side of an old one.

        Returns:
            The finer grid.
        """
        return Grid(
            self.left,
            self.top,
            self.xres / zoom,
            self.yres / zoom,
            self.height * zoom,
            self.width * zoom,
        )

    def locate(self, tile: Sequence[float]) -> tuple[int, int]:
        """Find the row and column at which a tile starts; both may be negative.

        Args:
            tile: First six numbers of the affine transform of the tile.

        Returns:
            Row and column of its upper left pixel.

        Raises:
            MetadataError: If the tile is rotated, has another resolution, or lies
                between the pixels of the grid.
        """
        a, b, c, d, e, f = tile
        same = (
            math.isclose(a, self.xres, rel_tol=_RESOLUTION_TOLERANCE)
            and math.isclose(-e, self.yres, rel_tol=_RESOLUTION_TOLERANCE)
            and b == d == 0
        )
        if not same:
            raise MetadataError(
                f'Expected tiles with pixels of {self.xres:g} x {self.yres:g}, north '
                f'up, got the transform {a:g}, {b:g}, {c:g}, {d:g}, {e:g}, {f:g}. Do '
                'not change the resolution between the dataset and the prediction.'
            )
        offset, tolerance = self._offset(tile), self._tolerance(tile)
        if offset > tolerance or tolerance >= 0.5:
            raise MetadataError(
                f'Expected tiles on the pixel grid that starts at {self.left:.10g}, '
                f'{self.top:.10g}, got one at {c:.10g}, {f:.10g}, which is '
                f'{offset:.2f} pixels off (at most {tolerance:.2f}). Use a sampler that '
                'snaps to pixels, such as torchgeo.samplers.GriddedPatchSampler, or '
                'predict on one scene at a time.'
            )
        return round((self.top - f) / self.yres), round((c - self.left) / self.xres)

    def _offset(self, tile: Sequence[float]) -> float:
        row, col = (self.top - tile[5]) / self.yres, (tile[2] - self.left) / self.xres
        return max(abs(row - round(row)), abs(col - round(col)))

    def _tolerance(self, tile: Sequence[float]) -> float:
        rounding = max(abs(tile[2]) / self.xres, abs(tile[5]) / self.yres) * _FLOAT32
        return _TOLERANCE + rounding


def tile_transforms(prediction: Any, batch: Any, count: int) -> list[list[float]]:
    """Find the affine transforms of the tiles of a batch.

    They are taken from ``transform``, else from ``bounds``, of the prediction, else of
    the batch. In samples of an intersection of datasets both are repeated.

    Args:
        prediction: Output of ``predict_step``.
        batch: The batch that was predicted.
        count: Number of tiles.

    Returns:
        Six numbers for each tile.

    Raises:
        MetadataError: If there are none, or they were rounded.
    """
    for source in (prediction, batch):
        values = source.get('transform') if isinstance(source, dict) else None
        if isinstance(values, Tensor) and values.shape[:1] == (count,):
            _check_precision(values)
            return [row[:6] for row in values.cpu().double().tolist()]
    for source in (prediction, batch):
        values = source.get('bounds') if isinstance(source, dict) else None
        if isinstance(values, Tensor) and values.shape[:1] == (count,):
            _check_precision(values)
            rows = values.cpu().double().tolist()
            return [[b[2], 0.0, b[0], 0.0, -b[5], b[4]] for b in rows]
    raise MetadataError(
        "Neither the prediction nor the batch has 'transform' or 'bounds', so nobody "
        'knows where the tiles lie. Keep them in the batch (do not delete them in '
        'transfer_batch_to_device), or return them from predict_step.'
    )


def _check_precision(place: Tensor) -> None:
    if place.element_size() < 4:
        raise MetadataError(
            f'The positions of the tiles were rounded to {place.dtype}, by kilometres. '
            'Predict with precision: 32-true, or bf16-mixed, which is as fast.'
        )
