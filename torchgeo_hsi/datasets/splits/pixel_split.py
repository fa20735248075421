# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The pixels of a label map, given to splits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._typing import BoolArray
from ...errors import UnknownNameError
from ..labelled_scenes.scene import UNLABELLED, LabelledScene

#: Codes of classes that are looked at; a map with more is taken for something else.
_MOST_CLASSES = 4096


@dataclass(frozen=True)
class PixelSplit:
    """Splits of the labelled pixels of a label map.

    Made by :func:`~torchgeo_hsi.datasets.block_pixel_split`,
    :func:`~torchgeo_hsi.datasets.region_pixel_split` and
    :func:`~torchgeo_hsi.datasets.random_pixel_split`.

    Args:
        names: Names of the splits, training first.
        codes: Number of the split of each pixel, -1 for pixels in none, int8 of shape
            ``(H, W)``.
        labels: The label map, int64 of shape ``(H, W)``.
        labelled: Which pixels have a label, bool of shape ``(H, W)``.
        window: Rows and columns of the windows that the split is for.
        method: ``'block'``, ``'region'`` or ``'random'``.
        guard: Pixels left out on either side of a border between splits.
        block_size: Rows and columns of a block, or None.
        offset: Row and column of the grid of blocks at the first pixel, or None.

    Example:
        >>> from torchgeo_hsi.datasets import block_pixel_split
        >>> labels = np.kron(np.arange(36).reshape(6, 6) % 2 + 1, np.ones((8, 8), int))
        >>> split = block_pixel_split(labels, window=3, block_size=8)
        >>> rows, columns = split.pixels('train')
        >>> bool((split.select('train')[rows, columns] > 0).all())
        True
    """

    names: tuple[str, ...]
    codes: NDArray[np.int8]
    labels: NDArray[np.int64]
    labelled: BoolArray
    window: int
    method: str
    guard: int = 0
    block_size: int | None = None
    offset: tuple[int, int] | None = None

    def mask(self, name: str) -> BoolArray:
        """Return the pixels of a split.

        Args:
            name: The split.

        Returns:
            Mask of shape ``(H, W)``.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in self.names:
            raise UnknownNameError('split', name, self.names)
        mask: BoolArray = self.codes == self.names.index(name)
        return mask

    def pixels(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List the pixels of a split.

        Args:
            name: The split.

        Returns:
            Rows and columns, in the order of the map.

        Raises:
            UnknownNameError: If there is no such split.
        """
        rows, columns = np.nonzero(self.mask(name))
        return rows, columns

    def select(self, name: str, fill: int = 0) -> NDArray[np.int64]:
        """Make the label map of a split.

        Args:
            name: The split.
            fill: What stands in all other pixels.

        Returns:
            Label map of shape ``(H, W)``.

        Raises:
            UnknownNameError: If there is no such split.
        """
        return np.where(self.mask(name), self.labels, fill)

    @property
    def left_out(self) -> BoolArray:
        """Labelled pixels in no split, be they of the guard or not used."""
        left: BoolArray = self.labelled & (self.codes < 0)
        return left

    def masks(self) -> dict[str, BoolArray]:
        """Return the pixels of all splits.

        Returns:
            Masks of shape ``(H, W)`` by name.
        """
        return {name: self.mask(name) for name in self.names}


def check_labels(
    labels: ArrayLike | LabelledScene, ignore_index: int | None
) -> tuple[NDArray[np.int64], BoolArray]:
    """Check a label map.

    Args:
        labels: The map, of any kind of number; NaN has no label. Or a scene.
        ignore_index: Code of pixels without a label, or None if all have one; of a
            scene it is -1.

    Returns:
        The map as whole numbers, and which pixels have a label.

    Raises:
        ValueError: If it is no map of class codes, or nothing has a label.
    """
    if isinstance(labels, LabelledScene):
        labels, ignore_index = labels.labels, UNLABELLED
    array = np.asarray(labels)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise ValueError(
            f'Expected a label map of shape (H, W), got {array.shape}. Pass one map at a '
            'time.'
        )
    labelled: BoolArray = np.ones(array.shape, dtype=bool)
    if np.issubdtype(array.dtype, np.floating):
        labelled &= ~np.isnan(array)
    whole = np.where(labelled, array, 0).astype(np.int64)
    if not np.array_equal(whole[labelled], array[labelled]):
        raise ValueError(
            'Expected class codes, which are whole numbers, got a map with others. Is '
            'it a map of something else?'
        )
    if ignore_index is not None:
        labelled &= whole != ignore_index
    if not labelled.any():
        raise ValueError(
            f'No pixel has a label other than ignore_index={ignore_index}. Check the '
            'map, and the code of its unlabelled pixels.'
        )
    if len(np.unique(whole[labelled])) > _MOST_CLASSES:
        raise ValueError(
            f'Expected a label map, got one with more than {_MOST_CLASSES} codes.'
        )
    return whole, labelled
