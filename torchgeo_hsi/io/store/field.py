# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One array of every item of a store."""

import math
from dataclasses import dataclass

import numpy as np

#: Data types of fields.
DTYPES = (
    'bool',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'float16',
    'float32',
    'float64',
)


@dataclass(frozen=True)
class FieldSpec:
    """One array of every item.

    Args:
        shape: Shape of the array of one item, without the axis of items; ``()`` for a
            number.
        dtype: Data type by numpy's name, e.g. ``'int16'``.
        band_axis: Axis of *shape* that the argument ``bands`` of
            :class:`StoreReader` selects from; None if there is none.

    Raises:
        ValueError: If a size is not positive, the data type is unknown, or the axis
            does not exist.
    """

    shape: tuple[int, ...]
    dtype: str
    band_axis: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        shape = tuple(int(size) for size in self.shape)
        object.__setattr__(self, 'shape', shape)
        object.__setattr__(self, 'dtype', np.dtype(self.dtype).name)
        if any(size < 1 for size in shape):
            raise ValueError(f'Expected positive sizes of a field, got {shape}.')
        if self.dtype not in DTYPES:
            raise ValueError(
                f'Expected a data type of {", ".join(DTYPES)}, got {self.dtype}.'
            )
        axis = self.band_axis
        if axis is not None and not 0 <= axis < len(shape):
            raise ValueError(
                f'Expected a band axis from 0 to {len(shape) - 1}, got {axis}.'
            )

    @property
    def nbytes(self) -> int:
        """Bytes of one item, uncompressed."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize
