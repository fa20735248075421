# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops out of a region that was read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import from_origin
from torch import Tensor

from .._typing import BoolArray, Sample
from ..errors import MetadataError
from ..physics.window_sums import window_sums
from ._crop import Crop
from ._region_grid import Region
from ._region_source import Source


class OpenRegion:
    """A region in memory.

    Args:
        source: Where it comes from.
        region: Its place.
        sample: What the dataset returns for it.
        size: Rows and columns of a crop.
        starts: Where crops may start, as flat positions; None for everywhere.
    """

    def __init__(
        self,
        source: Source,
        region: Region,
        sample: Sample,
        size: int,
        starts: NDArray[np.int64] | None,
    ) -> None:
        """Initialize a new OpenRegion instance; see the class for the arguments."""
        self._source = source
        self._region = region
        self._sample = sample
        self._size = size
        self._starts = starts

    def draw(self, rng: np.random.Generator) -> Crop:
        """Choose a crop at random.

        Args:
            rng: Source of randomness.

        Returns:
            The crop, which is not cut out yet.
        """
        region, size = self._region, self._size
        across = region.width - size + 1
        if self._starts is None:
            spot = int(rng.integers((region.height - size + 1) * across))
        else:
            spot = int(self._starts[rng.integers(len(self._starts))])
        row, column = divmod(spot, across)
        views = {
            key: self._view(value, row, column) for key, value in self._sample.items()
        }
        place = Region(
            region.scene, region.row + row, region.column + column, size, size
        )
        return Crop(views | self._source.place(place))

    def _view(self, value: Any, row: int, column: int) -> Any:
        """Return the part of whatever lies on the pixels of the region."""
        region, size = self._region, self._size
        if not isinstance(value, Tensor) or value.ndim < 2:
            return value
        # a panchromatic image has several pixels in each
        ratio = value.shape[-1] // region.width
        shape = region.height * ratio, region.width * ratio
        if ratio < 1 or value.shape[-2:] != shape:
            return value
        y, x, side = row * ratio, column * ratio, size * ratio
        return value[..., y : y + side, x : x + side]


def open_region(
    source: Source, region: Region, size: int, min_valid: float
) -> OpenRegion | None:
    """Read a region.

    Args:
        source: Where it comes from.
        region: Its place.
        size: Rows and columns of a crop.
        min_valid: Least share of valid pixels of a crop.

    Returns:
        The region; None if no crop may be taken from it.

    Raises:
        MetadataError: If the dataset does not tell which pixels are valid.
    """
    sample = source.read(region)
    allowed = _inside(region, size)
    if min_valid > 0:
        if 'valid' not in sample:
            raise MetadataError(
                'min_valid= needs samples with the key "valid", which this dataset '
                f'does not give; it gives {", ".join(sample)}. Leave min_valid out.'
            )
        share = window_sums(sample['valid'].numpy(), size)
        enough = share >= min_valid * size**2
        allowed = enough if allowed is None else allowed & enough
    if allowed is None or allowed.all():
        return OpenRegion(source, region, sample, size, None)
    starts = np.flatnonzero(allowed)
    return OpenRegion(source, region, sample, size, starts) if len(starts) else None


def _inside(region: Region, size: int) -> BoolArray | None:
    """Tell where crops lie in the region of interest as a whole."""
    scene = region.scene
    if scene.area is None:
        return None
    (west, north), (xres, yres) = scene.origin, scene.res
    west, north = west + region.column * xres, north - region.row * yres
    covered = rasterize(
        [scene.area],
        (region.height, region.width),
        transform=from_origin(west, north, xres, yres),
        dtype=np.uint8,
    )
    # where a scene is smaller than a crop, what lies around it is nobody's
    top, left = scene.top - region.row, scene.left - region.column
    covered[: max(top, 0)] = covered[top + scene.height :] = 1
    covered[:, : max(left, 0)] = covered[:, left + scene.width :] = 1
    return np.asarray(window_sums(covered > 0, size) == size**2)
