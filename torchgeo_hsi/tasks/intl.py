# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Alignment of whitened embeddings of views."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightly.models.modules.heads import ProjectionHead
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from .._typing import Sample
from ..losses.intl import INTLLoss
from ..transforms import MultiView, intl_views
from ._recipes import OptimizerName, Recipe, ScheduleName
from ._self_supervised import SelfSupervisedTask, num_features
from ._steps import check_shares, check_views, slow_copy

#: Share of the learning rate that the published schedule ends with.
_LR_END = 1e-3


class INTL(SelfSupervisedTask):
    """Iterative normalization with trace loss, on spectra.

    Embeddings of views of a place are whitened in part by a few steps of Newton's
    iteration and brought together, while a loss of their variances keeps them from
    collapsing; there are no negatives, queues or predictors. Where a batch has two
    dates, the first two views show one each. Loss, schedule and projector are those of
    the paper, views those that make sense for spectra.

    Embeddings of all processes are whitened together, so several processes learn what
    one would from the whole batch. Networks with batch normalization need
    ``trainer.sync_batchnorm: true`` for that. Gradients that are added up do not make
    the batch larger that is whitened.

    With *ema*, a slowly following copy of the network computes the embedding of the first
    view, and all others are compared with it.

    If you use this task in your research, please cite the following paper:

    * https://arxiv.org/abs/2305.16789

    Example:
        >>> task = INTL('spec_vit_tiny', in_channels=202, size=32, output_dim=512)
        >>> task.projector(torch.zeros(2, 192)).shape
        torch.Size([2, 512])
    """

    def __init__(
        self,
        model: str = 'spec_vit_small',
        model_kwargs: dict[str, Any] | None = None,
        weights: WeightsEnum | str | None = None,
        in_channels: int = 202,
        size: int = 128,
        multi_crop: bool = False,
        layers: int = 3,
        hidden_dim: int = 2048,
        output_dim: int = 2048,
        batch_norm: bool = True,
        axis: Literal['channels', 'batch'] = 'channels',
        iterations: int = 4,
        trace_weight: float | Literal['auto'] = 'auto',
        ema: bool = False,
        teacher_momentum: float = 0.996,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'sgd',
        lr: float = 0.3,
        weight_decay: float = 1e-5,
        schedule: ScheduleName = 'cosine',
        warmup_epochs: float = 2.0,
        scale_lr: bool = True,
        predict: Literal['image', 'pixels'] = 'image',
    ) -> None:
        """Initialize a new INTL instance.

        Args:
            model: Name of a backbone in timm.
            model_kwargs: More arguments of the backbone.
            weights: Published weights of SpectralEarth to start from.
            in_channels: Number of bands of one date.
            size: Height and width of the first crops in pixels.
            multi_crop: Whether to add four smaller crops of smaller areas, see
                :func:`~torchgeo_hsi.transforms.intl_views`. The backbone has to take
                images of any size.
            layers: Layers of the projector.
            hidden_dim: Their width; 8192 in the paper for ImageNet, 2048 for CIFAR.
            output_dim: Number of features of the embedding, the same in the paper. For
                ``axis='channels'`` it has to be larger than the batch of all processes,
                for ``axis='batch'`` smaller.
            batch_norm: Whether the layers of the projector but the last are followed by
                a batch normalization.
            axis: Whether to whiten samples over the channels (published), or features
                over the batch.
            iterations: Iterations of the whitening; see
                :class:`~torchgeo_hsi.losses.INTLLoss`.
            trace_weight: Weight of the trace loss; ``'auto'`` is the published rule.
            ema: Whether a moving average of the network embeds the first view.
            teacher_momentum: How much of that average stays in the first step; 1 at the
                end.
            views: Other views; the first is what all others are compared with.
            optimizer: ``'sgd'``, ``'adamw'`` or ``'lars'``.
            lr: Learning rate for 256 images.
            weight_decay: Weight decay, except of biases and normalizations.
            schedule: ``'cosine'`` falls to a thousandth.
            warmup_epochs: Epochs in which the learning rate rises.
            scale_lr: Whether the learning rate grows with the number of images of all
                processes and added gradients.
            predict: Whether to predict features of images or of pixels.

        Raises:
            BandMismatchError: If the backbone cannot take so few bands.
            ValueError: If a number is out of its range.
        """
        if layers < 1:
            raise ValueError(f'Expected 1 or more layers, got {layers}.')
        check_shares(teacher_momentum=teacher_momentum)
        self.weights = weights
        self.recipe = Recipe(
            optimizer,
            lr,
            weight_decay,
            schedule,
            warmup_epochs,
            lr_end=_LR_END,
            scale_lr=scale_lr,
        )
        super().__init__()
        self.views = intl_views(size, multi_crop) if views is None else views

    def configure_models(self) -> None:
        """Build the network, and with *ema* its copy."""
        hparams = self.hparams
        self.backbone = self.build_backbone()
        self.projector = _projector(
            num_features(self.backbone),
            hparams['hidden_dim'],
            hparams['output_dim'],
            hparams['layers'],
            hparams['batch_norm'],
        )
        if hparams['ema']:
            self.backbone_momentum = slow_copy(self.backbone)
            self.projector_momentum = slow_copy(self.projector)

    def configure_losses(self) -> None:
        """Build the loss."""
        self.criterion = INTLLoss(
            self.hparams['axis'],
            self.hparams['iterations'],
            self.hparams['trace_weight'],
        )

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """List the networks, and those that follow them with *ema*."""
        if not self.hparams['ema']:
            return ()
        return (
            (self.backbone, self.backbone_momentum),
            (self.projector, self.projector_momentum),
        )

    def momentum(self) -> float:
        """Return how much of the moving average stays: more and more, up to 1."""
        return self._rising_momentum(self.hparams['teacher_momentum'])

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compute the loss of views of each image.

        Args:
            views: Two or more batches with the same images in the same order.
            learn: Has no effect.

        Returns:
            The loss, and the features of shape ``(B, F)`` of a view.

        Raises:
            ValueError: If there are less than two views.
        """
        check_views(views)
        target = None
        if self.hparams['ema']:
            with torch.no_grad():
                seen = self.encode(self.backbone_momentum, views[0])
                target = self.projector_momentum(seen)
            views = views[1:]
        # one by one, as published: each crop has its own statistics in normalizations
        features = [self.encode(self.backbone, view) for view in views]
        loss: Tensor = self.criterion([self.projector(f) for f in features], target)
        return loss, features[0]

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss.

        Args:
            batch: A batch of images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.
        """
        loss = super().training_step(batch, batch_idx, dataloader_idx)
        for name, value in self.criterion.terms.items():
            self.log(f'train_{name}', value, batch_size=len(batch['image']))
        return loss

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute the loss of validation data; nothing is learned from them.

        A remainder of one image has nothing to be whitened with, and is left out.

        Args:
            batch: A batch of images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        if len(batch['image']) > 1:
            super().validation_step(batch, batch_idx, dataloader_idx)


def _projector(
    inputs: int, hidden: int, outputs: int, layers: int, batch_norm: bool
) -> nn.Module:
    """Build the published projector: only its last layer has a bias beside a norm."""
    widths = [inputs, *[hidden] * (layers - 1)]
    blocks: list[tuple[int, int, nn.Module | None, nn.Module | None]] = [
        (width, hidden, nn.BatchNorm1d(hidden) if batch_norm else None, nn.ReLU())
        for width in widths[:-1]
    ]
    head: nn.Module = ProjectionHead([*blocks, (widths[-1], outputs, None, None)])
    return head
