# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The plain training loops that pretraining_speed.py compares with.

Those of MoCo, DINO and MAE are the examples in lightly's documentation, with the sizes of
our defaults. lightly has no INTL: its loop is the official formula, written down plainly.
"""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import timm
import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss, NTXentLoss
from lightly.models.modules import DINOProjectionHead, MoCoProjectionHead
from lightly.models.modules.heads import ProjectionHead
from lightly.models.modules.masked_autoencoder_timm import MAEDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import (
    MaskedVisionTransformerTIMM,
)
from lightly.models.utils import (
    deactivate_requires_grad,
    get_at_index,
    patchify,
    random_token_mask,
    repeat_token,
    set_at_index,
    update_momentum,
)
from torch import Tensor, nn

#: Arguments of the backbone.
type Words = dict[str, Any]


def make_backbone(words: Words, bands: int) -> Any:
    """Build the backbone of all loops."""
    return timm.create_model('spec_vit_tiny', in_chans=bands, num_classes=0, **words)


class MoCoLoop(nn.Module):
    """lightly's example of MoCo v2."""

    def __init__(self, words: Words, bands: int) -> None:
        """Initialize a new MoCoLoop instance."""
        super().__init__()
        self.backbone = make_backbone(words, bands)
        width = self.backbone.num_features
        self.projection_head = MoCoProjectionHead(width, 2048, 128)
        self.backbone_momentum = deepcopy(self.backbone)
        self.projection_head_momentum = deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)
        self.criterion = NTXentLoss(temperature=0.1, memory_bank_size=(32_768, 128))
        self.optimizer = torch.optim.SGD(
            _learning(self), lr=0.03, momentum=0.9, weight_decay=1e-4
        )

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss of two views."""
        update_momentum(self.backbone, self.backbone_momentum, m=0.999)
        update_momentum(self.projection_head, self.projection_head_momentum, m=0.999)
        query = self.projection_head(self.backbone(views[0]).flatten(start_dim=1))
        with torch.no_grad():
            key = self.backbone_momentum(views[1]).flatten(start_dim=1)
            key = self.projection_head_momentum(key).detach()
        found: Tensor = self.criterion(query, key)
        return found


class DINOLoop(nn.Module):
    """lightly's example of DINO."""

    def __init__(self, words: Words, bands: int) -> None:
        """Initialize a new DINOLoop instance."""
        super().__init__()
        self.student = make_backbone(words, bands)
        width = self.student.num_features
        sizes = (width, 2048, 256, 32_768)
        with warnings.catch_warnings():
            # of weight_norm, which its last layer is made by
            warnings.simplefilter('ignore')
            self.student_head = DINOProjectionHead(*sizes, freeze_last_layer=1)
            self.teacher_head = DINOProjectionHead(*sizes)
        self.teacher = deepcopy(self.student)
        deactivate_requires_grad(self.teacher)
        deactivate_requires_grad(self.teacher_head)
        self.criterion = DINOLoss(output_dim=32_768, warmup_teacher_temp_epochs=10)
        self.optimizer = torch.optim.AdamW(_learning(self), lr=1e-3, weight_decay=1e-5)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss of two large views, and maybe small ones."""
        update_momentum(self.student, self.teacher, m=0.996)
        update_momentum(self.student_head, self.teacher_head, m=0.996)
        with torch.no_grad():
            seen = [self._run(self.teacher, self.teacher_head, v) for v in views[:2]]
        told = [self._run(self.student, self.student_head, v) for v in views]
        found: Tensor = self.criterion(seen, told, epoch=1)
        return found

    @staticmethod
    def _run(backbone: nn.Module, head: nn.Module, view: Tensor) -> Tensor:
        found: Tensor = head(backbone(view).flatten(start_dim=1))
        return found


class MAELoop(nn.Module):
    """lightly's example of the masked autoencoder."""

    def __init__(self, words: Words, bands: int) -> None:
        """Initialize a new MAELoop instance."""
        super().__init__()
        vit = make_backbone(words, bands)
        self.patch_size = vit.patch_embed.patch_size[0]
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.sequence_length = self.backbone.sequence_length
        with warnings.catch_warnings():
            # newer versions have another name for it
            warnings.simplefilter('ignore')
            self.decoder = MAEDecoderTIMM(
                num_patches=vit.patch_embed.num_patches,
                patch_size=self.patch_size,
                in_chans=bands,
                embed_dim=vit.embed_dim,
                decoder_embed_dim=512,
                decoder_depth=1,
                decoder_num_heads=16,
            )
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.AdamW(
            _learning(self), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05
        )

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss of one view."""
        (images,) = views
        size = (len(images), self.sequence_length)
        keep, hidden = random_token_mask(size=size, mask_ratio=0.9)
        encoded = self.decoder.embed(self.backbone.encode(images=images, idx_keep=keep))
        decoded = repeat_token(self.decoder.mask_token, size)
        decoded = set_at_index(decoded, keep, encoded.type_as(decoded))
        decoded = self.decoder.decode(decoded)
        predicted = self.decoder.predict(get_at_index(decoded, hidden))
        patches = patchify(images, self.patch_size)
        # the class token has no patch
        target = get_at_index(patches, hidden - 1)
        # as in the paper, and in our default
        mean = target.mean(dim=-1, keepdim=True)
        target = (target - mean) / (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        found: Tensor = self.criterion(predicted, target)
        return found


class INTLLoop(nn.Module):
    """The official formula of INTL, one view after the other."""

    def __init__(self, words: Words, bands: int) -> None:
        """Initialize a new INTLLoop instance."""
        super().__init__()
        self.backbone = make_backbone(words, bands)
        width = self.backbone.num_features
        self.projector = ProjectionHead(
            [
                (width, 2048, nn.BatchNorm1d(2048), nn.ReLU()),
                (2048, 2048, nn.BatchNorm1d(2048), nn.ReLU()),
                (2048, 2048, None, None),
            ]
        )
        self.optimizer = torch.optim.SGD(
            _learning(self), lr=0.3, momentum=0.9, weight_decay=1e-5
        )

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the loss of two views."""
        first, second = (_whiten(self.projector(self.backbone(v))) for v in views)
        near = (F.normalize(first, dim=1) - F.normalize(second, dim=1)).square()
        weight = 0.01 * (torch.tensor(float(len(first))).log2() - 3)
        trace = _distance(first) + _distance(second)
        return near.sum(dim=1).mean() + weight.clamp(min=0) * trace


def _whiten(z: Tensor, iterations: int = 4) -> Tensor:
    """Whiten samples over their features by Newton's iteration, as it is published."""
    z = z - z.mean(dim=1, keepdim=True)
    covariance = z @ z.T / (z.shape[1] - 1)
    trace = covariance.diagonal().sum()
    root = torch.eye(len(z))
    for _ in range(iterations):
        cube = torch.matrix_power(root, 3)
        root = 1.5 * root - 0.5 * cube @ (covariance / trace)
    return root / trace.sqrt() @ z


def _distance(z: Tensor) -> Tensor:
    """Compute the trace loss."""
    covariance = z @ z.T / (z.shape[1] - 1)
    return (covariance.diagonal() - 1).square().sum()


def _learning(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


#: The loop of each task.
LOOPS = {'moco': MoCoLoop, 'dino': DINOLoop, 'mae': MAELoop, 'intl': INTLLoop}


def step(loop: Any, views: Sequence[Tensor]) -> None:
    """Train a loop by one batch."""
    loss = loop.loss(views)
    loss.backward()
    loop.optimizer.step()
    loop.optimizer.zero_grad()
