# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""SpectralEarth for self-supervised training."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate
from torchgeo.datamodules import NonGeoDataModule

from .._typing import Sample
from ..datasets import SpectralEarth, StoredPatches
from ..datasets.stored_patches import holds_store
from ..errors import EmptyDataError
from ..physics import get_sensor
from ..transforms import NormalizeValid
from ._stored import check_stored, stored_loader
from .statistics import chosen_statistics
from .store_loader import collate_stored


class SpectralEarthDataModule(NonGeoDataModule):
    """Train without labels on the patches of SpectralEarth.

    Batches are what torchgeo's tasks take: ``MoCo``, ``SimCLR`` and ``BYOL`` with
    ``timestamps='pair'``, where two dates of a location are the two views, and ``MAE``
    with ``timestamps='random'``. ``in_channels`` is the number of bands, also for pairs.

    Images travel as int16 and become float32 on the device, where they are normalized
    by the published statistics of the bands. Pixels without data become 0, which is the
    mean. Everything else, such as crops and flips, is up to the task.

    *root* may also be a store that ``torchgeo-hsi convert`` has written from
    ``SpectralEarth`` with ``item: patch``, or its address. Then no sample is left out or
    seen twice in an epoch, whatever the number of processes, and training goes on
    exactly where a checkpoint was written, see :class:`StoreLoader`.

    Example:
        .. code-block:: yaml

            model:
              class_path: torchgeo.tasks.MoCo
              init_args: {model: spec_vit_small, in_channels: 202, size: 128}
            data:
              class_path: torchgeo_hsi.datamodules.SpectralEarthDataModule
              init_args: {root: data, batch_size: 64, num_workers: 16}
    """

    def __init__(
        self,
        root: str = 'data',
        batch_size: int = 64,
        num_workers: int = 0,
        item: Literal['location', 'patch'] = 'location',
        timestamps: Literal['pair', 'random', 'first', 'last'] | None = None,
        bands: list[str | int | float] | None = None,
        crop_size: int | None = None,
        dtype: Literal['int16', 'float32'] = 'int16',
        val_split_pct: float = 0.0,
        seed: int = 0,
        strict: bool = False,
        manifest: str | None = None,
        rebuild: bool | None = None,
        download: bool = False,
        parts: list[int] | None = None,
        statistics: str = 'enmap_spectral_earth',
    ) -> None:
        """Initialize a new SpectralEarthDataModule instance.

        Args:
            root: Folder of the tree, see :class:`~torchgeo_hsi.datasets.SpectralEarth`,
                or a store, for which what says *tree* below does not matter.
            batch_size: Samples per batch.
            num_workers: Processes that load data.
            item: Whether a sample is a location or a single file.
            timestamps: Which dates of a location a sample has; ``'pair'`` by default.
                Only for locations.
            bands: Bands in the order wanted; all 202 by default.
            crop_size: Rows and columns of a random crop that is read; all by default.
            dtype: Data type in which images travel to the device.
            val_split_pct: Share of the locations that is kept for validation, with the
                same dates and crops in each epoch. No other location shares a file with
                them, but scenes are shared.
            seed: Chooses the locations for validation, and their dates and crops.
            strict: Tree: whether a damaged file is an error; others take its place
                otherwise.
            manifest: Tree: file that keeps the list of files; in *root* by default.
            rebuild: Tree: whether to list the files again; where folders changed by
                default.
            download: Tree: whether to get what is missing from DLR (3.3 TB, free
                account).
            parts: Tree: numbers of the archives to download; all nine by default.
            statistics: What to normalize by: a table of
                :func:`~torchgeo_hsi.physics.band_statistics`, or a file that
                ``torchgeo-hsi stats`` wrote; the published ones by default.

        Raises:
            ValueError: If *val_split_pct* is not at least 0 and less than 1, or
                *timestamps* is given for single files.
            UnknownNameError: If there is no such band.
        """
        super().__init__(SpectralEarth, batch_size, num_workers)
        if not 0 <= val_split_pct < 1:
            raise ValueError(
                f'Expected a val_split_pct from 0 to less than 1, got {val_split_pct}.'
            )
        if item == 'patch' and timestamps is not None:
            raise ValueError("timestamps= chooses among the dates of item='location'.")
        self.root = root
        self.item = item
        self.timestamps = timestamps or ('pair' if item == 'location' else None)
        self.bands = bands
        self.crop_size = crop_size
        self.dtype = dtype
        self.val_split_pct = val_split_pct
        self.seed = seed
        self.strict = strict
        self.manifest = manifest
        self.rebuild = rebuild
        self.download = download
        self.parts = parts
        axis = get_sensor('enmap').default_bandset
        axis = axis if bands is None else axis.select(bands)
        self.statistics = statistics
        self.mean, self.std = chosen_statistics(
            statistics, axis.names, axis.wavelength.tolist()
        )
        self.aug = NormalizeViews(self.mean, self.std)
        self.collate_fn = collate_views

    def _open(
        self, seed: int | None, rebuild: bool | None
    ) -> SpectralEarth | StoredPatches:
        if holds_store(self.root):
            stored = StoredPatches(
                self.root,
                bands=self.bands,
                dtype='stored' if self.dtype == 'int16' else 'float32',
                item=self.item,
                timestamps=self.timestamps,
                crop_size=self.crop_size,
                seed=seed,
            )
            check_stored(stored, 'SpectralEarth')
            return stored
        return SpectralEarth(
            self.root,
            bands=self.bands,
            item=self.item,
            timestamps=self.timestamps,
            crop_size=self.crop_size,
            dtype=self.dtype,
            seed=seed,
            strict=self.strict,
            manifest=self.manifest,
            rebuild=rebuild,
        )

    def prepare_data(self) -> None:
        """Download what is missing and list the files, in one process only."""
        if holds_store(self.root):
            return
        SpectralEarth(
            self.root,
            strict=self.strict,
            manifest=self.manifest,
            rebuild=self.rebuild,
            download=self.download,
            parts=self.parts or range(1, 10),
        )

    def setup(self, stage: str) -> None:
        """Open the tree.

        Args:
            stage: ``'fit'`` or ``'validate'``; there is nothing to test on or to map.

        Raises:
            EmptyDataError: If there are fewer training samples than a batch holds, or
                *val_split_pct* leaves no location for one of the parts.
        """
        if stage not in ('fit', 'validate'):
            return
        # prepare_data has listed the files already, if that was asked for
        rebuild = None if self.rebuild else self.rebuild
        train = self._open(None, rebuild)
        if self.val_split_pct:
            generator = torch.Generator().manual_seed(self.seed)
            order = torch.randperm(train.num_locations, generator=generator).numpy()
            count = round(self.val_split_pct * len(order))
            if not 0 < count < len(order):
                raise EmptyDataError(
                    f'val_split_pct={self.val_split_pct} of {len(order)} locations leaves '
                    'none for training or validation.'
                )
            # in their order, on which dates and crops of validation depend
            chosen, rest = order[:count], order[count:]
            chosen.sort()
            self.val_dataset = self._open(self.seed, rebuild).select(chosen)
            train = train.select(rest)
        if stage == 'fit':
            if len(train) < self.batch_size:
                raise EmptyDataError(
                    f'{len(train)} training samples make no batch of '
                    f'{self.batch_size}. Lower batch_size.'
                )
            self.train_dataset = train

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the training samples, in random order."""
        return self._loader(self.train_dataset, train=True)

    def val_dataloader(  # type: ignore[override]
        self,
    ) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return the loader of the validation samples; none without *val_split_pct*."""
        if not self.val_split_pct:
            # Lightning leaves out validation, and says so once
            return []
        return self._loader(self.val_dataset, train=False)

    def _loader(
        self, dataset: Dataset[Sample] | None, train: bool
    ) -> DataLoader[Sample]:
        assert dataset is not None
        if isinstance(dataset, StoredPatches):
            return stored_loader(self, dataset, train)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=train,
            drop_last=train,
            num_workers=self.num_workers,
            collate_fn=self.collate_fn,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw a sample of the dataset.

        Args:
            sample: A sample in reflectance x 10 000.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            EmptyDataError: If :meth:`setup` was not called.
        """
        dataset: Any = self.train_dataset or self.val_dataset
        if dataset is None:
            raise EmptyDataError("Call setup('fit') before plot.")
        figure: Figure = dataset.plot(sample, suptitle=suptitle)
        return figure


class NormalizeViews(nn.Module):
    """Normalize batches of one or several views in the axis of the bands.

    Args:
        mean: Mean of each band, shape ``(C,)``.
        std: Standard deviation of each band, shape ``(C,)``.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """Initialize a new NormalizeViews instance; see the class for arguments."""
        super().__init__()
        self.normalize = NormalizeValid(mean, std)

    def forward(self, batch: Sample) -> Sample:
        """Normalize a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, V * C, H, W)`` and any data type,
                and ``valid`` of shape ``(B, H, W)`` or ``(B, V, H, W)``.

        Returns:
            A new batch with a float32 image, 0 where it is not valid.
        """
        image, valid = batch['image'], batch['valid']
        size = image.shape[-2:]
        # integers are transposed while they are small
        views = image.contiguous().reshape(-1, len(self.normalize.mean), *size)
        masks = valid.reshape(-1, *size)
        done = self.normalize({'image': views, 'valid': masks})['image']
        return {**batch, 'image': done.reshape(image.shape)}


def collate_views(samples: Sequence[Sample]) -> Sample:
    """Stack samples, without a transposition of images whose bands lie together.

    Args:
        samples: Samples of one shape.

    Returns:
        A batch; ``image`` has shape ``(B, C, H, W)`` and the layout in memory of the
        first image.
    """
    images = [sample['image'] for sample in samples]
    if images[0].stride(0) >= images[0].stride(2):
        return collate_stored(list(samples))
    rest = [{k: v for k, v in s.items() if k != 'image'} for s in samples]
    pixels = default_collate([image.permute(1, 2, 0) for image in images])
    stacked: Tensor = pixels.permute(0, 3, 1, 2)
    return {'image': stacked, **default_collate(rest)}
