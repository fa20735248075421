# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From stored numbers to the images of samples."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from ...errors import MetadataError
from ...io.base import stored_nodata

_OPTIONS = {
    'item': ('location', 'patch'),
    'timestamps': ('random', 'first', 'last', 'all', 'pair'),
    'dtype': ('float32', 'int16'),
}


class View(NamedTuple):
    """One date of a location.

    Args:
        image: Numbers of shape ``(C, H, W)``, 0 without data.
        valid: Whether all bands have data, shape ``(H, W)``.
    """

    image: NDArray[Any]
    valid: NDArray[np.bool_]


def check_options(
    item: str, timestamps: str | None, dtype: str, crop_size: int | None
) -> None:
    """Check the options that say what a sample is.

    Args:
        item: Kind of a sample.
        timestamps: Dates of a location, or None.
        dtype: Data type of images.
        crop_size: Rows and columns, or None.

    Raises:
        ValueError: If one of them is not allowed.
    """
    given = {'item': item, 'timestamps': timestamps or 'random', 'dtype': dtype}
    for name, value in given.items():
        if value not in _OPTIONS[name]:
            raise ValueError(
                f'Expected {name} to be one of {_OPTIONS[name]}, got {value!r}.'
            )
    if item == 'patch' and timestamps is not None:
        raise ValueError("timestamps= chooses among the dates of item='location'.")
    if crop_size is not None and crop_size < 1:
        raise ValueError(f'Expected a crop_size of 1 or more, got {crop_size}.')


def check_integers(dtype: np.dtype[Any], path: str) -> None:
    """Check that int16 holds all numbers of a data type.

    Args:
        dtype: Data type of the file.
        path: The file.

    Raises:
        MetadataError: If it does not.
    """
    if not np.can_cast(dtype, np.int16):
        raise MetadataError(
            f'Expected numbers that fit into int16 in {path}, got {dtype}. Pass '
            "dtype='float32'."
        )


def integer_view(raw: NDArray[Any], nodata: float | None) -> View:
    """Mask stored numbers, and convert as little as possible.

    Args:
        raw: Numbers of shape ``(C, H, W)`` in memory of their own; they may be changed.
        nodata: Value without data.

    Returns:
        The view as int16, with memory as it was.
    """
    valid = np.ones(raw.shape[1:], dtype=bool)
    marker = stored_nodata(raw.dtype, nodata)
    # nodata mostly lies below all data, and the least is found twice as fast
    if marker is not None and raw.size and marker >= raw.min():
        bad = raw == marker
        raw[bad] = 0
        valid = ~bad.any(axis=0)
    return View(raw.astype(np.int16, copy=False), valid)


def crop_window(
    shape: tuple[int, int], size: int | None, spot: tuple[float, float]
) -> Window | None:
    """Choose rows and columns.

    Args:
        shape: Rows and columns of the file, at least *size*.
        size: Rows and columns wanted, or None for all.
        spot: Where, from 0 to less than 1, so that dates of one size agree.

    Returns:
        The window; None for everything.
    """
    if size is None:
        return None
    row, col = (int(part * (n - size + 1)) for part, n in zip(spot, shape, strict=True))
    return Window(col, row, size, size)


def join_bands(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join dates along the axis of the bands.

    Args:
        images: Images of shape ``(C, H, W)`` of one layout in memory.

    Returns:
        Image of shape ``(T * C, H, W)`` with the layout of the first.
    """
    if _channels_last(images[0]):
        pixels = [image.transpose(1, 2, 0) for image in images]
        return np.concatenate(pixels, axis=2).transpose(2, 0, 1)
    return np.concatenate(images)


def stack_dates(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack dates along a new axis.

    Args:
        images: Images of shape ``(C, H, W)`` of one layout in memory.

    Returns:
        Array of shape ``(T, C, H, W)`` with the layout of the first.
    """
    if _channels_last(images[0]):
        pixels = [image.transpose(1, 2, 0) for image in images]
        return np.stack(pixels).transpose(0, 3, 1, 2)
    return np.stack(images)


def _channels_last(image: NDArray[Any]) -> bool:
    return image.strides[0] < image.strides[2]


def random_spot(generator: torch.Generator | None) -> tuple[float, float]:
    """Draw where to crop.

    Args:
        generator: Source of randomness; torch's own by default, which data loaders
            seed in each worker process.

    Returns:
        Two numbers from 0 to less than 1.
    """
    row, col = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    return row, col
