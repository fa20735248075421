# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pretraining with MoCo and DINO of which each process has a part of the batches.

Run by test_distributed_pretraining.py, also with the other methods.
"""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from tasks import distributed_intl, distributed_mae
from tasks.pretraining import (
    TINY,
    Batches,
    State,
    each_step,
    images,
    plain_views,
    trainer,
)

from torchgeo_hsi.tasks._self_supervised import SelfSupervisedTask
from torchgeo_hsi.tasks.dino import HSIDINO
from torchgeo_hsi.tasks.moco import HSIMoCo

STEPS = 3
BATCH = 8


def make(name: str) -> SelfSupervisedTask:
    """Build a task: with views by chance if its name ends so."""
    torch.manual_seed(0)
    chance = name.endswith('chance')
    words: dict[str, Any] = TINY | {
        'lr': 8.0,
        'hidden_dim': 16,
        'teacher_momentum': 0.5,
    }
    if name.startswith('moco'):
        words |= {'batch_norm': False, 'output_dim': 8, 'queue_size': 20}
        return HSIMoCo(**words, views=None if chance else plain_views())
    # Adam makes steps of gradients that are nothing but rounding errors
    words |= {'optimizer': 'sgd', 'warmup_epochs': 0.0, 'freeze_last_layer': 0}
    words |= {'bottleneck_dim': 8, 'output_dim': 12, 'local_size': 4, 'local_views': 1}
    return HSIDINO(**words, views=None if chance else plain_views(4))


def train(name: str, rank: int, world: int, **options: Any) -> State:
    """Train on the part of a process.

    Args:
        name: Name of the case.
        rank: Number of the process.
        world: Number of processes.
        **options: Of the trainer, and ``ckpt_path``.

    Returns:
        The last loss and all that was learned.
    """
    path = options.pop('ckpt_path', None)
    task = make(name)
    # sums in another order then differ in the last digits only; but Lightning reads
    # checkpoints into single precision
    exact = {} if name.endswith('chance') else {'precision': '64-true'}
    host = trainer(**options, **exact)
    parts = [images(BATCH, seed=step) for step in range(STEPS)]
    data = Batches(*({'image': part.chunk(world)[rank]} for part in parts))
    if path is not None:
        torch.manual_seed(99)
    host.fit(task, data, ckpt_path=path)
    return {'loss': host.callback_metrics['train_loss'], **task.state_dict()}


def work(rank: int, folder: Path) -> None:
    """Be one of two processes."""
    os.environ['LOCAL_RANK'] = str(rank)
    options: dict[str, Any] = {'devices': 2, 'strategy': 'ddp'}
    saved = folder / 'checkpoints'
    for name, more in {
        'moco': {},
        'dino': {},
        'moco_chance': {'callbacks': [each_step(saved)]},
        'moco_again_chance': {'ckpt_path': saved / 'step=1.ckpt'},
    }.items():
        plugins = [LightningEnvironment()]
        found = train(name, rank, 2, plugins=plugins, **options, **more)
        torch.save(found, folder / f'{name}_{rank}.pt')
    for part in (distributed_intl, distributed_mae):
        for name in part.CASES:
            plugins = [LightningEnvironment()]
            found = part.train(name, rank, 2, plugins=plugins, **options)
            torch.save(found, folder / f'{name}_{rank}.pt')
