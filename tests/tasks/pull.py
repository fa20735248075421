# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The simplest task that learns without labels."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from tasks.pretraining import BANDS, TINY, Plain
from torch import Tensor, nn

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.tasks._recipes import OptimizerName, Recipe
from torchgeo_hsi.tasks._self_supervised import SelfSupervisedTask
from torchgeo_hsi.transforms import MultiView


class Pull(SelfSupervisedTask):
    """Pulls the features of two views together, with a teacher."""

    def __init__(
        self,
        model: str = TINY['model'],
        model_kwargs: dict[str, Any] | None = None,
        in_channels: int = BANDS,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'sgd',
        lr: float = 1.0,
        warmup_epochs: float = 0.0,
        predict: str = 'image',
    ) -> None:
        self.weights = None
        self.recipe = Recipe(optimizer, lr, 0.0, 'constant', warmup_epochs)
        super().__init__()
        self.views = MultiView([Plain(), Plain(flip=True)]) if views is None else views
        self.moves: list[int] = []
        self.batches: list[Sequence[Sample]] = []
        self.features: list[Tensor] = []

    def configure_models(self) -> None:
        self.backbone = self.build_backbone()
        self.teacher = deepcopy(self.backbone).requires_grad_(False)

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.backbone, self.teacher),)

    def momentum(self) -> float:
        self.moves.append(self.trainer.global_step)
        return 0.9

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        self.batches.append(views)
        features = self.encode(self.backbone, views[0])
        self.features.append(features.detach().clone())
        with torch.no_grad():
            target = self.encode(self.teacher, views[1])
        return (features - target - 1).square().mean(), features


def make(**kwargs: Any) -> Pull:
    torch.manual_seed(0)
    return Pull(model_kwargs=TINY['model_kwargs'], **kwargs)
