# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How the pixels of a panchromatic image lie on those of a cube."""

import math
from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS

from ..errors import EmptyDataError, MetadataError
from ..io import CubeInfo
from ..io._pan_grid import PanGrid

#: How far the two grids may drift apart over a scene, in pixels of the PAN. Images may
#: lie beside each other by more, which a shift mends.
_DRIFT = 0.5


@dataclass(frozen=True)
class Overlay:
    """What a cube and a PAN share.

    Args:
        ratio: Pixels of the PAN along one side of a pixel of the cube.
        row: First row of the cube that the PAN covers.
        col: First column of the cube that the PAN covers.
        height: Rows of the cube that it covers.
        width: Columns of the cube that it covers.
        pan_row: Row of the PAN where *row* begins.
        pan_col: Column of the PAN where *col* begins.
        transform: Affine transform of the shared part on the grid of the PAN, or None.
        crs: Coordinate reference system, or None.
    """

    ratio: int
    row: int
    col: int
    height: int
    width: int
    pan_row: int
    pan_col: int
    transform: Affine | None
    crs: CRS | None

    @property
    def pixels(self) -> int:
        """Pixels of the PAN in the shared part."""
        return self.ratio**2 * self.height * self.width


def find_overlay(cube: CubeInfo, pan: CubeInfo, ratio: int | None = None) -> Overlay:
    """Find out how a PAN lies on a cube.

    Where both have map coordinates, these tell, and the two may cover different areas.
    Otherwise, both have to begin at the same corner.

    Args:
        cube: What is known about the cube.
        pan: What is known about the PAN.
        ratio: What the ratio of pixel sizes has to be; whatever it is by default.

    Returns:
        The overlay.

    Raises:
        BandMismatchError: If the grids do not fit, or the ratio is another one.
        EmptyDataError: If they share no whole pixel of the cube.
        MetadataError: If the PAN has several bands, or coordinate systems differ.
    """
    if pan.shape[0] != 1:
        raise MetadataError(
            f'Expected one panchromatic band in {pan.path}, got {pan.shape[0]} bands. '
            'Write the band to a file of its own.'
        )
    grid = PanGrid.of(cube, pan, ratio, tolerance=_DRIFT)
    rows = _shared(grid.row, cube.shape[1], pan.shape[1], grid.ratio)
    cols = _shared(grid.column, cube.shape[2], pan.shape[2], grid.ratio)
    if rows is None or cols is None:
        raise EmptyDataError(
            f'{pan.path} covers no whole pixel of {cube.path}. Check that both show the '
            'same place.'
        )
    place = cube.transform
    if place is not None:
        place = place @ Affine.translation(cols[0], rows[0])
        place = place @ Affine.scale(1 / grid.ratio)
    return Overlay(
        grid.ratio,
        rows[0],
        cols[0],
        rows[1],
        cols[1],
        grid.row + grid.ratio * rows[0],
        grid.column + grid.ratio * cols[0],
        place,
        cube.crs or (pan.crs if pan.transform is not None and place else None),
    )


def _shared(start: int, coarse: int, fine: int, ratio: int) -> tuple[int, int] | None:
    """Return the first coarse pixel that fine ones cover, and how many there are."""
    first = max(0, math.ceil(-start / ratio))
    count = min(coarse, (fine - start) // ratio) - first
    return (first, count) if count > 0 else None
