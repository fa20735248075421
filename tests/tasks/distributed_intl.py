# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pretraining with INTL of which each process has a part of the batches."""

from typing import Any

import torch
from tasks.pretraining import TINY, Batches, State, images, plain_views, trainer

from torchgeo_hsi.tasks.intl import INTL

#: Cases: with and without a teacher, for both axes, with small crops.
CASES: dict[str, dict[str, Any]] = {
    'channels': {'output_dim': 24},
    'teacher': {'output_dim': 24, 'ema': True, 'teacher_momentum': 0.5},
    'batch': {'output_dim': 6, 'axis': 'batch', 'iterations': 5},
}
STEPS = 3
BATCH = 16


def train(name: str, rank: int, world: int, **options: Any) -> State:
    """Train on the part of a process.

    Args:
        name: Name of the case.
        rank: Number of the process.
        world: Number of processes.
        **options: Of the trainer.

    Returns:
        The last loss, the gradients of the last step, and all that was learned.
    """
    torch.manual_seed(0)
    words = {'batch_norm': False, 'hidden_dim': 16, 'trace_weight': 0.05, 'lr': 8.0}
    kwargs = {**TINY['model_kwargs'], 'dynamic_img_size': True}
    settings: dict[str, Any] = {**TINY, **words, **CASES[name], 'model_kwargs': kwargs}
    task = INTL(**settings, warmup_epochs=0.0, views=plain_views(4)).double()
    parts = [images(BATCH, seed=step).double() for step in range(STEPS)]
    data = Batches(*({'image': part.chunk(world)[rank]} for part in parts))
    host = trainer(**options, gradient_clip_val=0.0)
    host.fit(task, data)
    found = {f'grad.{k}': p.grad for k, p in task.named_parameters() if p.requires_grad}
    assert None not in found.values()
    found['loss'] = host.callback_metrics['train_loss']
    return {**found, **task.state_dict()}  # type: ignore[dict-item]
