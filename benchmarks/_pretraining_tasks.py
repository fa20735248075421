# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The four tasks, so small that a processor trains them in a minute."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from _pretraining_scene import WINDOW, Statistics, Windows
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from torchgeo_hsi.models import use_bands
from torchgeo_hsi.models.backbones._features import feature_maps, levels_of
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.tasks import HSIDINO, HSIMAE, INTL, HSIMoCo
from torchgeo_hsi.transforms import (
    BandDropout,
    Illumination,
    MultiView,
    SpatialBlur,
    SpectralJitter,
    SpectralMask,
    SpectralMixup,
    SpectralView,
)

#: What a network sees: a part of a window, so that two views of it are neighbours.
CROP = WINDOW // 2
BATCH = 128
#: Arguments of the vision transformer of all tasks.
NETWORK: dict[str, Any] = {
    'img_size': CROP,
    'patch_size': 1,
    'embed_dim': 96,
    'depth': 1,
    'num_heads': 4,
    'global_pool': 'avg',
    'dynamic_img_size': True,
}
#: Classes of the tasks, and what suits short trainings of small networks.
RECIPES: dict[str, tuple[Any, dict[str, Any]]] = {
    'moco': (
        HSIMoCo,
        {
            'hidden_dim': 256,
            'output_dim': 64,
            'queue_size': 2048,
            'temperature': 0.2,
            'teacher_momentum': 0.99,
            'optimizer': 'adamw',
            'lr': 1e-3,
            'schedule': 'cosine',
        },
    ),
    'dino': (
        HSIDINO,
        {
            'hidden_dim': 256,
            'bottleneck_dim': 64,
            'output_dim': 1024,
            'lr': 3e-4,
            'warmup_epochs': 1,
            'teacher_momentum': 0.98,
            'teacher_temp': 0.06,
            'freeze_last_layer': 0,
        },
    ),
    'mae': (
        HSIMAE,
        {'decoder_dim': 96, 'decoder_heads': 4, 'lr': 1e-3, 'mask_ratio': 0.75},
    ),
    'intl': (
        INTL,
        {
            'hidden_dim': 256,
            'output_dim': 256,
            'optimizer': 'adamw',
            'lr': 1e-3,
            'warmup_epochs': 0,
        },
    ),
}
TASKS = tuple(RECIPES)
#: Steps of the optimizer.
STEPS = {'moco': 300, 'dino': 300, 'mae': 500, 'intl': 150}

#: Views of MoCo, DINO and INTL; the ablation takes and adds some.
VIEWS = ('mask', 'dropout')
SPECTRAL = {
    'mask': SpectralMask,
    'dropout': BandDropout,
    'illumination': Illumination,
    'jitter': SpectralJitter,
    'mixup': SpectralMixup,
    'blur': SpatialBlur,
}


def make_view(names: Sequence[str] = (), neighbours: bool = True) -> nn.Module:
    """Make a view with some transforms of spectra.

    Args:
        names: Keys of :data:`SPECTRAL`.
        neighbours: Whether to cut another part of the window each time; the one in the
            middle otherwise.
    """
    size = CROP if neighbours else WINDOW
    scale = (CROP / WINDOW) ** 2 if neighbours else 1.0
    return SpectralView(
        size, (scale, scale), (1.0, 1.0), spectral=[SPECTRAL[name]() for name in names]
    )


def usual_views(name: str) -> MultiView:
    """Make the views of a task: two that differ, or a single plain one for the MAE."""
    if name == 'mae':
        return MultiView([make_view()])
    return MultiView([make_view(VIEWS) for _ in range(2)])


def make_task(name: str, model: str, bands: int, views: MultiView | None = None) -> Any:
    """Build a task.

    Args:
        name: One of :data:`TASKS`.
        model: A vision transformer of this package.
        bands: Number of bands.
        views: Other views.
    """
    kind, words = RECIPES[name]
    return kind(
        model=model,
        model_kwargs=dict(NETWORK),
        in_channels=bands,
        size=CROP,
        scale_lr=False,
        views=usual_views(name) if views is None else views,
        **words,
    )


def pretrain(task: Any, data: Windows, statistics: Statistics, steps: int) -> None:
    """Train a task."""
    # a trainer says more than a hundred of them should
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module='lightning')
    task.views.set_statistics(statistics.mean, statistics.std)
    trainer = Trainer(
        max_steps=steps,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, DataLoader(data, BATCH, shuffle=True, drop_last=True))


def as_tensors(bands: BandSet) -> dict[str, Tensor]:
    """Write bands as samples do."""
    return {
        'wavelength': torch.tensor(bands.wavelength, dtype=torch.float32),
        'fwhm': torch.tensor(bands.fwhm, dtype=torch.float32),
    }


@torch.inference_mode()
def features_of(backbone: nn.Module, image: Tensor, bands: BandSet) -> Tensor:
    """Compute features of all pixels of a scene.

    Args:
        backbone: A network of :func:`make_task`.
        image: Normalized scene ``(C, H, W)``, 0 where there is nothing.
        bands: Its bands.

    Returns:
        Features ``(F, H, W)``, averaged over all places of a crop that show a pixel.
    """
    backbone.eval()
    _, height, width = image.shape
    crops = image.unfold(1, CROP, 1).unfold(2, CROP, 1).permute(1, 2, 0, 3, 4)
    shown = crops[:, :, 0].abs().amax((-2, -1)) > 0
    places = shown.nonzero()
    known = as_tensors(bands)
    total, count = torch.zeros(0), torch.zeros(height, width)
    for part in places.split(256):
        batch = crops[part[:, 0], part[:, 1]]
        with use_bands(backbone, known):
            (maps,), _ = feature_maps(backbone, batch, levels_of(backbone, 1))
        maps = F.interpolate(maps.float(), (CROP, CROP), mode='bilinear')
        if not total.numel():
            total = torch.zeros(maps.shape[1], height, width)
        for (row, column), found in zip(part.tolist(), maps, strict=True):
            here = (slice(row, row + CROP), slice(column, column + CROP))
            total[:, *here] += found
            count[here] += 1
    return total / count.clamp(min=1)


def supervise(
    backbone: nn.Module,
    image: Tensor,
    bands: BandSet,
    places: Tensor,
    labels: Tensor,
    steps: int,
) -> nn.Module:
    """Train a network and a linear layer on it with labelled pixels.

    Args:
        backbone: A network of :func:`make_task`, which changes.
        image: Normalized scene ``(C, H, W)``.
        bands: Its bands.
        places: Rows and columns of the pixels ``(N, 2)``.
        labels: Their classes.
        steps: Steps of the optimizer.

    Returns:
        The linear layer.
    """
    head = nn.Linear(int(backbone.num_features), int(labels.max()) + 1)
    optimizer = torch.optim.AdamW(
        [*backbone.parameters(), *head.parameters()], 1e-3, weight_decay=0.05
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    known = as_tensors(bands)
    last = torch.tensor(image.shape[1:]) - CROP
    backbone.train()
    for _ in range(steps):
        chosen = torch.randint(len(places), (min(64, len(places)),))
        # any crop that shows the pixel
        start = places[chosen] - torch.randint(CROP, (len(chosen), 2))
        start = start.clamp(min=0).minimum(last)
        batch = torch.stack(
            [image[:, r : r + CROP, c : c + CROP] for r, c in start.tolist()]
        )
        with use_bands(backbone, known):
            (maps,), _ = feature_maps(backbone, batch, levels_of(backbone, 1))
        inside = places[chosen] - start
        rows = torch.arange(len(chosen))
        logits = head(maps[rows, :, inside[:, 0], inside[:, 1]])
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval()
