# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masked autoencoding of which each process has a part of the batches.

As a script, run by test_mae.py, it trains with two processes.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from tasks.pretraining import TINY, Batches, Plain, State, images, trainer
from torch import Tensor

from torchgeo_hsi.models._token_mask import TokenMask
from torchgeo_hsi.models.masked_autoencoder import Masking
from torchgeo_hsi.tasks.mae import HSIMAE
from torchgeo_hsi.transforms import MultiView

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


def work(rank: int, port: int, folder: Path) -> None:
    """Be one of two processes."""
    os.environ.update(LOCAL_RANK=str(rank), MASTER_PORT=str(port))
    torch.set_num_threads(1)
    names: tuple[Masking, ...] = ('spatial', 'both')
    for name in names:
        plugins = [LightningEnvironment()]
        found = train(name, rank, 2, devices=2, strategy='ddp', plugins=plugins)
        torch.save(found, folder / f'{name}_{rank}.pt')


def main(port: int, folder: Path) -> int:
    """Start both processes; everything is imported, and nothing has run yet."""
    start = multiprocessing.get_context('fork').Process
    runs = [start(target=work, args=(rank, port, folder)) for rank in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return max(abs(run.exitcode or 0) for run in runs)


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
