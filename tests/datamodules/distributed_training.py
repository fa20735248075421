# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training on a store that remembers which samples it saw."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn
from torch.utils.data import default_collate

from torchgeo_hsi.datamodules import StoreLoader
from torchgeo_hsi.datamodules._stored import stored_loader
from torchgeo_hsi.datasets import StoredPatches

type Seen = list[tuple[int, list[str]]]


class Witness(LightningModule):
    """A task that writes down the names of the samples of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: Seen = []
        self.validated: list[str] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        self.seen.append((self.current_epoch, list(batch['name'])))
        result: Tensor = self.layer(batch['image'].mean((1, 2, 3))[:, None]).mean()
        return result

    def validation_step(self, batch: Any, index: int) -> None:
        self.validated += batch['name']

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


class Patches(LightningDataModule):
    """The loaders of our data modules."""

    collate_fn = staticmethod(default_collate)

    def __init__(self, store: Path, batch_size: int, num_workers: int) -> None:
        super().__init__()
        self.store, self.batch_size, self.num_workers = store, batch_size, num_workers

    def train_dataloader(self) -> StoreLoader:
        return stored_loader(self, StoredPatches(self.store, 'train'), train=True)

    def val_dataloader(self) -> StoreLoader:
        return stored_loader(self, StoredPatches(self.store, 'val'), train=False)


def train(
    store: Path,
    *,
    seed: int = 0,
    batch_size: int = 4,
    num_workers: int = 0,
    epochs: int = 2,
    checkpoints: str = '',
    resume: str | None = None,
    callbacks: tuple[Any, ...] = (),
    **options: Any,
) -> tuple[Witness, Trainer]:
    """Train on a store.

    Args:
        store: The store.
        seed: Seed of torch's random numbers.
        batch_size: Samples per batch.
        num_workers: Processes that load data.
        epochs: Number of epochs.
        checkpoints: Folder for a checkpoint after each batch; none by default.
        resume: Checkpoint to go on from.
        callbacks: Other callbacks.
        **options: Of the trainer.

    Returns:
        The task, with what it saw, and the trainer.
    """
    torch.manual_seed(seed)
    if checkpoints:
        each = ModelCheckpoint(
            checkpoints, '{step}', every_n_train_steps=1, save_top_k=-1
        )
        callbacks = (*callbacks, each)
    trainer = quiet_trainer(
        store.parent,
        max_epochs=epochs,
        callbacks=list(callbacks),
        enable_checkpointing=bool(callbacks),
        num_sanity_val_steps=0,
        **options,
    )
    task = Witness()
    trainer.fit(
        task, datamodule=Patches(store, batch_size, num_workers), ckpt_path=resume
    )
    return task, trainer


def work(rank: int, store: Path, jobs: Path) -> None:
    """Do one job after the other, each with another seed in each process."""
    os.environ['LOCAL_RANK'] = str(rank)
    for name, options in json.loads(jobs.read_text()).items():
        task, _ = train(
            store,
            seed=rank,
            devices=2,
            strategy='ddp',
            plugins=[LightningEnvironment()],
            **options,
        )
        found = {'seen': task.seen, 'validated': task.validated}
        (jobs.parent / f'{name}_{rank}.json').write_text(json.dumps(found))
