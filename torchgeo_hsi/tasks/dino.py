# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Self-distillation without labels over crops of several sizes."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from lightly.loss import DINOLoss
from lightly.models.utils import deactivate_requires_grad
from torch import Tensor, nn
from torch.optim import Optimizer
from torchvision.models._api import WeightsEnum

from .._precision import full_precision
from .._typing import Sample
from ..models.backbones._features import is_vit, make_backbone, network_of
from ..transforms import MultiView, dino_views
from ._prototype_head import PrototypeHead
from ._recipes import OptimizerName, Recipe, ScheduleName
from ._self_supervised import SelfSupervisedTask, num_features
from ._steps import check_shares, check_views

#: What the published small crops are of the large ones, 48 of 128 pixels.
_LOCAL_SHARE = 3 / 8


class HSIDINO(SelfSupervisedTask):
    """DINO as SpectralEarth pretrains with it.

    A student learns to say of all crops of a place what a slowly following copy of it,
    the teacher, says of the two large ones. Where a batch has two dates, each of them is
    one of these. The defaults are those of the paper.

    In contrast to the published code, the teacher slows down over the steps of the whole
    training. Crops of one size go through the network in one batch. Head and loss are
    computed in float32, also in mixed precision. The center does not move in validation.
    Networks with batch normalization need ``trainer.sync_batchnorm: true`` on several
    devices to learn what one would learn from all images.

    If you use this task in your research, please cite the following papers:

    * https://arxiv.org/abs/2104.14294
    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> task = HSIDINO('spec_vit_tiny', size=32, local_size=16, local_views=4)
        >>> task.criterion.center.shape
        torch.Size([1, 1, 32768])
    """

    def __init__(
        self,
        model: str = 'spec_vit_small',
        model_kwargs: dict[str, Any] | None = None,
        weights: WeightsEnum | str | None = None,
        in_channels: int = 202,
        size: int = 128,
        local_size: int | None = None,
        local_views: int = 0,
        hidden_dim: int = 2048,
        bottleneck_dim: int = 256,
        output_dim: int = 32_768,
        batch_norm: bool = False,
        norm_last_layer: bool = True,
        freeze_last_layer: int = 1,
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        warmup_teacher_temp: float = 0.04,
        warmup_teacher_temp_epochs: int = 10,
        center_momentum: float = 0.9,
        teacher_momentum: float = 0.996,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'adamw',
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        schedule: ScheduleName = 'cosine',
        warmup_epochs: float = 20.0,
        scale_lr: bool = True,
        predict: Literal['image', 'pixels'] = 'image',
    ) -> None:
        """Initialize a new HSIDINO instance.

        Args:
            model: Name of a backbone in timm.
            model_kwargs: More arguments of the backbone. Where they drop something at
                random, the teacher does not.
            weights: Published weights of SpectralEarth to start from.
            in_channels: Number of bands of one date.
            size: Height and width of the two large crops in pixels.
            local_size: Height and width of the small crops, a multiple of the patches
                of a vision transformer; 3/8 of *size* by default.
            local_views: Number of small crops.
            hidden_dim: Width of the head.
            bottleneck_dim: Number of features in front of the prototypes.
            output_dim: Number of prototypes.
            batch_norm: Whether the head has batch normalizations.
            norm_last_layer: Whether prototypes keep the length 1.
            freeze_last_layer: Epochs in which the prototypes do not learn.
            student_temp: What the logits of the student are divided by.
            teacher_temp: What those of the teacher are divided by.
            warmup_teacher_temp: The same in the first epoch.
            warmup_teacher_temp_epochs: Epochs from there to *teacher_temp*.
            center_momentum: How much of the center of the teacher's logits stays in
                each batch.
            teacher_momentum: How much of the teacher stays in the first step; 1 at the
                end.
            views: Other views; the first two are what the teacher sees.
            optimizer: ``'adamw'``, ``'sgd'`` or ``'lars'``.
            lr: Learning rate for 256 images.
            weight_decay: Weight decay, except of biases and normalizations.
            schedule: ``'cosine'`` falls to 0.
            warmup_epochs: Epochs in which the learning rate rises.
            scale_lr: Whether the learning rate grows with the number of images of all
                processes and added gradients.
            predict: Whether to predict features of images or of pixels.

        Raises:
            BandMismatchError: If the backbone cannot take so few bands.
            ValueError: If a number is out of its range.
        """
        for name, value in (('student', student_temp), ('teacher', teacher_temp)):
            if not value > 0:
                raise ValueError(f'Expected a positive {name}_temp, got {value}.')
        check_shares(teacher_momentum=teacher_momentum, center_momentum=center_momentum)
        self.weights = weights
        self.recipe = Recipe(
            optimizer, lr, weight_decay, schedule, warmup_epochs, scale_lr=scale_lr
        )
        super().__init__()
        chosen = dino_views(size, local_size=local_size, local_views=local_views)
        self.views = chosen if views is None else views

    def build_backbone(self) -> nn.Module:
        """Build the student; small crops need a transformer for images of any size.

        Returns:
            The backbone, without a head.

        Raises:
            ValueError: If it cannot take small crops.
        """
        backbone = super().build_backbone()
        if not self.hparams['local_views'] or not is_vit(backbone):
            return backbone
        size: int = self.hparams['size']
        side: int = self.hparams['local_size'] or round(_LOCAL_SHARE * size)
        patch = network_of(backbone).patch_embed.patch_size[0]
        if side % patch:
            raise ValueError(
                f'Expected a local_size that is a multiple of the patches of {patch} '
                f'pixels, got {side}.'
            )
        if not getattr(network_of(backbone), 'dynamic_img_size', False):
            words = {**(self.hparams['model_kwargs'] or {}), 'dynamic_img_size': True}
            self.hparams['model_kwargs'] = words
            backbone = super().build_backbone()
        return backbone

    def configure_models(self) -> None:
        """Build the student, and its copy, the teacher."""
        hparams = self.hparams
        self.backbone = self.build_backbone()
        # what is dropped at random would be noise in what the student has to learn
        words = hparams['model_kwargs'] or {}
        steady = {k: v for k, v in words.items() if 'drop' not in k}
        self.teacher_backbone: nn.Module = make_backbone(
            hparams['model'], hparams['in_channels'], steady
        )
        self.student_head, self.teacher_head = (
            PrototypeHead(
                num_features(self.backbone),
                hparams['hidden_dim'],
                hparams['bottleneck_dim'],
                hparams['output_dim'],
                hparams['batch_norm'],
                hparams['norm_last_layer'],
            )
            for _ in range(2)
        )
        for network, teacher in self.teachers():
            teacher.load_state_dict(network.state_dict())
            deactivate_requires_grad(teacher)

    def configure_losses(self) -> None:
        """Build the loss, with the center."""
        hparams = self.hparams
        self.criterion = _SteadyDINOLoss(
            hparams['output_dim'],
            hparams['warmup_teacher_temp'],
            hparams['teacher_temp'],
            hparams['warmup_teacher_temp_epochs'],
            hparams['student_temp'],
            hparams['center_momentum'],
        )

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """List the parts of the student, and those of the teacher that follow them."""
        return (
            (self.backbone, self.teacher_backbone),
            (self.student_head, self.teacher_head),
        )

    def momentum(self) -> float:
        """Return how much of the teacher stays: more and more, up to 1."""
        return self._rising_momentum(self.hparams['teacher_momentum'])

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compute the loss of the crops of each image.

        Args:
            views: Batches with the same images in the same order: the two large crops,
                and any number of small ones.
            learn: Whether the center may move.

        Returns:
            The loss, and the features of the first crops of shape ``(B, F)``.

        Raises:
            ValueError: If there are less than two views.
        """
        check_views(views)
        features = self._features(self.backbone, views)
        student = self.student_head(torch.cat(features))
        with torch.no_grad():
            seen = self._features(self.teacher_backbone, views[:2])
            teacher = self.teacher_head(torch.cat(seen))
        dtype = torch.promote_types(student.dtype, torch.float32)
        with full_precision(student.device):
            loss: Tensor = self.criterion(
                list(teacher.to(dtype).chunk(2)),
                list(student.to(dtype).chunk(len(views))),
                epoch=self.current_epoch,
                learn=learn,
            )
        return loss, features[0]

    def _features(self, network: nn.Module, views: Sequence[Sample]) -> list[Tensor]:
        """Compute features of views, in one batch for each size."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, view in enumerate(views):
            groups.setdefault(tuple(view['image'].shape[1:]), []).append(number)
        found: dict[int, Tensor] = {}
        for members in groups.values():
            joined = _join([views[number] for number in members])
            parts = self.encode(network, joined).chunk(len(members))
            found.update(zip(members, parts, strict=True))
        return [found[number] for number in range(len(views))]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Keep the prototypes as they are in the first epochs.

        Args:
            optimizer: The optimizer.
        """
        if self.current_epoch < self.hparams['freeze_last_layer']:
            for parameter in self.student_head.last_layer.parameters():
                parameter.grad = None


class _SteadyDINOLoss(DINOLoss):  # type: ignore[misc]
    """lightly's loss, whose center moves only while something is learned."""

    _learns = True

    def forward(self, *args: Any, learn: bool = True, **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            *args: As for lightly.
            learn: Whether the center may move.
            **kwargs: As for lightly.

        Returns:
            The loss.
        """
        self._learns = learn
        return cast(Tensor, super().forward(*args, **kwargs))

    def update_center(self, teacher_out: Tensor) -> None:
        """Move the center.

        Args:
            teacher_out: Logits of the teacher of shape ``(V, B, K)``.
        """
        if self._learns:
            super().update_center(teacher_out)


def _join(views: Sequence[Sample]) -> Sample:
    """Make one batch of views of one size."""
    joined = {'image': torch.cat([view['image'] for view in views])}
    for key in ('wavelength', 'fwhm'):
        if key in views[0]:
            # the bands of all images of a batch may be written down once
            rows = [
                view[key].expand(len(view['image']), *view[key].shape[-1:])
                for view in views
            ]
            joined[key] = torch.cat(rows)
    return joined
