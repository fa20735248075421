# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the data modules of labelled patches share."""

import logging
from abc import abstractmethod
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from torch import nn
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset

from .._typing import Sample
from ..errors import EmptyDataError
from ..physics.statistics import band_statistics
from ..transforms import (
    CenterResizedCrop,
    NormalizeValid,
    RandomDihedral,
    RandomResizedCrop,
)

logger = logging.getLogger(__name__)

type Split = Literal['train', 'val', 'test']


class PatchDataModule(NonGeoDataModule):
    """Base class for data modules of patches with published splits and statistics.

    Training patches are cropped, resized and flipped, all others only cropped to
    *image_size*; those of prediction stay as they are, so that they keep their place.
    Batches are normalized on the device by published statistics. Pixels without data
    become 0, which is the mean, and *ignore_index* in the mask.
    """

    #: Table of :func:`~torchgeo_hsi.physics.band_statistics`.
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
    ) -> None:
        """Initialize a new PatchDataModule instance.

        Args:
            dataset_class: Class of the dataset.
            batch_size: Patches per batch.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop.

        Raises:
            ValueError: If a size is not positive, or *crop_scale* is not in order.
        """
        super().__init__(dataset_class, batch_size, num_workers)
        if batch_size < 1:
            raise ValueError(f'Expected a positive batch_size, got {batch_size}.')
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
        table = band_statistics(self.statistics, dataset.bandset.names)
        self.mean, self.std = torch.from_numpy(table.mean), torch.from_numpy(table.std)
        normalize = NormalizeValid(self.mean, self.std, self.ignore_index)
        self.train_aug = nn.Sequential(self._moves, normalize)
        self.aug = nn.Sequential(self._center, normalize)
        self.predict_aug = normalize

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
