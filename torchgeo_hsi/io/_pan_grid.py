# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where a panchromatic image lies on a cube."""

from typing import NamedTuple

import numpy as np
from affine import Affine
from rasterio.windows import Window

from ..errors import BandMismatchError, EmptyDataError, MetadataError
from .base import CubeInfo

#: Panchromatic pixels by which a grid may be off; less cannot be seen.
TOLERANCE = 0.1

_WARP = (
    'Resample the panchromatic image to the grid of the cube, with pixels of a whole '
    'fraction: gdalwarp -t_srs (CRS of the cube) -te (its bounds) -tr (its pixel / '
    'ratio) -r bilinear pan.tif out.tif'
)


class PanGrid(NamedTuple):
    """Grid of a panchromatic image, in pixels of its own.

    Args:
        ratio: Panchromatic pixels along the side of a pixel of the cube.
        row: Row at which the cube begins.
        column: Column at which the cube begins.
    """

    ratio: int
    row: int = 0
    column: int = 0

    @classmethod
    def of(
        cls,
        cube: CubeInfo,
        pan: CubeInfo,
        ratio: int | None,
        tolerance: float = TOLERANCE,
    ) -> 'PanGrid':
        """Find the grid.

        Args:
            cube: The cube.
            pan: The panchromatic image.
            ratio: What the ratio ought to be, or None.
            tolerance: Panchromatic pixels by which the grids may be off, or drift apart
                over the scene; with 0.5, the nearest pixel is taken for where the cube
                begins.

        Returns:
            The grid: from the georeferences, or, where one of them has none, from the
            sizes.

        Raises:
            MetadataError: If coordinate systems differ.
            BandMismatchError: If the grids do not fit, or the ratio is another one.
            EmptyDataError: If the images have no pixel in common.
        """
        if cube.transform is None or pan.transform is None:
            found = cls._by_size(cube, pan)
        else:
            found = cls._by_place(cube, pan, tolerance)
        if ratio is not None and found.ratio != ratio:
            raise BandMismatchError(
                f'Expected a ratio of {ratio} between {cube.path} and {pan.path}, got '
                f'{found.ratio}. Pass ratio={found.ratio}, or leave it out.'
            )
        return found

    @classmethod
    def _by_place(cls, cube: CubeInfo, pan: CubeInfo, tolerance: float) -> 'PanGrid':
        assert cube.transform is not None
        assert pan.transform is not None
        if cube.crs is not None and pan.crs is not None and cube.crs != pan.crs:
            raise MetadataError(
                f'Expected {pan.path} in the coordinate system of {cube.path}, '
                f'{cube.crs}, got {pan.crs}. {_WARP}'
            )
        (a, b, column), (d, e, row) = _relative(cube.transform, pan.transform)
        ratio = round(a)
        _, height, width = cube.shape
        drift = np.abs([a - ratio, b, d, e - ratio]) * max(height, width)
        rest = np.abs([column - round(column), row - round(row)])
        if ratio < 2 or max(*drift, *rest) > tolerance:
            raise BandMismatchError(
                f'Expected pixels of {pan.path} that divide those of {cube.path} into '
                f'a whole number, at least 2, and share their edges; a pixel of the '
                f'cube is {a:.4g} x {e:.4g} panchromatic ones, and the cube begins at '
                f'column {column:.3f} and row {row:.3f}. {_WARP}'
            )
        found = cls(ratio, round(row), round(column))
        inside = [
            first < length and first + ratio * count > 0
            for first, length, count in (
                (found.row, pan.shape[1], height),
                (found.column, pan.shape[2], width),
            )
        ]
        if not all(inside):
            raise EmptyDataError(
                f'{pan.path} does not cover any pixel of {cube.path}. Check which '
                'files belong together; they are paired in the order in which they '
                'are named.'
            )
        return found

    @classmethod
    def _by_size(cls, cube: CubeInfo, pan: CubeInfo) -> 'PanGrid':
        ratio = max(
            round(fine / coarse)
            for fine, coarse in zip(pan.shape[1:], cube.shape[1:], strict=True)
        )
        rest = [
            abs(fine - ratio * coarse)
            for fine, coarse in zip(pan.shape[1:], cube.shape[1:], strict=True)
        ]
        if ratio < 2 or max(rest) >= ratio:
            raise BandMismatchError(
                f'Expected {pan.path} with a whole number of times the rows and columns '
                f'of {cube.path}, at least 2, got {pan.shape[1]} x {pan.shape[2]} and '
                f'{cube.shape[1]} x {cube.shape[2]}. Cut both to the same area, or '
                'give both a georeference.'
            )
        return cls(ratio)

    def window(self, window: Window) -> Window:
        """Return the panchromatic pixels in a window of the cube.

        Args:
            window: Rows and columns of the cube.
        """
        return Window(
            self.column + self.ratio * window.col_off,
            self.row + self.ratio * window.row_off,
            self.ratio * window.width,
            self.ratio * window.height,
        )


def _relative(cube: Affine, pan: Affine) -> list[list[float]]:
    """Return the affine transform from pixels of a cube to panchromatic ones."""
    pixel = np.array([[pan.a, pan.b], [pan.d, pan.e]])
    # coordinates are large, and only their difference matters
    own = [[cube.a, cube.b, cube.c - pan.c], [cube.d, cube.e, cube.f - pan.f]]
    found: list[list[float]] = np.linalg.solve(pixel, np.array(own)).tolist()
    return found
