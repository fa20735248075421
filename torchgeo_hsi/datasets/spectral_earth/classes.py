# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Codes in label rasters, and the classes that they mean."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MetadataError, UnknownNameError

__all__ = ('ClassTable', 'class_tables', 'load_classes')

_INT32_MAX = np.iinfo(np.int32).max


@dataclass(frozen=True)
class ClassTable:
    """Classes in the order of their indices, and their codes.

    Args:
        name: Name of the table.
        names: Name of each class.
        colors: Color of each class, as ``'#rrggbb'``.
        codes: Codes in the label rasters.
        index: Class that each of the codes means; one code means one class, but
            several may mean the same.
        source: Where codes, names and colors come from.

    Example:
        >>> table = load_classes('nlcd')
        >>> table.encode(np.array([[11, 12], [95, 0]])).tolist()
        [[0, 15], [14, 15]]
    """

    name: str
    names: tuple[str, ...]
    colors: tuple[str, ...]
    codes: tuple[int, ...]
    index: tuple[int, ...]
    source: str = ''

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    @property
    def ignore_index(self) -> int:
        """Index of what is no class, which is the number of classes."""
        return len(self.names)

    def encode(self, raster: NDArray[Any]) -> NDArray[np.int64]:
        """Turn codes into class indices.

        Codes that are not listed, 0, negative numbers, NaN and infinity become
        :attr:`ignore_index`; no value of any data type is out of range.

        Args:
            raster: Codes, of any shape and real data type.

        Returns:
            Class indices, int64 of the same shape.

        Raises:
            MetadataError: If the data type cannot hold the codes exactly, so that
                classes are mixed up in the file itself.
        """
        values = self._exact(np.asarray(raster))
        codes = np.array(self.codes, dtype=values.dtype)
        order = np.argsort(codes)
        found = np.searchsorted(codes[order], values).clip(max=len(codes) - 1)
        position = order[found]
        index = np.array(self.index, dtype=np.int64)[position]
        hit = codes[position] == values
        return np.where(hit, index, self.ignore_index).astype(np.int64)

    def _exact(self, raster: NDArray[Any]) -> NDArray[Any]:
        """Convert to a data type that holds both all codes and all values."""
        kind, largest = raster.dtype, max(self.codes)
        if kind.kind == 'f':
            if largest > 2 ** (np.finfo(kind).nmant + 1):
                raise MetadataError(
                    f'Expected class codes up to {largest}, which {kind} cannot tell '
                    'apart. Write the labels as uint32, int64 or float64.'
                )
            return raster.astype(np.float64)
        if kind.kind not in 'iub':
            raise MetadataError(f'Expected class codes as real numbers, got {kind}.')
        if kind == np.int32 and largest > _INT32_MAX:
            # such codes wrap around in int32, which loses nothing
            raster = raster.view(np.uint32)
        if kind == np.uint64:
            # what is too large for int64 is too large for any code
            raster = np.minimum(raster, np.uint64(np.iinfo(np.int64).max))
        return raster.astype(np.int64)

    def count(self, mask: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the pixels of each class.

        Args:
            mask: Class indices, see :meth:`encode`.

        Returns:
            Number of pixels of each class, shape ``(K,)``.
        """
        counted = np.bincount(mask.ravel(), minlength=len(self) + 1)
        return counted[: len(self)].astype(np.int64)


def class_tables() -> list[str]:
    """List the names of the class tables.

    Returns:
        The names, sorted.
    """
    folder = files(__package__) / 'classes'
    return sorted(
        entry.name.removesuffix('.csv')
        for entry in folder.iterdir()
        if entry.name.endswith('.csv')
    )


@cache
def load_classes(name: str) -> ClassTable:
    """Read a class table.

    Args:
        name: Name of the table, e.g. ``'cdl'``, see :func:`class_tables`.

    Returns:
        The table.

    Raises:
        UnknownNameError: If there is no such table.
    """
    if name not in class_tables():
        raise UnknownNameError('class table', name, class_tables())
    text = (files(__package__) / 'classes' / f'{name}.csv').read_text(encoding='utf-8')
    lines = text.splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith('#')))
    pairs = [(int(c), i) for i, row in enumerate(rows) for c in row['code'].split()]
    codes, index = zip(*pairs, strict=True)
    return ClassTable(
        name=name,
        names=tuple(row['name'] for row in rows),
        colors=tuple(row['color'] for row in rows),
        codes=codes,
        index=index,
        source=' '.join(line[1:].strip() for line in lines if line.startswith('#')),
    )
