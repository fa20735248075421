# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random patches in which rare classes are as frequent as common ones."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import BandMismatchError, EmptyDataError
from ._epochs import EpochSampler
from .window import draw_scenes


class BalancedPatchSampler(EpochSampler[int]):
    """Draw a class, then a patch that has it; for datasets of patches.

    A patch is drawn for a class in proportion to its pixels of the class, or, for
    labels of whole patches, to its entries. Patches without any class are never drawn.
    torch's ``WeightedRandomSampler`` knows one weight for each patch and neither
    classes nor processes.

    Example:
        .. code-block:: python

            counts = np.stack([np.bincount(s['mask'].flatten(), minlength=14)[:14]
                               for s in dataset])
            sampler = BalancedPatchSampler(counts, length=1000)
            loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    """

    def __init__(
        self,
        counts: ArrayLike,
        length: int | None = None,
        class_weights: Sequence[float] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new BalancedPatchSampler instance.

        Args:
            counts: Pixels (or 0 and 1) of each class in each patch, shape ``(N, K)``.
            length: Patches per epoch, over all processes; N by default.
            class_weights: Chance of each class, in any unit; the same for all that
                exist by default.
            generator: Source of randomness; torch's own by default.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If there is no pixel of a class that may be drawn.
            ValueError: If *length* is not positive, or a number is negative or
                not finite.
        """
        table = np.asarray(counts, dtype=np.float64)
        if table.ndim != 2:
            raise BandMismatchError(
                f'Expected counts of shape (N, K), got {table.shape}.'
            )
        weights = np.ones(table.shape[1])
        if class_weights is not None:
            weights = np.asarray(class_weights, dtype=np.float64)
        if weights.shape != table.shape[1:]:
            raise BandMismatchError(
                f'Expected {table.shape[1]} class_weights, got {weights.shape[0]}.'
            )
        if not all(np.isfinite(x).all() and (x >= 0).all() for x in (table, weights)):
            raise ValueError('Expected finite counts and class_weights of 0 or more.')
        if length is not None and length < 1:
            raise ValueError(f'Expected a positive length, got {length}.')
        self._chances = np.where(table.sum(axis=0) > 0, weights, 0)
        if not self._chances.any():
            raise EmptyDataError(
                'No patch has a pixel of a class that may be drawn. Check counts and '
                'class_weights.'
            )
        self._tables = np.cumsum(table, axis=0)
        super().__init__(length or len(table), generator)

    def draw(self, count: int, generator: torch.Generator) -> list[int]:
        """Draw the patches of one epoch.

        Args:
            count: Number of patches.
            generator: Source of randomness.

        Returns:
            Numbers of patches.
        """
        classes = draw_scenes(self._chances.tolist(), count, generator)
        spots = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
        chosen = np.empty(count, dtype=np.int64)
        for k in np.unique(classes):
            mine = classes == k
            table = self._tables[:, k]
            chosen[mine] = np.searchsorted(table, spots[mine] * table[-1], 'right')
        numbers: list[int] = chosen.tolist()
        return numbers
