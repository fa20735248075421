# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From blended predictions to the numbers in a raster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BandMismatchError

_DTYPES = (
    *('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32'),
    *('float32', 'float64'),
)


@dataclass
class Encoder:
    """How values become the numbers of a raster; the base is for real numbers.

    Args:
        dtype: Data type on disk.
        nodata: Number of pixels without a prediction.
        scale: Factor from stored numbers to values.
        offset: Summand after the factor.
        clipped: Number of values that did not fit into the data type so far.
    """

    dtype: np.dtype[Any]
    nodata: float
    scale: float = 1.0
    offset: float = 0.0
    clipped: int = 0

    def num_bands(self, num_values: int) -> int:
        """Return the number of bands of the raster.

        Args:
            num_values: Number of predicted values per pixel.
        """
        return num_values

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Convert a block.

        Args:
            values: Blended predictions of shape ``(K, h, w)``, NaN where there is none;
                overwritten.

        Returns:
            Numbers to store, of shape ``(bands, h, w)``.
        """
        missing = np.isnan(values[0])
        values -= self.offset
        values /= self.scale
        if self.dtype.kind == 'f':
            stored = values.astype(self.dtype)
            close = np.nextafter(self.dtype.type(self.nodata), self.dtype.type(np.inf))
            stored[stored == self.nodata] = close
        else:
            stored = self._round(values, missing)
        stored[:, missing] = self.nodata
        return stored

    def _round(
        self, values: NDArray[np.float64], missing: NDArray[np.bool_]
    ) -> NDArray[Any]:
        # nodata is not a value: predictions that would become it move by one
        low, high = (int(v) for v in (_limits(self.dtype)))
        low, high = low + (self.nodata == low), high - (self.nodata == high)
        np.rint(values, out=values)
        values[:, missing] = low
        self.clipped += int(((values < low) | (values > high)).sum())
        np.clip(values, low, high, out=values)
        stored = values.astype(self.dtype)
        stored[stored == self.nodata] += 1
        return stored


@dataclass
class ClassEncoder(Encoder):
    """From probabilities to class codes.

    Args:
        codes: Code of each class.
        ignore: Channel of a class that was not trained and must not be chosen.
    """

    codes: NDArray[np.int64] = field(default_factory=lambda: np.arange(2))
    ignore: int | None = None

    def num_bands(self, num_values: int) -> int:
        """Return 1: the raster holds one code per pixel.

        Args:
            num_values: Number of predicted values per pixel.
        """
        return 1

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Choose the class of the highest probability.

        Args:
            values: Blended probabilities of shape ``(K, h, w)``, NaN where there is
                none; a single channel is the probability of the second of two classes.

        Returns:
            Codes of shape ``(1, h, w)``.
        """
        missing = np.isnan(values[0])
        if len(values) == 1:
            index = (values[0] > 0.5).astype(np.int64)
        else:
            if self.ignore is not None:
                values[self.ignore] = -np.inf
            index = values.argmax(axis=0)
        stored: NDArray[Any] = self.codes[index].astype(self.dtype)
        stored[missing] = self.nodata
        return stored[np.newaxis]


def class_encoder(
    num_values: int,
    class_values: Sequence[int] | None,
    dtype: str | None,
    nodata: float | None,
    ignore: int | None,
) -> ClassEncoder:
    """Build the encoder of class maps.

    Args:
        num_values: Number of predicted channels; 1 stands for two classes.
        class_values: Code of each class; its index by default.
        dtype: Data type on disk; the smallest unsigned one by default.
        nodata: Code of pixels without a prediction; by default 0 if no class has it,
            else the largest number of the data type.
        ignore: Class that was not trained.

    Returns:
        The encoder.

    Raises:
        BandMismatchError: If the number of codes is not the number of classes.
        ValueError: If the codes repeat, do not fit the data type, or nodata is one of
            them.
    """
    count = max(num_values, 2)
    codes = np.arange(count) if class_values is None else np.array(class_values)
    if codes.shape != (count,):
        raise BandMismatchError(
            f'Expected class_values for the {count} predicted classes, got {codes.size}.'
        )
    ignore = ignore if ignore is not None and 0 <= ignore < num_values > 1 else None
    used = {int(c) for i, c in enumerate(codes) if i != ignore}
    # the largest code of uint8 is kept free for nodata where 0 is a class
    limit = 254 if nodata is None and 0 in used else 255
    small = max(used) <= limit and (nodata is None or nodata <= 255)
    chosen = np.dtype(dtype or ('uint8' if small else 'uint16'))
    low, high = _limits(chosen) if chosen.kind in 'iu' else (0, -1)
    if nodata is None:
        nodata = 0 if 0 not in used else high
    if len(used) < count - (ignore is not None) or not all(
        low <= code <= high for code in (*used, nodata)
    ):
        raise ValueError(
            f'Expected different class codes between {low} and {high} for {chosen}, got '
            f'{sorted(used)} and nodata={nodata}. Change class_values, dtype or nodata.'
        )
    if nodata in used:
        raise ValueError(
            f'nodata={nodata} is the code of a class too. Choose another nodata, or '
            'other class_values.'
        )
    return ClassEncoder(chosen, nodata, codes=codes, ignore=ignore)


def value_encoder(
    dtype: str | None,
    nodata: float | None,
    scale: float,
    offset: float,
    probabilities: bool,
) -> Encoder:
    """Build the encoder of real numbers.

    Args:
        dtype: Data type on disk; float32 by default.
        nodata: Number of pixels without a prediction; NaN by default for real numbers,
            the lowest number for signed and the highest for unsigned integers.
        scale: Factor from stored numbers to values.
        offset: Summand after the factor.
        probabilities: Whether the values lie between 0 and 1; integers then use their
            whole range.

    Returns:
        The encoder.

    Raises:
        ValueError: If the data type is none of a raster, *nodata* does not fit it, or
            *scale* is 0.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise ValueError(
            f'Expected a dtype out of {", ".join(_DTYPES)}, got {dtype!r}.'
        )
    chosen = np.dtype(dtype or 'float32')
    low, high = _limits(chosen)
    if nodata is None:
        nodata = np.nan if chosen.kind == 'f' else low if low < 0 else high
    elif chosen.kind != 'f' and not (
        float(nodata).is_integer() and low <= nodata <= high
    ):
        raise ValueError(
            f'Expected a nodata between {low} and {high} for {chosen}, got {nodata}.'
        )
    if scale == 0:
        raise ValueError('Expected a scale other than 0.')
    if probabilities and chosen.kind != 'f' and scale == 1:
        # one number is left for nodata
        scale = 1 / (high - 1)
        offset = -scale if nodata == 0 else 0.0
    return Encoder(chosen, nodata, scale, offset)


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    info = np.finfo(dtype) if dtype.kind == 'f' else np.iinfo(dtype)
    return info.min, info.max
