# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Regression of numbers that belong to whole images."""

from typing import Any, Literal

from torch import nn
from torchgeo.tasks import Regression
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection
from torchmetrics.wrappers import ClasswiseWrapper
from torchvision.models._api import WeightsEnum

from ..losses import KnownTargets, NormalizedMSELoss
from ..metrics import HyperviewScore
from ._protocols import Protocol, ProtocolMixin, Schedule, build_classifier, check_names


class _KnownMetrics(MetricCollection):
    """Metrics over the samples that have all of their targets."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        prediction, target = args
        known = target.isfinite().all(dim=1)
        if known.any():
            super().update(prediction[known], target[known])

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        # nobody reads the values of single batches
        self.update(*args)
        return {}


class HSIRegression(ProtocolMixin, Regression):
    """Regression with any backbone of timm, such as soil properties from Hyperview.

    In contrast to torchgeo's :class:`~torchgeo.tasks.Regression` it has the protocols
    of SpectralEarth, keeps what is frozen in evaluation mode, skips samples with a NaN
    among their targets, and logs the normalized score of the Hyperview challenge.

    If you use this task in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451
    """

    def __init__(
        self,
        backbone: str = 'spec_vit_small',
        head: Literal['linear', 'mlp'] = 'mlp',
        pool: Literal['token', 'avg'] | None = None,
        in_channels: int = 150,
        num_outputs: int = 4,
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        loss: Literal['normalized_mse', 'mse', 'mae'] = 'normalized_mse',
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        schedule: Schedule = 'onecycle',
        weights: WeightsEnum | str | None = None,
        protocol: Protocol = 'full',
        num_blocks: int | None = None,
        lora_rank: int = 8,
    ) -> None:
        """Initialize a new HSIRegression instance.

        Args:
            backbone: Name of a model in timm.
            head: ``'linear'`` or ``'mlp'``.
            pool: Class token of a vision transformer (``'token'``), or average of the
                others (``'avg'``, which suits weights of masked autoencoders); by
                default what the backbone does.
            in_channels: Number of bands.
            num_outputs: Number of targets, standardized.
            backbone_kwargs: More arguments of the backbone.
            head_kwargs: More arguments of the head.
            labels: Names of the targets, used in the names of the metrics.
            loss: Squared error over that of guessing the mean (``'normalized_mse'``, as
                published), squared error (``'mse'``) or absolute error (``'mae'``).
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises (one cycle).
            schedule: ``'onecycle'`` or ``'cosine'``, see :class:`HSISegmentation`.
            weights: File, or entry, of weights of SpectralEarth for the backbone.
            protocol: What of the backbone learns, see :class:`HSISegmentation`.
            num_blocks: How many blocks learn with ``'first_blocks'``.
            lora_rank: Rank of the matrices of ``'lora'``.

        Raises:
            BandMismatchError: If the backbone has no spectral adapter for the weights
                or the protocol.
            ImportError: If peft is not installed for ``'lora'``.
            ValueError: If there is no such loss, or an option does not fit the backbone.
        """
        if loss not in ('normalized_mse', 'mse', 'mae'):
            raise ValueError(
                f"Expected the loss 'normalized_mse', 'mse' or 'mae', got {loss!r}."
            )
        check_names(labels, num_outputs, least=1)
        super().__init__(weights=weights)

    def configure_models(self) -> None:
        """Build the model."""
        self.model = build_classifier(self.hparams, self.hparams['num_outputs'])
        self.prepare_backbone()

    def configure_losses(self) -> None:
        """Build the loss."""
        kind = self.hparams['loss']
        self.criterion: nn.Module = (
            NormalizedMSELoss() if kind == 'normalized_mse' else KnownTargets(kind)
        )

    def configure_metrics(self) -> None:
        """Build the metrics: errors of each target and of all, and the score."""
        count: int = self.hparams['num_outputs']

        def each(metric: Metric, name: str) -> ClasswiseWrapper:
            return ClasswiseWrapper(metric, self.hparams['labels'], prefix=f'{name}_')

        metrics: dict[str, Metric | MetricCollection] = {
            'RMSE': MeanSquaredError(squared=False),
            'MSE': MeanSquaredError(),
            'MAE': MeanAbsoluteError(),
            'HyperviewScore': HyperviewScore(count),
        }
        if count > 1:
            metrics |= {
                'EachRMSE': each(MeanSquaredError(False, num_outputs=count), 'RMSE'),
                'EachMSE': each(MeanSquaredError(num_outputs=count), 'MSE'),
                'EachMAE': each(MeanAbsoluteError(num_outputs=count), 'MAE'),
            }
        collection = _KnownMetrics(metrics)
        self.train_metrics = collection.clone(prefix='train_')
        self.val_metrics = collection.clone(prefix='val_')
        self.test_metrics = collection.clone(prefix='test_')
