# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How the pixels of a panchromatic image lie on those of a cube."""

import math
from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS

from ..errors import MetadataError
from ..io import CubeInfo

#: How far the two grids may drift apart over a scene, in pixels of the PAN.
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
        MetadataError: If the grids do not fit, or do not overlap.
    """
    if pan.shape[0] != 1:
        raise MetadataError(
            f'Expected one panchromatic band in {pan.path}, got {pan.shape[0]} bands. '
            'Write the band to a file of its own.'
        )
    placed = cube.transform is not None and pan.transform is not None
    if placed and _is_upright(cube) and _is_upright(pan):
        found = _by_coordinates(cube, pan)
    else:
        found = _by_sizes(cube, pan)
    if ratio is not None and ratio != found.ratio:
        raise MetadataError(
            f'Expected a ratio of {ratio}, but the pixels of {pan.path} are '
            f'{found.ratio} times as small as those of {cube.path}.'
        )
    return found


def _is_upright(info: CubeInfo) -> bool:
    """Whether rows go to the east and columns to the south."""
    where = info.transform
    assert where is not None
    return where.b == where.d == 0 and where.a > 0 and where.e < 0


def _by_coordinates(cube: CubeInfo, pan: CubeInfo) -> Overlay:
    if cube.crs is not None and pan.crs is not None and cube.crs != pan.crs:
        raise MetadataError(
            f'{cube.path} is in {cube.crs} and {pan.path} in {pan.crs}. Bring the PAN to '
            'the grid of the cube first, e.g. with gdalwarp -t_srs.'
        )
    assert cube.transform is not None
    assert pan.transform is not None
    coarse, fine = cube.transform, pan.transform
    steps = coarse.a / fine.a, coarse.e / fine.e
    ratio = round(steps[0])
    largest = max(cube.shape[1:])
    if ratio < 2 or max(abs(step - ratio) for step in steps) * largest > _DRIFT:
        raise MetadataError(
            f'The pixels of {cube.path} are {steps[0]:.6g} x {steps[1]:.6g} times as '
            f'large as those of {pan.path}; expected the same whole number from 2 on. '
            'Resample the PAN, e.g. with gdalwarp -tr.'
        )
    # where the cube begins, in pixels of the PAN
    down = round((coarse.f - fine.f) / fine.e)
    right = round((coarse.c - fine.c) / fine.a)
    rows = _shared(down, cube.shape[1], pan.shape[1], ratio)
    cols = _shared(right, cube.shape[2], pan.shape[2], ratio)
    if rows is None or cols is None:
        raise MetadataError(
            f'{pan.path} covers no whole pixel of {cube.path}. Check that both show the '
            'same place.'
        )
    transform = coarse @ Affine.translation(cols[0], rows[0])
    return Overlay(
        ratio,
        rows[0],
        cols[0],
        rows[1],
        cols[1],
        down + ratio * rows[0],
        right + ratio * cols[0],
        transform @ Affine.scale(1 / ratio),
        cube.crs or pan.crs,
    )


def _shared(start: int, coarse: int, fine: int, ratio: int) -> tuple[int, int] | None:
    """Return the first coarse pixel that fine ones cover, and how many there are."""
    first = max(0, math.ceil(-start / ratio))
    count = min(coarse, (fine - start) // ratio) - first
    return (first, count) if count > 0 else None


def _by_sizes(cube: CubeInfo, pan: CubeInfo) -> Overlay:
    (_, height, width), (_, rows, cols) = cube.shape, pan.shape
    ratio = max(round(rows / height), round(cols / width))
    # up to a pixel of the cube more or less is cut off
    off = max(abs(rows - ratio * height), abs(cols - ratio * width))
    if ratio < 2 or off >= ratio:
        raise MetadataError(
            f'{pan.path} has {rows} x {cols} pixels and {cube.path} {height} x {width}; '
            'expected the same whole number of times as many, from 2 on. Files that '
            'cover different areas need map coordinates.'
        )
    place = cube.transform
    return Overlay(
        ratio,
        0,
        0,
        min(height, rows // ratio),
        min(width, cols // ratio),
        0,
        0,
        None if place is None else place @ Affine.scale(1 / ratio),
        cube.crs,
    )
