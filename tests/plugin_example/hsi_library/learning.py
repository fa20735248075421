# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A network for single spectra, with its loss, metric and task."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchgeo.tasks import BaseTask
from torchmetrics import Metric

from torchgeo_hsi.models import get_model


def library_mlp(
    in_channels: int = 11, num_classes: int = 3, hidden: int = 32
) -> nn.Module:
    """Build a network with one hidden layer.

    Args:
        in_channels: Bands of a spectrum.
        num_classes: Number of classes.
        hidden: Width of the hidden layer.

    Returns:
        A network from ``(B, C, 1, 1)`` to ``(B, num_classes)``.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_channels, hidden),
        nn.GELU(),
        nn.Linear(hidden, num_classes),
    )


class LibraryCosineLoss(nn.Module):
    """One minus the cosine between the scores and the true class.

    * https://arxiv.org/abs/1901.09054
    """

    def forward(self, scores: Tensor, label: Tensor) -> Tensor:
        """Compare scores ``(B, K)`` with labels ``(B,)``."""
        target = F.one_hot(label, scores.shape[1]).to(scores)
        return 1 - F.cosine_similarity(scores, target).mean()


class LibraryWorstRecall(Metric):
    """Recall of the class that is recognized worst."""

    right: Tensor
    total: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        """Initialize a new LibraryWorstRecall instance.

        Args:
            num_classes: Number of classes.
            **kwargs: Options of :class:`torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        zeros = torch.zeros(num_classes)
        self.add_state('right', zeros.clone(), dist_reduce_fx='sum')
        self.add_state('total', zeros.clone(), dist_reduce_fx='sum')

    def update(self, scores: Tensor, label: Tensor) -> None:
        """Add scores ``(B, K)`` and labels ``(B,)``."""
        count = len(self.total)
        self.total += torch.bincount(label, minlength=count)
        hit = label[scores.argmax(1) == label]
        self.right += torch.bincount(hit, minlength=count)

    def compute(self) -> Tensor:
        """Return the smallest recall among the classes that occurred."""
        seen = self.total > 0
        return (self.right[seen] / self.total[seen]).min()


class LibraryClassification(BaseTask):
    """Classify spectra."""

    def __init__(
        self,
        model: str = 'library_mlp',
        in_channels: int = 11,
        num_classes: int = 3,
        lr: float = 1e-2,
        patience: int = 5,
    ) -> None:
        """Initialize a new LibraryClassification instance.

        Args:
            model: Name of a model that ``get_model`` knows.
            in_channels: Bands of a spectrum.
            num_classes: Number of classes.
            lr: Learning rate.
            patience: Epochs without progress before the rate falls.
        """
        super().__init__()

    def configure_models(self) -> None:
        """Build the network."""
        self.model = get_model(
            self.hparams['model'],
            in_channels=self.hparams['in_channels'],
            num_classes=self.hparams['num_classes'],
        )

    def configure_losses(self) -> None:
        """Build the loss."""
        self.criterion = LibraryCosineLoss()

    def configure_metrics(self) -> None:
        """Build the metric."""
        self.val_metric = LibraryWorstRecall(self.hparams['num_classes'])

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss: Tensor = self.criterion(self(batch['image']), batch['label'])
        self.log('train_loss', loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the loss and the metric of a batch."""
        scores = self(batch['image'])
        self.val_metric(scores, batch['label'])
        self.log('val_loss', self.criterion(scores, batch['label']))
        self.log('val_worst_recall', self.val_metric)
