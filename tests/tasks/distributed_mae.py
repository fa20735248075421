# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masked autoencoding of which each process has a part of the batches."""

from typing import Any

import torch
from tasks.pretraining import TINY, Batches, Plain, State, images, trainer
from torch import Tensor

from torchgeo_hsi.models.masked_autoencoder._token_mask import TokenMask
from torchgeo_hsi.models.masked_autoencoder.model import Masking
from torchgeo_hsi.tasks.mae import HSIMAE
from torchgeo_hsi.transforms import MultiView

#: What is hidden.
CASES: tuple[Masking, ...] = ('spatial', 'both')
STEPS = 3
BATCH = 8


def train(masking: Masking, rank: int, world: int, **options: Any) -> State:
    """Train on the part of a process.

    Args:
        masking: What to hide: the same of all images, as processes draw on their own.
        rank: Number of the process.
        world: Number of processes.
        **options: Of the trainer.

    Returns:
        The last loss and all that was learned.
    """
    torch.manual_seed(0)
    task = HSIMAE(
        **TINY,
        masking=masking,
        mask_ratio=0.5,
        decoder_dim=16,
        decoder_heads=4,
        views=MultiView([Plain()]),
        # Adam makes steps of gradients that are nothing but rounding errors
        optimizer='sgd',
        lr=8.0,
    )
    draw = task.autoencoder.draw

    def same(image: Tensor) -> TokenMask:
        keep, hidden, bands = draw(image[:1], torch.Generator().manual_seed(0))
        size = len(image)
        rows = [part.expand(size, -1) for part in (keep, hidden)]
        return TokenMask(*rows, None if bands is None else bands.expand(size, -1))

    task.autoencoder.draw = same  # type: ignore[method-assign, assignment]
    host = trainer(precision='64-true', **options)
    parts = [images(BATCH, seed=step) for step in range(STEPS)]
    host.fit(task, Batches(*({'image': part.chunk(world)[rank]} for part in parts)))
    return {'loss': host.callback_metrics['train_loss'], **task.state_dict()}
