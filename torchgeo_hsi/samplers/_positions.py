# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where in a scene windows may start, and how likely each place is."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from .._typing import BoolArray


class Positions:
    """The places where a window may start in a scene, with weights.

    Args:
        shape: Rows and columns of places.
        weights: Weight of each place; None if all are alike.
        mask: Whether each place is allowed; None if all are.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        weights: NDArray[np.floating[Any]] | None = None,
        mask: BoolArray | None = None,
    ) -> None:
        """Initialize a new Positions instance."""
        self.shape = shape
        self._weights: NDArray[np.float32] | None = None
        self._bits: NDArray[np.uint8] | None = None
        self.total = float(shape[0] * shape[1])
        if weights is not None:
            kept = weights if mask is None else np.where(mask, weights, 0)
            self._weights = np.asarray(kept, np.float32)
            self.total = float(self._weights.sum(dtype=np.float64))
        elif mask is not None:
            # an eighth of a byte for each place, as there may be thousands of scenes
            self._bits = np.packbits(mask)
            self.total = float(mask.sum())

    @classmethod
    def everywhere(cls, height: int, width: int, size: int) -> Self:
        """Allow each place where a window fits; one if the scene is smaller.

        Args:
            height: Rows of the scene.
            width: Columns of the scene.
            size: Height and width of the window.
        """
        return cls((max(height - size + 1, 1), max(width - size + 1, 1)))

    @property
    def mask(self) -> BoolArray:
        """Whether each place is allowed, of the shape of the places."""
        if self._weights is not None:
            return self._weights > 0
        if self._bits is None:
            return np.ones(self.shape, dtype=bool)
        count = self.shape[0] * self.shape[1]
        bits = np.unpackbits(self._bits, count=count)
        return bits.view(bool).reshape(self.shape)

    def draw(
        self, count: int, generator: torch.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw places, each by its weight, with replacement.

        Args:
            count: Number of places.
            generator: Source of randomness.

        Returns:
            Rows and columns.
        """
        spots = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
        if self._weights is not None:
            table = np.cumsum(self._weights, dtype=np.float64)
            # to the right: a place of weight 0 is never hit
            flat = np.searchsorted(table, spots * table[-1], side='right')
        elif self._bits is not None:
            allowed = np.flatnonzero(self.mask)
            flat = allowed[(spots * len(allowed)).astype(np.int64)]
        else:
            flat = (spots * self.total).astype(np.int64)
        rows, columns = np.unravel_index(flat, self.shape)
        return rows.astype(np.int64), columns.astype(np.int64)
