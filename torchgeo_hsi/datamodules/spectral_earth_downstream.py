# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The downstream sets of SpectralEarth with label rasters."""

from typing import Any, ClassVar, Literal

from torchgeo.datasets import DatasetNotFoundError

from ..datasets import (
    DESISCDL,
    EO1CDL,
    SpectralEarthBDForet,
    SpectralEarthBNETD,
    SpectralEarthCDL,
    SpectralEarthDownstream,
    SpectralEarthEuroCrops,
    SpectralEarthNLCD,
    SpectralEarthTreeMap,
    StoredPatches,
)
from ..datasets.stored_patches import holds_store
from ..errors import UnknownNameError
from ._stored import open_stored
from .leaks import warn_of_shared_scenes
from .patches import PatchDataModule, Split


class SpectralEarthDownstreamDataModule(PatchDataModule):
    """Base class for the data modules of SpectralEarth's downstream sets.

    Defaults are those of the authors: batch size for each device, share of the area of
    training crops, flips, 128 x 128 pixels, published statistics of the bands. What
    ``predict_dataloader`` returns is the test split.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    """

    #: What the authors train with.
    official_batch_size: ClassVar[int] = 8
    official_crop_scale: ClassVar[tuple[float, float]] = (0.4, 1.0)

    _dataset: ClassVar[type[SpectralEarthDownstream]]

    def __init_subclass__(
        cls,
        dataset: type[SpectralEarthDownstream] | None = None,
        statistics: str = 'enmap_spectral_earth',
        batch_size: int = 8,
        crop_scale: tuple[float, float] = (0.4, 1.0),
        **kwargs: Any,
    ) -> None:
        """Fill the attributes of a data module.

        Args:
            dataset: Class of the dataset.
            statistics: Table of the band statistics.
            batch_size: Patches per batch of the authors.
            crop_scale: Share of the area of a training crop of the authors.
            **kwargs: Handed on.
        """
        super().__init_subclass__(**kwargs)
        if dataset is None:
            return
        cls._dataset, cls.statistics = dataset, statistics
        cls.official_batch_size, cls.official_crop_scale = batch_size, crop_scale
        cls.class_names, cls.class_colors = dataset.classes, dataset.class_colors
        cls.ignore_index = dataset.ignore_index

    def __init__(
        self,
        root: str = 'data',
        batch_size: int | None = None,
        num_workers: int = 0,
        image_size: int = 128,
        crop_scale: tuple[float, float] | None = None,
        bands: list[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: str | None = None,
        download: bool = False,
        statistics: str | None = None,
    ) -> None:
        """Initialize a new datamodule.

        Args:
            root: Folder of the data, see
                :class:`~torchgeo_hsi.datasets.SpectralEarthDownstream`, or a store.
            batch_size: Patches per batch; that of the authors by default.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop; that
                of the authors by default.
            bands: Bands in the order wanted; all by default.
            split_by: ``'official'``: the lists of the authors, in which almost all test
                patches share a scene with training; ``'scene'``: no common scene.
            fraction: Share of the training and validation labels to use.
            split_dir: Folder of the lists of the splits.
            download: Whether to get what is missing.
            statistics: What to normalize by: a table of
                :func:`~torchgeo_hsi.physics.band_statistics`, or a file that
                ``torchgeo-hsi stats`` wrote; the published ones by default.

        Raises:
            ValueError: If a size is not positive, or *crop_scale* is not in order.
        """
        super().__init__(
            self._dataset,
            self.official_batch_size if batch_size is None else batch_size,
            num_workers,
            image_size,
            crop_scale or self.official_crop_scale,
            statistics,
        )
        self.root = root
        self.bands = bands
        self.split_by = split_by
        self.fraction = fraction
        self.split_dir = split_dir
        self.download = download

    def make_dataset(self, split: Split) -> SpectralEarthDownstream | StoredPatches:
        """Open the data of a split.

        Args:
            split: The split.

        Returns:
            The dataset.
        """
        if holds_store(self.root):
            return open_stored(
                self.root,
                split,
                self.bands,
                self._dataset.__name__,
                self.class_names,
                self.fraction,
                split_by=self.split_by,
            )
        return self._dataset(split=split, **self._arguments())

    def _arguments(self) -> dict[str, Any]:
        names = ('root', 'bands', 'split_by', 'fraction', 'split_dir', 'download')
        return {name: getattr(self, name) for name in names}

    def prepare_data(self) -> None:
        """Download what is missing, and list the splits by scene, in one process."""
        if holds_store(self.root):
            return
        if self.download or self.split_by == 'scene':
            self.make_dataset('train')

    def setup(self, stage: str) -> None:
        """Open the data of a stage, and say how many scenes are in two splits.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there are fewer training patches than a batch holds.
        """
        super().setup(stage)
        if self.split_by == 'official' and stage in ('fit', 'test'):
            split: Split = 'val' if stage == 'fit' else 'test'
            train: Any = self.train_dataset
            if train is None:
                try:
                    train = self.make_dataset('train')
                except (FileNotFoundError, DatasetNotFoundError, UnknownNameError):
                    # a test needs no training data
                    return
            other = self.val_dataset if stage == 'fit' else self.test_dataset
            warn_of_shared_scenes(self._dataset.__name__, split, train, other)


class SpectralEarthCDLDataModule(
    SpectralEarthDownstreamDataModule, dataset=SpectralEarthCDL, crop_scale=(0.2, 1.0)
):
    """EnMAP-CDL: 14 crops of the United States.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class SpectralEarthNLCDDataModule(
    SpectralEarthDownstreamDataModule,
    dataset=SpectralEarthNLCD,
    batch_size=16,
    crop_scale=(0.2, 1.0),
):
    """EnMAP-NLCD: 15 land covers of the United States.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class SpectralEarthEuroCropsDataModule(
    SpectralEarthDownstreamDataModule, dataset=SpectralEarthEuroCrops
):
    """EnMAP-EuroCrops: 15 crops of Europe.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class SpectralEarthBDForetDataModule(
    SpectralEarthDownstreamDataModule, dataset=SpectralEarthBDForet
):
    """EnMAP-BDForêt: 12 kinds of forest in France.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class SpectralEarthTreeMapDataModule(
    SpectralEarthDownstreamDataModule, dataset=SpectralEarthTreeMap, batch_size=16
):
    """EnMAP-TreeMap: 24 forest types of the United States.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class SpectralEarthBNETDDataModule(
    SpectralEarthDownstreamDataModule, dataset=SpectralEarthBNETD, batch_size=16
):
    """EnMAP-BNETD: 10 land covers of Côte d'Ivoire.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class DESISCDLDataModule(
    SpectralEarthDownstreamDataModule, dataset=DESISCDL, statistics='desis_cdl'
):
    """DESIS-CDL: 14 crops of the United States, 235 bands.

    See :class:`SpectralEarthDownstreamDataModule`.
    """


class EO1CDLDataModule(
    SpectralEarthDownstreamDataModule, dataset=EO1CDL, statistics='eo1_cdl'
):
    """EO1-CDL: 14 crops of the United States, 198 bands.

    See :class:`SpectralEarthDownstreamDataModule`.
    """
