# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Momentum contrast of two views, or of two dates, of a place."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightly.models.modules import MoCoProjectionHead
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from .._typing import Sample
from ..losses.queue_contrast import QueueContrastLoss
from ..transforms import MultiView, moco_views
from ._recipes import OptimizerName, Recipe, ScheduleName
from ._self_supervised import SelfSupervisedTask, num_features
from ._steps import check_shares, check_views, slow_copy


class HSIMoCo(SelfSupervisedTask):
    """MoCo v2 as SpectralEarth pretrains with it.

    A network finds the key of a place, which a slowly following copy of it computes from
    another view, among the keys of other places in a queue. Where a batch has two dates,
    one is the query and the other one the key. The defaults are those of the paper.

    In contrast to torchgeo's :class:`~torchgeo.tasks.MoCo`, the network that follows
    starts as a copy and moves once for each step of the optimizer, the keys of all
    processes enter the queue, and checkpoints hold the queue, so that a training that
    goes on is the same as one that never stopped.

    Keys are not shuffled among processes, as published: batch normalization would let
    the network recognize the images of its process. Train with
    ``trainer.sync_batchnorm: true`` on several devices, where each image counts in the
    statistics of all of them. Networks that normalize by layers have no such trouble
    with ``batch_norm=False``. Mixed precision is fine; where the weights themselves have
    half precision, a copy that moves by a thousandth stands still.

    If you use this task in your research, please cite the following papers:

    * https://arxiv.org/abs/2003.04297
    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> task = HSIMoCo('spec_vit_tiny', in_channels=202, size=32, queue_size=256)
        >>> task.criterion.queue.shape
        torch.Size([256, 128])
    """

    def __init__(
        self,
        model: str = 'spec_vit_small',
        model_kwargs: dict[str, Any] | None = None,
        weights: WeightsEnum | str | None = None,
        in_channels: int = 202,
        size: int = 128,
        layers: int = 2,
        hidden_dim: int = 2048,
        output_dim: int = 128,
        batch_norm: bool = True,
        temperature: float = 0.1,
        queue_size: int = 32_768,
        teacher_momentum: float = 0.999,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'sgd',
        lr: float = 0.03,
        weight_decay: float = 1e-4,
        schedule: ScheduleName = 'steps',
        warmup_epochs: float = 0.0,
        milestones: Sequence[int] = (60, 80),
        scale_lr: bool = True,
        predict: Literal['image', 'pixels'] = 'image',
    ) -> None:
        """Initialize a new HSIMoCo instance.

        Args:
            model: Name of a backbone in timm.
            model_kwargs: More arguments of the backbone.
            weights: Published weights of SpectralEarth to start from.
            in_channels: Number of bands of one date.
            size: Height and width of the crops in pixels.
            layers: Layers of the projection head.
            hidden_dim: Their width.
            output_dim: Number of features that are compared.
            batch_norm: Whether each of these layers is followed by a batch
                normalization.
            temperature: What cosines are divided by.
            queue_size: Number of keys that are not the right one.
            teacher_momentum: How much of the network that computes the keys stays in
                each step.
            views: Other views than crops, flips and blur; two of them.
            optimizer: ``'sgd'``, ``'adamw'`` or ``'lars'``.
            lr: Learning rate for 256 images.
            weight_decay: Weight decay, of all parameters.
            schedule: ``'steps'`` falls by ten at *milestones*; ``'cosine'`` to 0.
            warmup_epochs: Epochs in which the learning rate rises.
            milestones: Epochs at which ``'steps'`` falls.
            scale_lr: Whether the learning rate grows with the number of images of all
                processes and added gradients.
            predict: Whether to predict features of images or of pixels.

        Raises:
            BandMismatchError: If the backbone cannot take so few bands.
            ValueError: If a number is out of its range.
        """
        check_shares(teacher_momentum=teacher_momentum)
        self.weights = weights
        self.recipe = Recipe(
            optimizer,
            lr,
            weight_decay,
            schedule,
            warmup_epochs,
            milestones,
            scale_lr=scale_lr,
            decay_all=True,
        )
        super().__init__()
        self.views = moco_views(size) if views is None else views

    def configure_models(self) -> None:
        """Build the network of the queries, and its copy for the keys."""
        self.backbone = self.build_backbone()
        self.projection_head: nn.Module = MoCoProjectionHead(
            num_features(self.backbone),
            self.hparams['hidden_dim'],
            self.hparams['output_dim'],
            self.hparams['layers'],
            batch_norm=self.hparams['batch_norm'],
        )
        self.backbone_momentum = slow_copy(self.backbone)
        self.projection_head_momentum = slow_copy(self.projection_head)

    def configure_losses(self) -> None:
        """Build the loss, with its queue."""
        self.criterion = QueueContrastLoss(
            self.hparams['queue_size'],
            self.hparams['output_dim'],
            self.hparams['temperature'],
        )

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """List the networks of the queries, and those of the keys that follow them."""
        return (
            (self.backbone, self.backbone_momentum),
            (self.projection_head, self.projection_head_momentum),
        )

    def momentum(self) -> float:
        """Return how much of the network of the keys stays: always the same."""
        kept: float = self.hparams['teacher_momentum']
        return kept

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compute the loss of a query and a key of each image.

        Args:
            views: Two batches with the same images in the same order.
            learn: Whether the keys enter the queue.

        Returns:
            The loss, and the features of the queries of shape ``(B, F)``.

        Raises:
            ValueError: If there are not two views.
        """
        check_views(views, 2)
        features = self.encode(self.backbone, views[0])
        query = self.projection_head(features)
        with torch.no_grad():
            key = self.encode(self.backbone_momentum, views[1])
            key = self.projection_head_momentum(key)
        return self.criterion(query, key, update=learn), features
