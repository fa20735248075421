# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patches, given to splits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UnknownNameError


@dataclass(frozen=True)
class PatchSplit:
    """Splits of patches or tiles.

    Made by :func:`~torchgeo_hsi.datasets.block_patch_split` and
    :func:`~torchgeo_hsi.datasets.region_patch_split`.

    Args:
        names: Names of the splits, training first.
        codes: Number of the split of each patch, -1 for patches in none, int8 of shape
            ``(N,)``.
        boxes: Left, bottom, right and top of each patch, shape ``(N, 4)``.
        counts: How often each class is in each patch, shape ``(N, K)``, or None.
        method: ``'block'`` or ``'region'``.
        gap: Least distance between patches of different splits, in the units of the
            boxes.
        block_size: Side of a block in the units of the boxes, or None.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int8]
    boxes: NDArray[np.float64]
    counts: NDArray[np.integer[Any]] | None
    method: str
    gap: float = 0.0
    block_size: float | None = None

    def indices(self, name: str) -> NDArray[np.int64]:
        """List the patches of a split, e.g. for :class:`torch.utils.data.Subset`.

        Args:
            name: The split.

        Returns:
            Positions in *boxes*, in order.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in self.names:
            raise UnknownNameError('split', name, self.names)
        return np.flatnonzero(self.codes == self.names.index(name))

    @property
    def left_out(self) -> NDArray[np.int64]:
        """Patches in no split, because they are too close to one of another."""
        return np.flatnonzero(self.codes < 0)
