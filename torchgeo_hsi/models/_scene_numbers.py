# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From the numbers of a file to those of a restoration network, and back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import BoolArray
from ..errors import EmptyDataError, MetadataError
from ..io import CubeReader
from ..io._cog_options import work_block
from ..io.base import data_mask, stored_nodata
from ..physics.statistics import QuantileSketch, RunningStatistics

type Scaling = Literal['min_max', 'percentile', 'reflectance'] | float

#: Shares of all numbers below 0 and 1 of the scaling ``'percentile'``.
PERCENTILES = (0.001, 0.999)

#: Reflectance x 10 000 that ``'reflectance'`` makes 1.
REFLECTANCE = 1e4

_NAMES = ('min_max', 'percentile', 'reflectance')


@dataclass(frozen=True)
class SceneNumbers:
    """How the numbers of a scene become those of a network.

    Args:
        bands: Bands that hold data, from 0.
        scale: What 1 means: ``value = number * scale + offset``.
        offset: What 0 means.
        fill: Mean of each of *bands*, in the numbers of the network; stands in for
            nodata.
    """

    bands: list[int]
    scale: float
    offset: float
    fill: NDArray[np.float32]

    @classmethod
    def of_scene(
        cls, reader: CubeReader, scaling: Scaling, progress: Callable[[float], None]
    ) -> 'SceneNumbers':
        """Look at a scene once.

        Args:
            reader: The open scene.
            scaling: What 0 and 1 are to be, see :func:`restore_scene`.
            progress: Is told which share is done.

        Returns:
            The numbers.

        Raises:
            EmptyDataError: If the scene holds no data, or the same number everywhere.
        """
        count = reader.info.shape[0]
        good = np.ones(count, bool)
        if reader.info.bands is not None:
            good = np.asarray(reader.info.bands.good)
        chosen = np.flatnonzero(good).tolist()
        moments = RunningStatistics(covariance=False, accuracy=None)
        sketch = QuantileSketch(1)
        windows = list(_windows(reader))
        for done, window in enumerate(windows, start=1):
            values, valid = reader.read(chosen, window)
            moments.update(values, valid)
            if scaling == 'percentile' and valid.any():
                sketch.update(values[valid][None])
            progress(done / len(windows))
        try:
            found = moments.summary()
        except EmptyDataError as error:
            raise EmptyDataError(
                f'{reader.info.path} holds no valid pixel. Check its nodata value '
                f'({reader.info.nodata}).'
            ) from error
        known = found.count > 0
        low, high = 0.0, REFLECTANCE
        if scaling == 'min_max':
            low, high = np.nanmin(found.minimum), np.nanmax(found.maximum)
        elif scaling == 'percentile':
            low, high = sketch.quantiles(PERCENTILES)[:, 0]
        elif not isinstance(scaling, str):
            high = float(scaling)
        if not high > low:
            raise EmptyDataError(
                f'{reader.info.path} holds {low:g} everywhere, so there is nothing to '
                'restore.'
            )
        scale = float(high) - float(low)
        fill = ((found.mean[known] - low) / scale).astype(np.float32)
        bands = [band for band, is_known in zip(chosen, known, strict=True) if is_known]
        return cls(bands, scale, float(low), fill)

    def read(
        self, reader: CubeReader, window: Window
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Read a tile.

        Args:
            reader: The open scene.
            window: Rows and columns, inside of the scene.

        Returns:
            Numbers of shape ``(C, h, w)``, with the means of the bands where there are
            no data; and True where all bands have data, shape ``(h, w)``.
        """
        values, valid = reader.read(self.bands, window)
        image = ((values - np.float32(self.offset)) / np.float32(self.scale)).astype(
            np.float32, copy=False
        )
        every = valid.all(axis=0)
        if not every.all():
            np.copyto(image, self.fill[:, None, None], where=~valid)
        return image, every

    def write(
        self, reader: CubeReader, window: Window, image: NDArray[np.float32]
    ) -> NDArray[Any]:
        """Turn restored numbers into those that the file stores.

        Args:
            reader: The open scene.
            window: Rows and columns of the file.
            image: Restored numbers of shape ``(C, h, w)``.

        Returns:
            All bands of the file. Pixels and bands without data are as before.
        """
        info = reader.info
        everything = list(range(info.shape[0]))
        stored = reader._read_raw(everything, window)
        if not np.issubdtype(stored.dtype, np.floating):
            limits = np.iinfo(stored.dtype)
        marker = stored_nodata(stored.dtype, info.nodata)
        for number, band in enumerate(self.bands):
            plane = stored[band]
            valid = data_mask(plane, info.nodata)
            values = image[number].astype(np.float64) * self.scale + self.offset
            if info.offset is not None:
                values -= info.offset[band]
            if info.gain is not None:
                values /= info.gain[band]
            if not np.issubdtype(stored.dtype, np.floating):
                values = np.clip(np.rint(values), limits.min, limits.max)
            result = values.astype(stored.dtype)
            if marker is not None:
                # data must not become nodata by chance
                other = _neighbor(marker)
                result[result == marker] = other
            np.copyto(plane, result, where=valid)
        return stored


def check_scaling(scaling: Scaling) -> Scaling:
    """Check a scaling, which may come from a command line as text.

    Args:
        scaling: Name of a scaling, or what 1 is to be.

    Returns:
        The name or number.

    Raises:
        ValueError: If it is neither a known name nor a positive number.
    """
    if scaling in _NAMES:
        return scaling
    try:
        number = float(scaling)
    except ValueError:
        number = np.nan
    if not 0 < number < np.inf:
        raise ValueError(
            f'Expected a scaling out of {", ".join(_NAMES)} or a positive number, got '
            f'{scaling!r}.'
        )
    return number


def check_dtype(reader: CubeReader) -> None:
    """Check that restored numbers can be stored as those of the file.

    Args:
        reader: The open scene.

    Raises:
        MetadataError: If they are no real numbers.
    """
    dtype = np.dtype(reader.info.dtype)
    if dtype.kind not in 'iuf' or dtype == np.float16:
        raise MetadataError(
            f'Expected integers or float32 or float64 in {reader.info.path}, got '
            f'{dtype}. Convert the file first.'
        )


def _neighbor(marker: Any) -> Any:
    """Return the number next to a nodata value, towards 0 or else upwards."""
    if np.issubdtype(type(marker), np.floating):
        return np.nextafter(marker, marker.dtype.type(0 if marker else 1))
    return marker.dtype.type(int(marker) + (1 if marker <= 0 else -1))


def _windows(reader: CubeReader) -> Iterator[Window]:
    """Cut a scene into blocks that fit into memory."""
    count, height, width = reader.info.shape
    side = work_block(count)
    for row in range(0, height, side):
        for col in range(0, width, side):
            yield Window(col, row, min(side, width - col), min(side, height - row))
