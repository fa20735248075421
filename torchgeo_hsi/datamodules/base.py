# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all data modules of georeferenced cubes share."""

import functools
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from matplotlib.figure import Figure
from shapely import Polygon
from torch import nn
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import DatasetNotFoundError, GeoDataset
from torchgeo.samplers import GriddedPatchSampler

from .._typing import Sample
from ..datasets import EnMAPL2A, RegionCrops, plot_sample
from ..datasets.plotting import CLASS_COLORS
from ..errors import EmptyDataError, MetadataError
from ..samplers import BalancedWindowSampler, RandomWindowSampler
from ..samplers._rasters import check_share
from ..transforms import NormalizeValid, RandomDihedral
from ._kept_statistics import KeptStatistics
from .statistics import (
    Statistics,
    check_choice,
    file_statistics,
    spectral_earth_statistics,
    training_statistics,
)

#: Rows and columns of the windows that training data are gone through in.
_STATISTICS_SIZE = 128


class HSIGeoDataModule(KeptStatistics, GeoDataModule):
    """Base class for data modules of georeferenced hyperspectral cubes.

    * Training: random windows that lie inside a scene, flipped and rotated; drawn by
      :class:`~torchgeo_hsi.datasets.RegionCrops`, so that compressed scenes are decoded
      once in an epoch, if *crops_per_pixel* is given.
    * Validation and test: a grid without overlap, so every pixel counts once.
    * Prediction: a grid with overlap, for
      :class:`~torchgeo_hsi.callbacks.GeoTIFFCubeWriter` to blend; ``bounds``,
      ``transform``, ``valid`` and ``wavelength`` stay in the batch to the end.

    Batches are normalized on the device. Invalid pixels become 0, which is the mean,
    and *ignore_index* in the mask. The statistics are kept in checkpoints, so
    prediction needs no training data.
    """

    _advice = (
        "Pass statistics='spectral_earth' if it was trained with these, or train with a "
        'data module of this package.'
    )

    def __init__(
        self,
        batch_size: int = 8,
        patch_size: int = 64,
        length: int | None = None,
        overlap: int = 16,
        num_workers: int = 0,
        statistics: str = 'train',
        ignore_index: int = 255,
        class_names: Sequence[str] | None = None,
        class_colors: Sequence[str] | None = None,
        crops_per_pixel: float | None = None,
        min_valid: float = 0.0,
        balanced: bool = False,
    ) -> None:
        """Initialize a new HSIGeoDataModule instance.

        Args:
            batch_size: Windows per batch.
            patch_size: Height and width of the windows in pixels.
            length: Windows per training epoch; by default as many as cover the scenes,
                and a batch at least.
            overlap: Pixels by which neighbouring windows of prediction overlap.
            num_workers: Processes that load data.
            statistics: Normalize by the valid pixels of the training data
                (``'train'``), by the published statistics of SpectralEarth
                (``'spectral_earth'``, for its weights), or by those of a file that
                ``torchgeo-hsi stats`` wrote.
            ignore_index: Label that counts neither in loss nor in metrics.
            class_names: Name of each class, for figures.
            class_colors: Color of each class, for figures.
            crops_per_pixel: Read training scenes in regions of whole blocks, which is
                many times faster where they are large and compressed, and show each
                pixel this often in an epoch, see
                :class:`~torchgeo_hsi.datasets.RegionCrops`; or as *length* says. None
                reads each window by itself.
            min_valid: Least share of valid pixels of a training window.
            balanced: Draw training windows so that all classes are as frequent, see
                :class:`~torchgeo_hsi.samplers.BalancedWindowSampler`; not together
                with *crops_per_pixel*.

        Raises:
            ValueError: If sizes or options do not fit together.
        """
        super().__init__(EnMAPL2A, batch_size, patch_size, length, num_workers)
        if batch_size < 1 or patch_size < 1:
            raise ValueError(
                f'Expected a positive batch_size and patch_size, got {batch_size} and '
                f'{patch_size}.'
            )
        if not 0 <= overlap < patch_size:
            raise ValueError(
                f'Expected an overlap from 0 to less than patch_size={patch_size}, '
                f'got {overlap}.'
            )
        if balanced and crops_per_pixel is not None:
            raise ValueError(
                'balanced= looks for windows of rare classes, and crops_per_pixel= goes '
                'through the scenes block by block. Leave one of them out.'
            )
        self.size = patch_size
        self.overlap = overlap
        self.statistics = check_choice(statistics, ('train', 'spectral_earth'))
        self.ignore_index = ignore_index
        self.class_names = class_names
        self.class_colors = class_colors
        self.crops_per_pixel = crops_per_pixel
        self.min_valid = check_share(min_valid)
        self.balanced = balanced
        self.train_crops: RegionCrops | None = None
        self._statistics: Statistics | None = None

    @abstractmethod
    def make_dataset(
        self, split: Literal['train', 'val', 'test', 'predict']
    ) -> GeoDataset:
        """Open the data of a split.

        Args:
            split: The split; that of prediction needs no labels.

        Returns:
            Dataset with ``image``, ``valid`` and, except for prediction, ``mask``.
        """

    @abstractmethod
    def band_names(self) -> Sequence[str]:
        """Return the names of the bands of the samples."""

    def band_wavelength(self) -> Sequence[float] | None:
        """Return the centres of the bands in micrometres, or None if nobody knows."""
        return None

    def roi(self, split: Literal['train', 'val', 'test', 'predict']) -> Polygon | None:
        """Return the region of a split, in the CRS of the dataset.

        Args:
            split: The split.

        Returns:
            The region, or None for all of the dataset.
        """
        return None

    def setup(self, stage: str) -> None:
        """Open the data of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there are fewer training windows than a batch holds.
        """
        if stage == 'fit':
            self.train_dataset = self.make_dataset('train')
            self._draw_from(self.train_dataset)
            self.normalization()
        if stage in ('fit', 'validate'):
            self.val_dataset = self.make_dataset('val')
            self.val_sampler = self._grid('val', self.val_dataset, self.size)
        if stage == 'test':
            self.test_dataset = self.make_dataset('test')
            self.test_sampler = self._grid('test', self.test_dataset, self.size)
        if stage == 'predict':
            self.predict_dataset = self.make_dataset('predict')
            stride = self.size - self.overlap
            self.predict_sampler = self._grid('predict', self.predict_dataset, stride)

    def _draw_from(self, dataset: GeoDataset) -> None:
        """Prepare to draw training windows."""
        size, roi = self.size, self.roi('train')
        if self.crops_per_pixel is not None:
            self.train_crops = RegionCrops(
                dataset,
                size,
                self.crops_per_pixel,
                self.length,
                self.batch_size,
                roi,
                min_valid=self.min_valid,
            )
            return
        options: dict[str, Any] = {'min_valid': self.min_valid, 'over_edge': True}
        kind: type[RandomWindowSampler] = RandomWindowSampler
        if self.balanced:
            kind, options['ignore_index'] = BalancedWindowSampler, self.ignore_index
        sampler = kind(dataset, size, self.length, roi, **options)
        if self.length is None and len(sampler) < self.batch_size:
            # few windows cover a small scene; they are drawn at random anyway
            sampler = kind(dataset, size, self.batch_size, roi, **options)
        # torchgeo declares its own base class, which a distributed one is not
        self.train_sampler = sampler  # type: ignore[assignment]
        if len(sampler) < self.batch_size:
            raise EmptyDataError(
                f'{len(sampler)} training windows make no batch of {self.batch_size}. '
                'Raise length or lower batch_size.'
            )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the data loader of the training.

        Returns:
            Loader of batches of windows.
        """
        if self.train_crops is None:
            loader: DataLoader[Sample] = super().train_dataloader()
            return loader
        if self.trainer is not None:
            # a training that goes on continues with the epoch that it had reached
            self.train_crops.set_epoch(self.trainer.current_epoch)
        return DataLoader(
            self.train_crops,
            batch_size=None,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def _grid(
        self, split: Literal['val', 'test', 'predict'], dataset: GeoDataset, stride: int
    ) -> GriddedPatchSampler:
        make = functools.partial(
            GriddedPatchSampler, dataset, size=self.size, roi=self.roi(split)
        )
        # a scene no larger than the overlap gets no window, although one covers it
        return make(stride=stride) if len(make(stride=stride)) else make()

    def normalization(self) -> Statistics:
        """Return the band statistics, computing them the first time.

        Returns:
            Mean and standard deviation; also in ``mean`` and ``std``.

        Raises:
            MetadataError: If a trained network is to be used, and nobody knows the
                statistics that it was trained with.
        """
        if self._statistics is None:
            if self.statistics == 'spectral_earth':
                found = spectral_earth_statistics(self.band_names())
            elif self.statistics == 'train':
                found = self._checkpointed() or self._computed()
            else:
                found = file_statistics(
                    self.statistics, self.band_names(), self.band_wavelength()
                )
            self._use(found)
        assert self._statistics is not None
        return self._statistics

    def _computed(self) -> Statistics:
        """Compute the statistics of the training data."""
        try:
            dataset = self.train_dataset or self.make_dataset('train')
            return training_statistics(dataset, self.roi('train'))
        except (DatasetNotFoundError, EmptyDataError, MetadataError) as error:
            if not getattr(self.trainer, 'predicting', False):
                raise
            raise MetadataError(
                'There are no band statistics to normalize by: pass the checkpoint of '
                "the training (ckpt_path), or statistics='spectral_earth', or give the "
                f'data module its training data, too ({error}).'
            ) from error

    def training_samples(self) -> Iterator[Sample]:
        """Go through the training data once, in order, normalized as batches are.

        For whatever is fitted and not trained, such as principal components.

        Yields:
            Samples that cover every pixel once.
        """
        self.normalization()
        normalize = NormalizeValid(self.mean, self.std, self.ignore_index)
        for sample in self._stored_samples():
            yield normalize(sample)

    def _stored_samples(self) -> Iterator[Sample]:
        """Yield the training data once, as stored."""
        dataset = self.train_dataset or self.make_dataset('train')
        assert isinstance(dataset, GeoDataset)
        size = _STATISTICS_SIZE
        for place in GriddedPatchSampler(dataset, size=size, roi=self.roi('train')):
            yield dataset[place]

    def _use(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self.mean, self.std = statistics
        normalize = NormalizeValid(self.mean, self.std, self.ignore_index)
        self.aug = normalize
        self.train_aug = nn.Sequential(RandomDihedral(), normalize)

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw a sample with the names and colors of the classes.

        Args:
            sample: A sample in reflectance x 10 000, maybe with ``mask`` and
                ``prediction``.
            suptitle: Title of the whole figure.

        Returns:
            The figure.
        """
        return plot_sample(
            sample,
            suptitle=suptitle,
            class_names=self.class_names,
            class_colors=self.class_colors or CLASS_COLORS,
            ignore_index=self.ignore_index,
        )
