# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The part of the raster that the instrument imaged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray

#: Angle in degrees between the track and the south, at the latitude of Berlin.
TRACK_ANGLE = 13.0


@dataclass(frozen=True)
class Footprint:
    """A rectangle along the track, within the raster of the product.

    Args:
        height: Rows of the raster.
        width: Columns of the raster.
        angle: Angle of the track in degrees; 0 for along the columns.
        across: Width of the swath in pixels.
        along: Length of the scene in pixels.
    """

    height: int
    width: int
    angle: float
    across: float
    along: float

    @classmethod
    def fit(cls, height: int, width: int, tilted: bool) -> 'Footprint':
        """Fit the largest footprint into a raster.

        Args:
            height: Rows of the raster.
            width: Columns of the raster.
            tilted: Whether the raster is in map geometry, with empty corners.

        Returns:
            The footprint.

        Raises:
            ValueError: If the raster is too long and narrow for a tilted footprint.
        """
        if not tilted:
            return cls(height, width, 0.0, float(width), float(height))
        sine, cosine = np.sin(np.radians(TRACK_ANGLE)), np.cos(np.radians(TRACK_ANGLE))
        # the corners of the rectangle touch the border of the raster
        determinant = cosine**2 - sine**2
        across = (width * cosine - height * sine) / determinant
        along = (height * cosine - width * sine) / determinant
        if min(across / width, along / height) < 0.4:
            raise ValueError(
                f'Expected a size with similar height and width, got {height} x '
                f'{width}: a tilted swath leaves too little of it. Pass '
                'footprint=False for a raster without empty corners.'
            )
        return cls(height, width, TRACK_ANGLE, float(across), float(along))

    def _turn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        sine, cosine = np.sin(np.radians(self.angle)), np.cos(np.radians(self.angle))
        x, y = x - self.width / 2, y - self.height / 2
        return cosine * x + sine * y, cosine * y - sine * x

    def contains(self, x: FloatArray, y: FloatArray) -> NDArray[np.bool_]:
        """Tell which points were imaged.

        Args:
            x: Columns of the raster, shape ``(1, W)``.
            y: Rows of the raster, shape ``(H, 1)``.

        Returns:
            True where there is data, shape ``(H, W)``.
        """
        u, v = self._turn(x, y)
        return np.asarray(
            (np.abs(u) <= self.across / 2) & (np.abs(v) <= self.along / 2)
        )

    def column(self, x: FloatArray, y: FloatArray) -> NDArray[np.int64]:
        """Number the column of the detector that saw each point.

        Args:
            x: Columns of the raster, shape ``(1, W)``.
            y: Rows of the raster, shape ``(H, 1)``.

        Returns:
            Columns from 0, the nearest one outside of the swath, shape ``(H, W)``.
        """
        u, _ = self._turn(x, y)
        column = np.floor(u + self.across / 2).astype(np.int64)
        return np.clip(column, 0, self.columns - 1)

    @property
    def columns(self) -> int:
        """Number of columns of the detector."""
        return int(np.ceil(self.across))
