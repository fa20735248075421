# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the data modules of labelled patches share."""

import logging
from abc import abstractmethod
from typing import Any, Literal

from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset

from .._typing import Sample
from ..datasets import StoredPatches
from ..errors import EmptyDataError
from ..physics.statistics import list_band_statistics
from ..transforms import (
    CenterResizedCrop,
    NormalizeValid,
    RandomDihedral,
    RandomResizedCrop,
)
from ._stored import stored_loader
from .statistics import check_choice, chosen_statistics

logger = logging.getLogger(__name__)

type Split = Literal['train', 'val', 'test']


class PatchDataModule(NonGeoDataModule):
    """Base class for data modules of patches with published splits and statistics.

    Training patches are cropped, resized and flipped, all others only cropped to
    *image_size*; those of prediction stay as they are, so that they keep their place.
    Batches are normalized on the device by published statistics. Pixels without data
    become 0, which is the mean, and *ignore_index* in the mask.

    *root* may also be a store that ``torchgeo-hsi convert`` has written, or its address.
    Its samples are the same, read faster; no training patch is left out or seen twice in
    an epoch, whatever the number of processes, and training goes on exactly where a
    checkpoint was written, see :class:`StoreLoader`.
    """

    #: Table of :func:`~torchgeo_hsi.physics.band_statistics`, or a file.
    statistics: str = 'enmap_spectral_earth'
    #: Label that counts neither in loss nor in metrics.
    ignore_index: int | None = None
    #: Name and color of each class.
    class_names: tuple[str, ...] = ()
    class_colors: tuple[str, ...] = ()

    def __init__(
        self,
        dataset_class: type[NonGeoDataset] = NonGeoDataset,
        batch_size: int = 8,
        num_workers: int = 0,
        image_size: int = 128,
        crop_scale: tuple[float, float] = (0.4, 1.0),
        statistics: str | None = None,
    ) -> None:
        """Initialize a new PatchDataModule instance.

        Args:
            dataset_class: Class of the dataset.
            batch_size: Patches per batch.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop.
            statistics: What to normalize by: a table of
                :func:`~torchgeo_hsi.physics.band_statistics`, or a file that
                ``torchgeo-hsi stats`` wrote; the published ones by default.

        Raises:
            ValueError: If a size is not positive, *crop_scale* is not in order, or
                there are no such statistics.
        """
        super().__init__(dataset_class, batch_size, num_workers)
        if batch_size < 1:
            raise ValueError(f'Expected a positive batch_size, got {batch_size}.')
        if statistics is not None:
            self.statistics = check_choice(statistics, list_band_statistics())
        self.image_size = image_size
        self.crop_scale = crop_scale
        self._moves = nn.Sequential(
            RandomResizedCrop(image_size, crop_scale), RandomDihedral(rotate=False)
        )
        self._center = CenterResizedCrop(image_size)

    @abstractmethod
    def make_dataset(self, split: Split) -> NonGeoDataset:
        """Open the data of a split.

        Args:
            split: The split.

        Returns:
            The dataset.
        """

    def setup(self, stage: str) -> None:
        """Open the data of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there are fewer training patches than a batch holds.
        """
        dataset: Any = None
        if stage == 'fit':
            dataset = self.train_dataset = self.make_dataset('train')
            if len(dataset) < self.batch_size:
                raise EmptyDataError(
                    f'{len(dataset)} training patches make no batch of '
                    f'{self.batch_size}. Lower batch_size, or raise fraction.'
                )
        if stage in ('fit', 'validate'):
            dataset = self.val_dataset = self.make_dataset('val')
        if stage == 'test':
            dataset = self.test_dataset = self.make_dataset('test')
        if stage == 'predict':
            dataset = self.predict_dataset = self.make_dataset('test')
        self._use(dataset)

    def _use(self, dataset: Any) -> None:
        """Build the transforms of batches for the bands of a dataset."""
        axis = dataset.bandset
        self.mean, self.std = chosen_statistics(
            self.statistics, axis.names, axis.wavelength
        )
        normalize = NormalizeValid(self.mean, self.std, self.ignore_index)
        self.train_aug = nn.Sequential(self._moves, normalize)
        self.aug = nn.Sequential(self._center, normalize)
        self.predict_aug = normalize

    def _dataloader_factory(self, split: str) -> DataLoader[Sample]:
        """Build the loader of a split."""
        dataset = getattr(self, f'{split}_dataset')
        # prediction tells the writers of maps which samples a batch holds
        if split != 'predict' and isinstance(dataset, StoredPatches):
            return stored_loader(self, dataset, split == 'train')
        return super()._dataloader_factory(split)

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Convert, augment and normalize a batch on the device.

        Args:
            batch: The batch.
            dataloader_idx: Index of the data loader.

        Returns:
            A new batch.
        """
        if 'image' in batch and not batch['image'].is_floating_point():
            image = {'image': batch['image'].float()}
            if self.trainer is not None:
                # what Lightning did with floating-point images before the transfer
                image = self.trainer.precision_plugin.convert_input(image)
            batch = {**batch, **image}
        result: Sample = super().on_after_batch_transfer(batch, dataloader_idx)
        return result

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw a sample of the dataset.

        Args:
            sample: A sample of the dataset, maybe with a ``prediction``.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            EmptyDataError: If :meth:`setup` was not called.
        """
        for dataset in (
            self.val_dataset,
            self.test_dataset,
            self.train_dataset,
            self.predict_dataset,
        ):
            if dataset is not None:
                figure: Figure = dataset.plot(sample, suptitle=suptitle)  # type: ignore[attr-defined]
                return figure
        raise EmptyDataError('Call setup before plot, e.g. setup("validate").')
