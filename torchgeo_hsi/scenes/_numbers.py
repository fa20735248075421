# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From the numbers of a file to those of a restoration network, and back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray
from ..errors import EmptyDataError, MetadataError, NotFiniteError
from ..io import CubeReader
from ..io._cog_options import work_block
from ..io.base import data_mask, stored_nodata
from ..physics.statistics import BandSummary, RunningStatistics
from ._levels import SceneLevels

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
        chosen = _candidates(reader)
        moments = RunningStatistics(covariance=False, accuracy=None)
        levels = SceneLevels(len(chosen))
        windows = list(_windows(reader))
        for done, window in enumerate(windows, start=1):
            values, valid = read_values(reader, chosen, window)
            moments.update(values, valid)
            if scaling == 'percentile':
                levels.update(values, valid)
            progress(done / len(windows))
        try:
            found = moments.summary()
        except EmptyDataError as error:
            raise EmptyDataError(
                f'{reader.info.path} holds no valid pixel. Check its nodata value '
                f'({reader.info.nodata}).'
            ) from error
        # a dead or saturated band holds nothing that could be restored, and its number
        # would be that of 0 or 1 for the others; a single pixel tells nothing
        is_constant = (found.minimum == found.maximum) & (found.count > 1)
        kept = np.flatnonzero((found.count > 0) & ~is_constant)
        if not kept.size:
            raise EmptyDataError(
                f'Each band of {reader.info.path} holds the same number everywhere, so '
                'there is nothing to restore.'
            )
        low, high = _limits(scaling, found, levels, kept)
        fill = ((found.mean[kept] - low) / (high - low)).astype(np.float32)
        return cls([chosen[number] for number in kept], high - low, low, fill)

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
        image, present = self.read_bands(reader, window)
        return image, present.all(axis=0)

    def read_bands(
        self, reader: CubeReader, window: Window
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Read a tile, and where each band has data.

        Args:
            reader: The open scene.
            window: Rows and columns, inside of the scene.

        Returns:
            Numbers as of :meth:`read`, and True where there are data, shape ``(C, h,
            w)``.
        """
        values, valid = read_values(reader, self.bands, window)
        # in the precision of the values: those far from 0 have no digits to lose
        kind = values.dtype.type
        image = ((values - kind(self.offset)) / kind(self.scale)).astype(
            np.float32, copy=False
        )
        if not valid.all():
            np.copyto(image, self.fill[:, None, None], where=~valid)
        return image, valid

    def write(
        self,
        reader: CubeReader,
        window: Window,
        change: NDArray[np.float32],
        method: str,
    ) -> tuple[NDArray[Any], BoolArray | None]:
        """Change the numbers that the file stores.

        Args:
            reader: The open scene.
            window: Rows and columns of the file.
            change: What is to be added to the numbers of the network, shape
                ``(C, h, w)``. The change, and not the result, so that float64 and large
                whole numbers keep their digits.
            method: Name of what made the change, for the message.

        Returns:
            All bands of the file, where pixels and bands without data are as before;
            and its mask, True where there are data, or None.

        Raises:
            NotFiniteError: If a number would become NaN or infinite.
        """
        info = reader.info
        stored = reader._read_raw(list(range(info.shape[0])), window)
        mask = reader._read_mask(window)
        for number, band in enumerate(self.bands):
            plane = stored[band]
            valid = data_mask(plane, info.nodata)
            if mask is not None:
                valid &= mask
            factor = self.scale / (1.0 if info.gain is None else info.gain[band])
            result = _add(plane, change[number].astype(np.float64) * factor, valid)
            if result is None:
                raise NotFiniteError(
                    f'{method} gives NaN or infinite numbers for band {band + 1} of '
                    f'{info.path}, near row {window.row_off} and column '
                    f'{window.col_off}. Check its weights, and the scaling of the '
                    'scene; nothing was written.'
                )
            marker = stored_nodata(stored.dtype, info.nodata)
            if marker is not None:
                # data must not become nodata by chance
                result[result == marker] = _neighbor(marker)
            np.copyto(plane, result, where=valid)
        return stored, mask

    def replace(
        self,
        reader: CubeReader,
        window: Window,
        values: NDArray[np.floating],
        known: BoolArray,
        method: str,
        keep: bool = False,
    ) -> tuple[NDArray[Any], BoolArray | None]:
        """Store numbers on a finer grid as the file stores its own.

        Args:
            reader: The open scene.
            window: Rows and columns of the file.
            values: Values (not numbers of the network) of *bands*, shape ``(C, ratio *
                h, ratio * w)``.
            known: False for fine pixels that become nodata, shape ``(ratio * h, ratio *
                w)``; where the file has no such value, the numbers stay.
            method: Name of what made the values, for the message.
            keep: Whether pixels that are not known stay as they are instead.

        Returns:
            All bands of the file, where those that are not sharpened, and pixels without
            data, are repeated; and the file's mask, or None.

        Raises:
            NotFiniteError: If a number would become NaN or infinite.
        """
        info, ratio = reader.info, values.shape[-1] // int(window.width)
        stored = _finer(reader._read_raw(list(range(info.shape[0])), window), ratio)
        mask = reader._read_mask(window)
        if mask is not None:
            mask = _finer(mask[None], ratio)[0] & (known | keep)
        marker = stored_nodata(stored.dtype, info.nodata)
        for number, band in enumerate(self.bands):
            plane = stored[band]
            valid = data_mask(plane, info.nodata) & known
            if mask is not None:
                valid &= mask
            gain = 1.0 if info.gain is None else info.gain[band]
            offset = 0.0 if info.offset is None else info.offset[band]
            wanted = (values[number].astype(np.float64) - offset) / gain
            result = _add(np.zeros_like(plane), wanted, valid)
            if result is None:
                raise NotFiniteError(
                    f'{method} gives NaN or infinite numbers for band {band + 1} of '
                    f'{info.path}, near row {window.row_off} and column '
                    f'{window.col_off}. Check its weights and its input; nothing was '
                    'written.'
                )
            if marker is not None:
                # data must not become nodata by chance
                result[result == marker] = _neighbor(marker)
            np.copyto(plane, result, where=valid)
        if marker is not None and not keep:
            stored[:, ~known] = marker
        return stored, mask


def _finer[T: np.generic](image: NDArray[T], ratio: int) -> NDArray[T]:
    """Repeat each pixel."""
    return image.repeat(ratio, 1).repeat(ratio, 2)


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


def _candidates(reader: CubeReader) -> list[int]:
    """Return the bands that are not marked as bad, nor say where there are data."""
    good = np.ones(reader.info.shape[0], bool)
    if reader.info.bands is not None:
        good = np.array(reader.info.bands.good)
    good[list(reader.mask_bands)] = False
    return [int(band) for band in np.flatnonzero(good)]


def read_values(
    reader: CubeReader, bands: list[int], window: Window
) -> tuple[FloatArray, BoolArray]:
    """Read as :meth:`CubeReader.read` does, with all digits that the file has."""
    info = reader.info
    is_exact = np.dtype(info.dtype).itemsize <= 2 and not (info.gain or info.offset)
    return reader._read_values(bands, window, np.float32 if is_exact else np.float64)


def _limits(
    scaling: Scaling, found: BandSummary, levels: SceneLevels, bands: NDArray[np.intp]
) -> tuple[float, float]:
    """Return what becomes 0 and 1."""
    if scaling == 'reflectance':
        return 0.0, REFLECTANCE
    if not isinstance(scaling, str):
        return 0.0, float(scaling)
    low, high = found.minimum[bands].min(), found.maximum[bands].max()
    if scaling == 'percentile':
        lower, upper = levels.quantiles(PERCENTILES, bands.tolist())
        # nearly all numbers may be the same, such as a background that is no nodata
        if upper > lower:
            low, high = lower, upper
    # a single pixel has no range
    return float(low), float(high if high > low else low + max(abs(low), 1))


def _add(
    plane: NDArray[Any], change: NDArray[np.float64], valid: BoolArray
) -> NDArray[Any] | None:
    """Add to stored numbers; None if valid ones would not be finite."""
    if not np.isfinite(change[valid]).all():
        return None
    change = np.where(valid, change, 0.0)
    if np.issubdtype(plane.dtype, np.floating):
        with np.errstate(over='ignore', invalid='ignore'):
            result = (plane + change).astype(plane.dtype)
        return result if np.isfinite(result[valid]).all() else None
    limits, steps = np.iinfo(plane.dtype), np.rint(change)
    # the largest number of 64 bits has no float64
    highest = np.nextafter(float(limits.max), 0) if plane.itemsize > 4 else limits.max
    values = np.clip(plane + steps, limits.min, highest)
    # 64 bits do not fit into a float64
    return np.where(steps == 0, plane, values.astype(plane.dtype))


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
