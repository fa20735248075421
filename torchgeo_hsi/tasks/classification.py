# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classification of whole images, into one class or several."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from torchgeo.tasks import Classification
from torchmetrics import Metric
from torchmetrics.wrappers import ClasswiseWrapper
from torchvision.models._api import WeightsEnum

from ..losses import MaskedBinaryCrossEntropy, MaskedCrossEntropy
from ..metrics import KnownAveragePrecision
from ._protocols import Protocol, ProtocolMixin, Schedule, build_classifier, check_names

#: The loss of each kind of classification.
_LOSSES = {'multiclass': 'ce', 'multilabel': 'bce'}


class HSIClassification(ProtocolMixin, Classification):
    """Classification of images with any backbone of timm.

    In contrast to torchgeo's :class:`~torchgeo.tasks.Classification` it has the
    protocols of SpectralEarth, keeps what is frozen in evaluation mode, pools vision
    transformers in both ways, skips unknown labels, and logs average precision:
    ``AverageAveragePrecision`` is its mean over the classes, mAP.

    If you use this task in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451
    """

    def __init__(
        self,
        backbone: str = 'spec_vit_small',
        head: Literal['linear', 'mlp'] = 'linear',
        pool: Literal['token', 'avg'] | None = None,
        in_channels: int = 202,
        num_classes: int = 2,
        task: Literal['multiclass', 'multilabel'] = 'multiclass',
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        loss: Literal['ce', 'bce'] | None = None,
        class_weights: Sequence[float] | None = None,
        ignore_index: int | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        schedule: Schedule = 'onecycle',
        weights: WeightsEnum | str | None = None,
        protocol: Protocol = 'full',
        num_blocks: int | None = None,
        lora_rank: int = 8,
    ) -> None:
        """Initialize a new HSIClassification instance.

        Args:
            backbone: Name of a model in timm.
            head: ``'linear'`` or ``'mlp'``.
            pool: Class token of a vision transformer (``'token'``), or average of the
                others (``'avg'``, which suits weights of masked autoencoders); by
                default what the backbone does.
            in_channels: Number of bands.
            num_classes: Number of classes, or of labels.
            task: Whether images have one class or several.
            backbone_kwargs: More arguments of the backbone.
            head_kwargs: More arguments of the head.
            labels: Class names, used in the names of the class-wise metrics.
            loss: Cross-entropy (``'ce'``) for one class, binary cross-entropy
                (``'bce'``) for several: the default.
            class_weights: Weight of each class, or of the presence of each label.
            ignore_index: Class of images, or value of labels, that count neither in
                loss nor in metrics.
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
            ValueError: If there are fewer than two classes, the loss is for another
                kind of task, or an option does not fit the backbone.
        """
        if task not in _LOSSES or loss not in (None, _LOSSES[task]):
            raise ValueError(
                "Expected task='multiclass' with loss='ce', or task='multilabel' with "
                f"loss='bce', got {task!r} and {loss!r}."
            )
        check_names(labels, num_classes, least=2)
        super().__init__(weights=weights)

    def configure_models(self) -> None:
        """Build the model."""
        multilabel = self.hparams['task'] == 'multilabel'
        # Lightning keeps the arguments of this class only; torchgeo reads its own, too
        self.hparams.update(
            loss=_LOSSES[self.hparams['task']],
            num_labels=self.hparams['num_classes'] if multilabel else None,
        )
        self.model = build_classifier(self.hparams, self.hparams['num_classes'])
        self.prepare_backbone()

    def configure_losses(self) -> None:
        """Build the loss."""
        weights = self.hparams['class_weights']
        weights = None if weights is None else torch.tensor(weights).float()
        ignore_index: int | None = self.hparams['ignore_index']
        self.criterion: nn.Module
        if self.hparams['loss'] == 'bce':
            self.criterion = MaskedBinaryCrossEntropy(weights, ignore_index)
        else:
            # a value that no class has
            ignored = -1000 if ignore_index is None else ignore_index
            self.criterion = MaskedCrossEntropy(weights, ignore_index=ignored)

    def configure_metrics(self) -> None:
        """Build the metrics: torchgeo's, and average precision."""
        super().configure_metrics()
        words = {k: self.hparams[k] for k in ('num_classes', 'task', 'ignore_index')}

        def precision(average: Any) -> KnownAveragePrecision:
            return KnownAveragePrecision(average=average, **words)

        metrics: dict[str, Metric] = {
            'AverageAveragePrecision': precision('macro'),
            'AveragePrecision': ClasswiseWrapper(
                precision('none'),
                labels=self.hparams['labels'],
                prefix='ClasswiseAveragePrecision_',
            ),
        }
        if self.hparams['task'] == 'multilabel':
            metrics['OverallAveragePrecision'] = precision('micro')
        for collection in (self.train_metrics, self.val_metrics, self.test_metrics):
            collection.add_metrics({k: m.clone() for k, m in metrics.items()})
