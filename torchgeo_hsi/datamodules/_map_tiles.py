# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Overlapping tiles that cover a scene, and keep their place on it."""

from itertools import product
from typing import Any, TypeGuard

import pandas as pd
from affine import Affine
from rasterio.transform import array_bounds
from rasterio.windows import Window
from torch.utils.data import Dataset

from .._typing import Sample
from ..io._tiles import tile_spans


def is_north_up(place: Affine | None) -> TypeGuard[Affine]:
    """Tell whether a grid is known, with rows to the south and columns to the east.

    Args:
        place: From (column, row) to map coordinates, if known.
    """
    return place is not None and place.b == place.d == 0 and place.a > 0 > place.e


class MapTiles(Dataset[Sample]):
    """Base of datasets of the tiles of one scene.

    It has the ``bounds``, ``res`` and ``crs`` that writers of maps look for.

    Args:
        shape: Rows and columns of the scene.
        place: Its grid; north is up.
        crs: Coordinate reference system, or None for a grid that lies nowhere.
        size: Largest number of rows and columns of a tile; None for the whole scene.
        overlap: Rows and columns that two tiles share at least.
        step: Tiles start at multiples of this.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        place: Affine,
        crs: Any,
        size: int | None,
        overlap: int,
        step: int = 1,
    ) -> None:
        """Initialize a new MapTiles instance; see the class for the arguments."""
        self._transform = place
        self.crs = crs
        self.res = (place.a, -place.e)
        west, south, east, north = array_bounds(*shape, place)
        self.bounds = (
            slice(west, east, self.res[0]),
            slice(south, north, self.res[1]),
            slice(pd.Timestamp.min, pd.Timestamp.max, 1),
        )
        overlap = overlap if size else 0
        spans = [tile_spans(n, size or n, overlap, step) for n in shape]
        #: Rows and columns of each tile, row by row.
        self.windows = [
            Window(c.start, r.start, c.stop - c.start, r.stop - r.start)
            for r, c in product(*spans)
        ]

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.windows)
