# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""torchgeo's HySpecNet-11k with the interface of our data modules."""

from typing import Literal

from ..datasets import HSIHySpecNet11k, StoredPatches
from ..datasets.stored_patches import holds_store
from ._stored import open_stored
from .patches import PatchDataModule, Split


class HSIHySpecNet11kDataModule(PatchDataModule):
    """HySpecNet-11k: 11 483 EnMAP patches without labels.

    For self-supervised training and restoration. Training patches are cropped and
    flipped like those of the other data modules, and normalized by the statistics of
    SpectralEarth.

    * https://doi.org/10.1109/IGARSS52108.2023.10283385
    """

    def __init__(
        self,
        root: str = 'data',
        batch_size: int = 32,
        num_workers: int = 0,
        image_size: int = 128,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        bands: list[str | int | float] | None = None,
        strategy: Literal['easy', 'hard'] = 'hard',
        download: bool = False,
        statistics: str | None = None,
    ) -> None:
        """Initialize a new HSIHySpecNet11kDataModule instance.

        Args:
            root: Folder of the data, or a store.
            batch_size: Patches per batch.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop.
            bands: Bands in the order wanted; the 202 kept ones by default.
            strategy: ``'hard'``: no scene in two splits; ``'easy'``: split by patch.
            download: Whether to get what is missing.
            statistics: What to normalize by: a table of
                :func:`~torchgeo_hsi.physics.band_statistics`, or a file that
                ``torchgeo-hsi stats`` wrote; those of SpectralEarth by default.

        Raises:
            ValueError: If a size is not positive, or *crop_scale* is not in order.
        """
        super().__init__(
            HSIHySpecNet11k, batch_size, num_workers, image_size, crop_scale, statistics
        )
        self.root = root
        self.bands = bands
        self.strategy = strategy
        self.download = download

    def make_dataset(self, split: Split) -> HSIHySpecNet11k | StoredPatches:
        """Open the data of a split.

        Args:
            split: The split.

        Returns:
            The dataset.
        """
        if holds_store(self.root):
            return open_stored(
                self.root, split, self.bands, 'HSIHySpecNet11k', strategy=self.strategy
            )
        return HSIHySpecNet11k(
            self.root, split, self.strategy, self.bands, self.download
        )
