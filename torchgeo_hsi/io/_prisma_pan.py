# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The panchromatic image of a PRISMA file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from ..errors import MetadataError
from . import _prisma_metadata as metadata
from ._prisma_cubes import read_array
from .base import CubeInfo, CubeReader, uniform


class PanReader(CubeReader):
    """The panchromatic image of an open file, as a cube of one band.

    Args:
        file: The open ``h5py.File``; it stays open when this reader is closed.
        cubes: The cubes of the file.
        level: Level of the product.

    Raises:
        MetadataError: If there is no such image, or not on the extent of the cubes.
    """

    def __init__(self, file: Any, cubes: CubeInfo, level: str = '2D') -> None:
        """Initialize a new PanReader instance; see the class for the arguments."""
        path = cubes.path
        name = f'{metadata.panchromatic(level)}/Data Fields/Cube'
        self._array = metadata.field(file, name, path)
        _, height, width = cubes.shape
        ratio = metadata.RATIO
        expected = height * ratio, width * ratio
        found = self._array.shape if self._array.dtype.kind in 'fiu' else ()
        # up to a pixel of the cubes more or less is cut off, or has no data
        if len(found) != 2 or np.abs(np.subtract(found, expected)).max() > ratio:
            raise MetadataError(
                f'Expected {expected[0]} rows and {expected[1]} columns in {name} of '
                f'{path}, {ratio} times those of the cubes, got {found}. Download it '
                'again.'
            )
        gain, offset = uniform(*metadata.scale(file.attrs, 'Pan', path, level), 1)
        transform = cubes.transform
        self.info = CubeInfo(
            path=path,
            sensor=cubes.sensor,
            shape=(1, *self._array.shape),
            dtype=self._array.dtype.name,
            bands=None,
            nodata=0.0,
            gain=gain,
            offset=offset,
            crs=cubes.crs,
            transform=None if transform is None else metadata.finer(transform, ratio),
            start=cubes.start,
            stop=cubes.stop,
        )

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        rows, columns = window.toslices()
        stored = read_array(self._array, None, rows, columns, self.info.path)
        return np.repeat(stored[None], len(indexes), axis=0)

    def close(self) -> None:
        """Do nothing: the file belongs to the reader of the cubes."""
