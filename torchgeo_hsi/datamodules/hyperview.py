# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HYPERVIEW: what the soil of a field holds."""

from typing import Literal

from ..datasets import Hyperview, StoredPatches
from ..datasets.stored_patches import holds_store
from ._stored import open_stored
from .leaks import warn_of_shared_scenes
from .patches import PatchDataModule, Split


class HyperviewDataModule(PatchDataModule):
    """Phosphorus, potassium, magnesium and pH of 1732 plots, 150 bands.

    Plots of any size are resized to *image_size* by the dataset. The targets of the
    challenge's test images are not public, so the test runs on the validation split.

    Pixels outside of a plot become 0, which is the mean; the authors train with the
    numbers that the files have there.

    * https://doi.org/10.1109/MGRS.2024.3394040
    """

    statistics = 'hyperview'

    def __init__(
        self,
        root: str = 'data',
        batch_size: int = 32,
        num_workers: int = 0,
        image_size: int = 128,
        crop_scale: tuple[float, float] = (0.4, 1.0),
        bands: list[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: str | None = None,
        download: bool = False,
        statistics: str | None = None,
    ) -> None:
        """Initialize a new HyperviewDataModule instance.

        Args:
            root: Folder of the data, see :class:`~torchgeo_hsi.datasets.Hyperview`, or
                a store of plots that were all resized to the same size.
            batch_size: Plots per batch.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop.
            bands: Bands in the order wanted; all by default.
            split_by: ``'official'``, or ``'scene'`` for splits without a common field.
            fraction: Share of the training and validation labels to use.
            split_dir: Folder of the tables.
            download: Whether to get the tables; the images need a registration.
            statistics: What to normalize by: a table of
                :func:`~torchgeo_hsi.physics.band_statistics`, or a file that
                ``torchgeo-hsi stats`` wrote; the published ones by default.

        Raises:
            ValueError: If a size is not positive, or *crop_scale* is not in order.
        """
        super().__init__(
            Hyperview, batch_size, num_workers, image_size, crop_scale, statistics
        )
        self.root = root
        self.bands = bands
        self.split_by = split_by
        self.fraction = fraction
        self.split_dir = split_dir
        self.download = download

    def make_dataset(self, split: Split) -> Hyperview | StoredPatches:
        """Open the data of a split.

        Args:
            split: The split; the test is that of validation.

        Returns:
            The dataset.
        """
        part: Literal['train', 'val'] = 'train' if split == 'train' else 'val'
        if holds_store(self.root):
            return open_stored(
                self.root,
                part,
                self.bands,
                'Hyperview',
                fraction=self.fraction,
                split_by=self.split_by,
            )
        return Hyperview(
            self.root,
            part,
            bands=self.bands,
            split_by=self.split_by,
            fraction=self.fraction,
            split_dir=self.split_dir,
            download=self.download,
            size=self.image_size,
        )

    def setup(self, stage: str) -> None:
        """Open the data of a stage, and say how many fields are in two splits.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there are fewer training plots than a batch holds.
        """
        super().setup(stage)
        if stage == 'fit' and self.split_by == 'official':
            warn_of_shared_scenes(
                'Hyperview', 'val', self.train_dataset, self.val_dataset
            )
