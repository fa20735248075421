# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules whose stages name their data one by one."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch.utils.data import DataLoader, Dataset, Sampler
from torchgeo.datamodules import BaseDataModule

from .._typing import Sample


class NamedSources(BaseDataModule):
    """Base of data modules that name what to train, validate, test and predict with.

    Training is set up once; validation, if something was named for it. A subclass says
    what was named (:meth:`_is_named`) and opens it.
    """

    eval_batch_size: int
    #: Draws what to train with.
    train_sampler: Sampler[Any]

    #: How samples become a batch, if not as usual.
    _collate: Callable[[Sequence[Sample]], Sample] | None = None

    @abstractmethod
    def _is_named(self, split: str) -> bool:
        """Tell whether there are data for a split."""

    @abstractmethod
    def _setup_training(self) -> None:
        """Make ``train_dataset`` and ``train_sampler``."""

    @abstractmethod
    def _windows(self, split: Literal['val', 'test']) -> Dataset[Sample]:
        """Open the data of validation or test."""

    @abstractmethod
    def _tiles(self) -> Dataset[Sample]:
        """Open what is to be predicted."""

    def setup(self, stage: str) -> None:
        """Open the data of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            MetadataError: If nothing was named for it, or what was named lacks
                something.
            EmptyDataError: If there are no files, or fewer samples than a batch holds.
            BandMismatchError: If samples make no batch.
            ValueError: If options do not go with the data.
        """
        if stage == 'fit' and self.train_dataset is None:
            self._setup_training()
        # training goes without validation, if nothing was named for it
        wanted = stage == 'fit' and self._is_named('val')
        if (wanted or stage == 'validate') and self.val_dataset is None:
            self.val_dataset = self._windows('val')
        if stage == 'test':
            self.test_dataset = self._windows('test')
        if stage == 'predict':
            self.predict_dataset = self._tiles()

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training samples."""
        assert self.train_dataset is not None
        return self._loader(
            self.train_dataset,
            batch_size=self.batch_size,
            sampler=self.train_sampler,
            drop_last=True,
        )

    def val_dataloader(self) -> Any:
        """Return the loader of validation; none, if nothing was named for it."""
        return [] if self.val_dataset is None else self._loader(self.val_dataset)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the test."""
        assert self.test_dataset is not None
        return self._loader(self.test_dataset)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the tiles of the scene."""
        assert self.predict_dataset is not None
        return self._loader(self.predict_dataset, batch_size=1)

    def _loader(self, dataset: Dataset[Sample], **options: Any) -> DataLoader[Sample]:
        """Load samples in order, unless *options* of torch say otherwise."""
        words: dict[str, Any] = {
            'batch_size': self.eval_batch_size,
            'num_workers': self.num_workers,
            'collate_fn': self._collate,
            'persistent_workers': self.num_workers > 0,
        }
        return DataLoader(dataset, **(words | options))
