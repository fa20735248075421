# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One scene in memory, with the classes of some of its pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ..._typing import BoolArray
from ...errors import BandMismatchError, EmptyDataError
from ...io.cube_info import short_crs
from ...physics import BandSet

#: Label of a pixel whose class nobody knows.
UNLABELLED = -1


@dataclass(frozen=True, repr=False)
class LabelledScene:
    """One scene in memory, with the classes of some of its pixels.

    What pixel classification starts from: the standard benchmarks, and any cube with a
    label map or polygons (:func:`~torchgeo_hsi.datasets.open_labelled_scene`).

    Args:
        image: Cube of shape ``(C, H, W)`` in the data type of the file (or float32);
            0 without data.
        valid: Which pixels have data in all bands, bool of shape ``(H, W)``.
        labels: Class index of each pixel, int64 of shape ``(H, W)``, -1 where it is
            not known or there is no data.
        class_names: Name of each class.
        class_colors: Color of each class, as ``'#rrggbb'``.
        bands: Spectral axis, or None if nobody knows it.
        crs: Coordinate reference system, or None.
        transform: From (column, row) to map coordinates, or None.
        name: Name of the scene, for reports.
        official: Pixels of each official split by its name, training first; empty if
            there is none.

    Raises:
        BandMismatchError: If shapes do not fit together, or a label has no class.
        EmptyDataError: If no pixel has both data and a label.
    """

    image: NDArray[Any]
    valid: BoolArray
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    class_colors: tuple[str, ...]
    bands: BandSet | None = None
    crs: Any = None
    transform: Affine | None = None
    name: str = 'scene'
    official: Mapping[str, BoolArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        shape = self.image.shape[1:]
        maps = {'valid': self.valid, 'labels': self.labels, **self.official}
        for name, array in maps.items():
            if self.image.ndim != 3 or array.shape != shape:
                raise BandMismatchError(
                    f'Expected a cube (bands, rows, columns) and {name} of its rows and '
                    f'columns, got {self.image.shape} and {array.shape}.'
                )
        if self.bands is not None and len(self.bands) != len(self.image):
            raise BandMismatchError(
                f'Expected {len(self.image)} bands, got {len(self.bands)} wavelengths.'
            )
        known = self.labels != UNLABELLED
        if not known.any():
            raise EmptyDataError(
                f'No pixel of {self.name} has both data and a label. Check that the '
                'labels lie on the scene, and the code of unlabelled pixels.'
            )
        count = len(self.class_names)
        if self.labels.max() >= count or self.labels.min() < UNLABELLED:
            raise BandMismatchError(
                f'Expected class indices from 0 to {count - 1}, and -1 where nothing is '
                f'known, got {self.labels.min()} to {self.labels.max()}.'
            )
        if len(self.class_colors) != count:
            raise BandMismatchError(
                f'Expected a color for each of {count} classes, got '
                f'{len(self.class_colors)}.'
            )
        if (known & ~self.valid).any():
            # nodata never reaches a network, nor a score
            labels = np.where(self.valid, self.labels, UNLABELLED)
            object.__setattr__(self, 'labels', labels)
            if not (labels != UNLABELLED).any():
                raise EmptyDataError(
                    f'All labelled pixels of {self.name} are without data.'
                )

    def __repr__(self) -> str:
        """Summarize the scene in one line."""
        count, height, width = self.shape
        bands = f'{count} bands, no wavelengths' if self.bands is None else self.bands
        known = int((self.labels != UNLABELLED).sum())
        return (
            f'LabelledScene({self.name}: {bands}, {height} x {width} pixels, '
            f'{self.image.dtype}, {known} labels of {self.num_classes} classes, '
            f'{short_crs(self.crs)})'
        )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows and columns."""
        bands, rows, columns = self.image.shape
        return bands, rows, columns
