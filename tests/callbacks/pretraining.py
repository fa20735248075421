# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small task that learns without labels, and data for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from cli.probe_data import BANDS, RowsDataModule
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.tasks._recipes import Recipe
from torchgeo_hsi.tasks._self_supervised import SelfSupervisedTask
from torchgeo_hsi.transforms import MultiView, SpectralView

TINY = {'img_size': 16, 'patch_size': 8}


class Contrast(SelfSupervisedTask):
    """Two views of an image, as near to each other as it gets: this collapses."""

    def __init__(
        self,
        model: str = 'test_vit',
        model_kwargs: dict[str, Any] | None = None,
        in_channels: int = BANDS,
        lr: float = 1e-2,
        num_views: int = 2,
        generator: bool = False,
        predict: Literal['image', 'pixels'] = 'image',
    ) -> None:
        """Initialize a new Contrast instance."""
        self.weights = None
        self.recipe = Recipe('sgd', lr, 0.0, scale_lr=False)
        super().__init__()
        source = torch.Generator().manual_seed(1) if generator else None
        self.views = MultiView(
            [SpectralView(16, generator=source) for _ in range(num_views)]
        )

    def configure_models(self) -> None:
        """Build the network, with a part that is frozen in evaluation mode."""
        self.backbone = self.build_backbone()
        self.frozen = nn.BatchNorm1d(4, affine=False).eval()
        self.frozen.train = lambda mode=True: self.frozen  # type: ignore[method-assign]

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compare the views."""
        x, y = (self.encode(self.backbone, view) for view in (views[0], views[-1]))
        noise = torch.randn(()) * 1e-3
        return 1 - F.cosine_similarity(x, y).mean() + noise, x


def contrast(**kwargs: Any) -> Contrast:
    torch.manual_seed(0)
    return Contrast(model_kwargs=TINY, **kwargs)


def make_trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults = {'max_epochs': 2, 'callbacks': list(callbacks)}
    return quiet_trainer(folder, **(defaults | options))


class Unlabelled(RowsDataModule):
    """Images to pretrain on; shuffled."""

    def __init__(self, validation: bool = True, **kwargs: Any) -> None:
        """Initialize a new Unlabelled instance."""
        super().__init__(**kwargs)
        self.validation = validation
        # normalize, and augment nothing
        self.train_aug = None

    def setup(self, stage: str) -> None:
        """Open the data."""
        super().setup('fit' if stage == 'validate' else stage)

    def val_dataloader(self) -> Any:
        """Return no data where there are none."""
        return super().val_dataloader() if self.validation else []
