# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-CORINE: land cover of Europe, several classes for each patch."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..._typing import PathLike, Sample
from ._patches import short_names
from .classes import load_classes
from .downstream import SpectralEarthDownstream


class SpectralEarthCORINE(SpectralEarthDownstream, product='corine', table='corine_19'):
    """EnMAP-CORINE: 11 000 patches with the land cover classes that they contain.

    A class counts as present if any pixel has it. The 19 classes are those of
    BigEarthNet; the 43 are the CORINE classes of level 3 without glaciers. Pixels of
    other codes count for no class.

    Sample: as in :class:`SpectralEarthDownstream`, but with ``label``, long of shape
    ``(K,)`` with 1 for each class that is present; ``mask`` is there if asked for.

    Images: EnMAP data licence of DLR. Labels: Corine Land Cover, Copernicus Land
    Monitoring Service, full, open and free access.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://land.copernicus.eu/en/products/corine-land-cover

    Example:
        .. code-block:: python

            dataset = SpectralEarthCORINE('data', split='train', num_classes=19)
            label = dataset[0]['label']
            present = [dataset.classes[i] for i in label.nonzero().flatten()]
    """

    def __init__(
        self,
        root: PathLike = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        bands: Sequence[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: PathLike | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        num_classes: int = 19,
        return_mask: bool = False,
    ) -> None:
        """Initialize a new SpectralEarthCORINE instance.

        Args:
            root: See :class:`SpectralEarthDownstream`, as all that follow.
            split: One of 'train', 'val' and 'test'.
            bands: Bands in the order wanted; all by default.
            split_by: ``'official'`` or ``'scene'``.
            fraction: Share of the training and validation labels to use.
            split_dir: Folder of the lists of the splits.
            transforms: Function that takes a sample and returns a changed one.
            download: Whether to get what is missing.
            num_classes: 19 or 43.
            return_mask: Whether to return ``mask``, the class of each pixel, too.

        Raises:
            ValueError: If *num_classes* is neither 19 nor 43.
        """
        if num_classes not in (19, 43):
            raise ValueError(f'Expected num_classes to be 19 or 43, got {num_classes}.')
        self._use(self, load_classes(f'corine_{num_classes}'))
        self.num_classes = num_classes
        self.return_mask = return_mask
        super().__init__(
            root, split, bands, split_by, fraction, split_dir, transforms, download
        )

    def _weigh(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spread patches, since a pixel is enough for a class to be present."""
        return (counts > 0).astype(np.int64)

    def _target(self, mask: NDArray[np.int64], valid: NDArray[np.bool_]) -> Sample:
        """Note which classes are present, with or without data in the image."""
        label = torch.from_numpy((self._table.count(mask) > 0).astype(np.int64))
        if not self.return_mask:
            return {'label': label}
        return {'label': label, **super()._target(mask, valid)}

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false color, the mean spectrum, the classes.

        Args:
            sample: A sample as returned by :meth:`__getitem__`.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure; the classes that are present by
                default.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no selected band is visible.
        """
        if suptitle is None and 'label' in sample:
            present = sample['label'].nonzero().flatten().tolist()
            names = short_names([self.classes[i] for i in present], width=36)
            suptitle = textwrap.fill(' · '.join(names), 60, break_on_hyphens=False)
            suptitle = suptitle or 'No class'
        return super().plot(sample, show_titles, suptitle)
