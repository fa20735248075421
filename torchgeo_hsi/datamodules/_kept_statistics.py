# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band statistics that stand ready for each batch, and stay in checkpoints."""

from abc import abstractmethod
from typing import Any

import torch
from torchgeo.datamodules import BaseDataModule

from .._typing import Sample
from ..errors import MetadataError
from .statistics import Statistics, read_statistics


class KeptStatistics(BaseDataModule):
    """Base class of data modules that normalize by statistics of their own."""

    _statistics: Statistics | None
    #: What to do about a checkpoint without statistics.
    _advice = 'Train with a data module of this package.'

    @abstractmethod
    def normalization(self) -> Statistics:
        """Return the statistics, computed the first time."""

    @abstractmethod
    def _use(self, statistics: Statistics) -> None:
        """Take statistics, and make what normalizes by them."""

    def _checkpointed(self) -> Statistics | None:
        """Return the statistics of the checkpoint that is used, if one is."""
        trainer: Any = self.trainer
        path = getattr(trainer, 'ckpt_path', None)
        if path is None or trainer.state.fn == 'fit':
            return None
        # Lightning hands over the state of a data module of the same class only
        found = read_statistics(path)
        if found is None:
            raise MetadataError(
                f'{path} keeps no band statistics, and others than those of its '
                f'training would make its predictions wrong. {self._advice}'
            )
        return found

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Normalize a batch on the device, and augment it in training.

        Args:
            batch: The batch.
            dataloader_idx: Index of the data loader.

        Returns:
            A new batch.
        """
        self.normalization()
        result: Sample = super().on_after_batch_transfer(batch, dataloader_idx)
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the statistics.

        Returns:
            Mean and standard deviation of each band, if they are known.
        """
        return {} if self._statistics is None else self._statistics._asdict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the statistics of a checkpoint.

        Args:
            state_dict: What :meth:`state_dict` returned.
        """
        if state_dict:
            mean, std = (torch.as_tensor(state_dict[k]) for k in ('mean', 'std'))
            self._use(Statistics(mean, std))
