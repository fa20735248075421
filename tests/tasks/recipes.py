# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of recipes share."""

from typing import Any

import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

BANDS = 80
TINY = {'depth': 3}


def images(count: int = 4, size: int = 16) -> Tensor:
    return torch.randn(
        count, BANDS, size, size, generator=torch.Generator().manual_seed(0)
    )


def loader(batch_size: int = 2, **columns: Tensor) -> DataLoader[Any]:
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    return DataLoader(rows, batch_size=batch_size)  # type: ignore[arg-type]


def trainer(epochs: int = 1, **kwargs: Any) -> Trainer:
    return quiet_trainer(**({'max_epochs': epochs} | kwargs))


def moved(task: Any, data: DataLoader[Any]) -> tuple[set[str], set[str]]:
    """Train for one epoch with validation; return what changed, and what did not."""
    before = {k: v.clone() for k, v in task.model.state_dict().items()}
    trainer().fit(task, data, data)
    after = task.model.state_dict()
    assert before.keys() == after.keys()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    return changed, set(before) - changed
