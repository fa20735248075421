# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random patterns that are functions of position: any window gives the same world.

Nothing is drawn in sequence. A hash of the lattice point and the seed takes the place
of the generator, so a scene of any size can be computed block by block.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray

#: Standard deviation of one octave of gradient noise, to normalize sums of them.
_NOISE_STD = 0.216


class Cells(NamedTuple):
    """Voronoi cells at some points.

    Args:
        ident: Number of the cell that each point lies in.
        edge: Distance of the point to the nearest edge, in units of the coordinates.
    """

    ident: NDArray[np.uint64]
    edge: NDArray[np.float32]


def hash_integers(
    x: NDArray[np.int64], y: NDArray[np.int64], seed: int
) -> NDArray[np.uint64]:
    """Mix pairs of integers into evenly distributed bits.

    The finalizer of SplitMix64 (Steele et al. 2014,
    https://doi.org/10.1145/2714064.2660195), applied to each coordinate in turn.

    Args:
        x: First coordinate.
        y: Second coordinate, of a shape that broadcasts.
        seed: Number of the pattern.

    Returns:
        One hash for each pair.
    """
    start = np.full(1, seed & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    state = _mix(start)
    # wrapping around is what integer hashes are made of
    with np.errstate(over='ignore'):
        state = _mix(state + x.astype(np.uint64))
        return _mix(state + y.astype(np.uint64))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over='ignore'):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def uniform(ident: NDArray[np.uint64], salt: int) -> NDArray[np.float32]:
    """Draw a number for each object.

    Args:
        ident: Numbers of objects, such as cells.
        salt: Which of the many properties of an object is meant.

    Returns:
        Numbers from 0 to 1, always the same for an object and salt.
    """
    with np.errstate(over='ignore'):
        bits = _mix(ident + np.uint64(salt) * np.uint64(0xD1B54A32D192ED03))
    # 24 bits are what a float32 holds exactly
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _lattice(
    x: FloatArray, y: FloatArray, seed: int, margin: int
) -> tuple[NDArray[np.uint64], int, int]:
    """Hash the lattice points around all coordinates; return them and their origin."""
    left, top = int(np.floor(x.min())) - margin, int(np.floor(y.min())) - margin
    right, bottom = int(np.floor(x.max())) + margin, int(np.floor(y.max())) + margin
    columns = np.arange(left, right + 1, dtype=np.int64)[None, :]
    rows = np.arange(top, bottom + 1, dtype=np.int64)[:, None]
    return hash_integers(columns, rows, seed), left, top


def gradient_noise(x: FloatArray, y: FloatArray, seed: int) -> NDArray[np.float32]:
    """Smooth noise with features of size 1 (Perlin 2002, doi:10.1145/566654.566636).

    Args:
        x: Coordinates to the east.
        y: Coordinates to the south, of a shape that broadcasts.
        seed: Number of the pattern.

    Returns:
        Noise of mean 0, 0 on the lattice points.
    """
    table, left, top = _lattice(x, y, seed, 1)
    angle = uniform(table, 0) * np.float32(2 * np.pi)
    east, south = np.cos(angle), np.sin(angle)
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - column).astype(np.float32), (y - row).astype(np.float32)
    # the quintic of Perlin: its first two derivatives vanish at both ends
    sx, sy = (f * f * f * (f * (f * 6 - 15) + 10) for f in (fx, fy))
    column, row = column - left, row - top
    if x.shape[0] == 1 and y.shape[-1] == 1:
        return _on_grid(east, south, (column[0], fx, sx), (row[:, 0], fy, sy))
    width = table.shape[1]
    corner = row * width + column
    east, south = east.ravel(), south.ravel()

    def slope(dx: int, dy: int) -> NDArray[np.float32]:
        index = corner + (dy * width + dx)
        return np.asarray(east[index] * (fx - dx) + south[index] * (fy - dy))

    upper = slope(0, 0) * (1 - sx) + slope(1, 0) * sx
    lower = slope(0, 1) * (1 - sx) + slope(1, 1) * sx
    return np.asarray(upper * (1 - sy) + lower * sy)


def _on_grid(
    east: NDArray[np.float32],
    south: NDArray[np.float32],
    x: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]],
    y: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Interpolate first down the columns, then along the rows: ten times as fast."""
    column, fx, sx = x
    row, fy, sy = y
    slope = (1 - sy) * east[row] + sy * east[row + 1]
    level = (1 - sy) * fy * south[row] + sy * (fy - 1) * south[row + 1]
    left = fx * slope.take(column, 1) + level.take(column, 1)
    right = (fx - 1) * slope.take(column + 1, 1) + level.take(column + 1, 1)
    return np.asarray(left + sx * (right - left))


def fractal(
    x: FloatArray,
    y: FloatArray,
    seed: int,
    scale: float,
    octaves: int = 4,
    gain: float = 0.5,
) -> NDArray[np.float32]:
    """Add noise of ever smaller scales, as in terrain or clouds.

    Args:
        x: Coordinates to the east.
        y: Coordinates to the south, of a shape that broadcasts.
        seed: Number of the pattern.
        scale: Size of the largest features.
        octaves: Number of scales; each is half as large as the one before.
        gain: Amplitude of a scale, relative to the one before.

    Returns:
        Field with a mean near 0 and a standard deviation near 1.
    """
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    power, frequency, amplitude = 0.0, 1.0 / scale, 1.0
    for octave in range(octaves):
        # shifted, so that the zeros of the lattices do not fall on each other
        shift = 0.5 + 17.31 * octave
        total += np.float32(amplitude) * gradient_noise(
            x * frequency + shift, y * frequency - shift, seed + 7919 * octave
        )
        power += amplitude**2
        frequency, amplitude = frequency * 2, amplitude * gain
    return np.asarray(total / np.float32(_NOISE_STD * np.sqrt(power)))


def voronoi(x: FloatArray, y: FloatArray, seed: int, scale: float) -> Cells:
    """Divide the plane into irregular polygons, like parcels and town blocks.

    One point lies in each square of a lattice; a cell is all that is nearest to its
    point (Worley 1996, https://doi.org/10.1145/237170.237267).

    Args:
        x: Coordinates to the east.
        y: Coordinates to the south, of the same shape.
        seed: Number of the pattern.
        scale: Mean size of a cell.

    Returns:
        The cells of all points.
    """
    x, y = np.broadcast_arrays(x / scale, y / scale)
    table, left, top = _lattice(x, y, seed, 2)
    rows, columns = np.indices(table.shape)
    # points keep away from the border of their square, so no cell is a sliver
    px = (columns + left + 0.15 + 0.7 * uniform(table, 1)).astype(np.float32).ravel()
    py = (rows + top + 0.15 + 0.7 * uniform(table, 2)).astype(np.float32).ravel()
    width = table.shape[1]
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    home = (np.floor(y).astype(np.int64) - top) * width + (
        np.floor(x).astype(np.int64) - left
    )
    first = np.full(x.shape, np.inf, dtype=np.float32)
    second = first.copy()
    owner, rival = home.copy(), home.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            index = home + (dy * width + dx)
            distance = (px[index] - x32) ** 2 + (py[index] - y32) ** 2
            wins = distance < first
            is_second = ~wins & (distance < second)
            second = np.where(wins, first, np.where(is_second, distance, second))
            rival = np.where(wins, owner, np.where(is_second, index, rival))
            first = np.where(wins, distance, first)
            owner = np.where(wins, index, owner)
    apart = np.hypot(px[owner] - px[rival], py[owner] - py[rival])
    # distance to the line in the middle between the two nearest points
    edge = (second - first) / (2 * np.maximum(apart, 1e-6)) * np.float32(scale)
    return Cells(table.ravel()[owner], edge.astype(np.float32))


def voronoi_parts(
    x: FloatArray, y: FloatArray, seed: int, scale: float, factor: int
) -> Cells:
    """Like :func:`voronoi`, for parts of pixels: only pixels on an edge are divided.

    Args:
        x: Columns of the parts, shape ``(1, W x factor)``.
        y: Rows of the parts, shape ``(H x factor, 1)``.
        seed: Number of the pattern.
        scale: Mean size of a cell in pixels.
        factor: Parts along each side of a pixel.

    Returns:
        The cells; distances to the edge are exact up to 0.3 pixels.
    """
    middle_x = x.reshape(1, -1, factor).mean(axis=2)
    middle_y = y.reshape(-1, factor, 1).mean(axis=1)
    pixels = voronoi(middle_x, middle_y, seed, scale)
    parts = (
        np.repeat(np.repeat(field, factor, axis=0), factor, axis=1) for field in pixels
    )
    ident, edge = parts
    # no part is further than 0.54 from the middle of its pixel
    near = edge < 0.9
    row, column = np.nonzero(near)
    if len(row):
        ident[near], edge[near] = voronoi(x[0, column], y[row, 0], seed, scale)
    return Cells(ident, edge)
