# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A labelled scene, its split, and the statistics of what may be looked at."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchgeo.datasets import NonGeoDataset

from .._typing import BoolArray, Sample
from ..datasets import plot_sample
from ..datasets.splits import LeakReport, PixelSplit, leak_report
from ..datasets.splits._grid import any_within
from ..errors import EmptyDataError
from ..transforms import NormalizeValid
from ._kept_statistics import KeptStatistics
from ._labelled_scene import LabelledSceneModule
from ._pixel_windows import pixel_strips
from ._scene_splits import make_split
from .statistics import Statistics, compute_statistics

#: Pixels that the statistics may be of.
STATISTICS = ('train', 'scene')


class SceneDataModule(LabelledSceneModule, KeptStatistics):
    """A data module of one labelled scene.

    Args:
        source: Dataset, scene, labels and options of
            :func:`~torchgeo_hsi.datamodules._scene_source.load_scene`.
        split: Kind of the split, or a split.
        split_options: More options of
            :func:`~torchgeo_hsi.datamodules._scene_splits.make_split`.
        window: Rows and columns of the windows; odd.
        statistics: Whose statistics to normalize by, ``'train'`` or ``'scene'``.
        batch_size: Windows per training batch.
        num_workers: Processes that load data.

    Raises:
        ValueError: If the window is even, or there are no such statistics.
    """

    def __init__(
        self,
        source: tuple[Any, Any, Any, Mapping[str, Any]],
        split: str | PixelSplit,
        split_options: Mapping[str, Any],
        window: int,
        statistics: str,
        batch_size: int,
        num_workers: int,
    ) -> None:
        """Initialize a new SceneDataModule instance; see the class for arguments."""
        super().__init__(NonGeoDataset, batch_size, num_workers)
        if window % 2 == 0:
            raise ValueError(
                f'Expected an odd window, with the pixel in its middle, got {window}. '
                f'Use {window + 1}.'
            )
        if statistics not in STATISTICS:
            raise ValueError(
                f"Expected statistics='train' or 'scene', got {statistics!r}."
            )
        self.window, self.statistics = window, statistics
        self._source, self._split = source, split
        self._split_options = dict(split_options)
        self._pixels: PixelSplit | None = None
        self._leaks: LeakReport | None = None
        self._statistics: Statistics | None = None

    @property
    def pixel_split(self) -> PixelSplit:
        """Which pixels are trained on, validated and tested."""
        if self._pixels is None:
            self._pixels = make_split(
                self.labelled_scene, self._split, self.window, **self._split_options
            )
        return self._pixels

    @property
    def leaks(self) -> LeakReport | None:
        """How far test and training are apart; None if nothing is tested."""
        split = self.pixel_split
        if self._leaks is None and len(split.names) > 1:
            self._leaks = leak_report(split, self.window)
        return self._leaks

    @property
    def in_channels(self) -> int:
        """Number of bands."""
        return len(self.labelled_scene.image)

    @property
    def mode(self) -> str:
        """``'transductive'`` if pixels of the test are looked at in training."""
        return 'inductive' if self.statistics == 'train' else 'transductive'

    def _bands(self) -> Sample:
        """Return what is known about the bands."""
        axis = self.labelled_scene.bands
        values = {k: getattr(axis, k, None) for k in ('wavelength', 'fwhm')}
        return {
            k: torch.tensor(np.asarray(v), dtype=torch.float32)
            for k, v in values.items()
            if v is not None
        }

    def _seen(self) -> BoolArray:
        """Tell which pixels may be looked at before the test."""
        scene = self.labelled_scene
        if self.statistics == 'scene':
            return scene.valid
        edge = self.window // 2
        train = self.pixel_split.mask(self.pixel_split.names[0])
        return any_within(train, edge, edge) & scene.valid

    def normalization(self) -> Statistics:
        """Return the band statistics, computing them the first time.

        Returns:
            Mean and standard deviation; also in ``mean`` and ``std``. A band that is
            constant in training has an infinite one, with which it becomes 0
            everywhere.

        Raises:
            MetadataError: If a trained network is to be used, and nobody knows the
                statistics that it was trained with.
        """
        if self._statistics is None:
            found = self._checkpointed()
            if found is None:
                strips = pixel_strips(self.labelled_scene, self._seen())
                mean, std = compute_statistics(strips)
                found = Statistics(mean, torch.where(std > 0, std, torch.inf))
            self._use(found)
        assert self._statistics is not None
        return self._statistics

    def _use(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self.mean, self.std = statistics
        self.aug = NormalizeValid(self.mean, self.std)

    def normalize(self, image: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normalize an image as batches are.

        Args:
            image: Image or windows as stored, of shape ``(..., C, H, W)``.
            valid: Which pixels are valid, of shape ``(..., H, W)``; all by default.

        Returns:
            The normalized image, 0 where it is not valid.
        """
        normalize = NormalizeValid(*self.normalization())
        sample = {'image': image} | ({} if valid is None else {'valid': valid})
        return normalize(sample)['image']  # type: ignore[no-any-return]

    def training_samples(self) -> Iterator[Sample]:
        """Go through the pixels of the training windows once, normalized.

        For whatever is fitted and not trained, such as principal components. With
        ``statistics='scene'`` these are all valid pixels.

        Yields:
            Samples with ``image`` and ``valid``, which is True for these pixels.
        """
        for sample in pixel_strips(self.labelled_scene, self._seen()):
            image = self.normalize(sample['image'], sample['valid'])
            yield sample | {'image': image}

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw a window or a tile with the names and colors of the classes.

        Args:
            sample: A sample as stored, maybe with ``prediction``.
            suptitle: Title of the whole figure.

        Returns:
            The figure.
        """
        return plot_sample(
            sample,
            suptitle=suptitle,
            class_names=self.class_names,
            class_colors=self.class_colors,
        )

    def plot_split(self, suptitle: str | None = None) -> Figure:
        """Draw the split, and what each class has in it.

        Args:
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            EmptyDataError: If nothing is tested.
        """
        if self.leaks is None:
            raise EmptyDataError('Nothing is tested, so there is no split to draw.')
        return self.leaks.plot(list[str](self.class_names), suptitle)
