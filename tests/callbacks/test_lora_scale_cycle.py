# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of low-rank adaptation whose strength comes and goes."""

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from torchgeo_hsi.callbacks import LoRAScaleCycle
from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.models import add_lora, lora_layers


class Task(LightningModule):
    """Notes the factor of its low-rank matrices at each call."""

    def __init__(self, adapted: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2))
        self.fails = fails
        if adapted:
            add_lora(self.model, rank=2, alpha=6)
        self.seen: dict[str, list[float]] = {'training': [], 'validation': []}

    def scale(self) -> float:
        scales = {
            layer.scaling['default']  # type: ignore[index,union-attr]
            for layer in lora_layers(self).values()
        }
        (scale,) = scales
        return float(scale)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen['training'].append(self.scale())
        if self.fails:
            raise KeyboardInterrupt
        loss: Tensor = self.model(batch).square().mean()
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.seen['validation'].append(self.scale())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], 0.01)


def fit(task: Task, cycle: LoRAScaleCycle, epochs: int, **kwargs: Any) -> Trainer:
    """Train for epochs of three batches."""
    data = DataLoader(torch.randn(6, 4), batch_size=2)  # type: ignore[arg-type]
    options = {'val_check_interval': 1, 'max_epochs': epochs, 'callbacks': [cycle]}
    trainer = quiet_trainer(**(options | kwargs))
    trainer.fit(task, data, data, ckpt_path=getattr(cycle, 'path', None))
    return trainer


def cosine(position: int, length: int, minimum: float) -> float:
    return minimum + (1 - minimum) * 0.5 * (1 + math.cos(math.pi * position / length))


def test_strength() -> None:
    cycle = LoRAScaleCycle(length=4, growth=1.5, minimum=0.2)
    found = [cycle.strength(position) for position in range(4 + 6 + 9)]
    want = [cosine(i, length, 0.2) for length in (4, 6, 9) for i in range(length)]
    assert found == pytest.approx(want)
    assert LoRAScaleCycle(1, growth=1).strength(1000) == 1
    assert min(LoRAScaleCycle(50, minimum=0.3).strength(i) for i in range(50)) > 0.3


@pytest.mark.parametrize('interval', ['epoch', 'step'])
def test_training(interval: Any) -> None:
    cycle = LoRAScaleCycle(4, interval, growth=1, minimum=0)
    task = Task()
    fit(task, cycle, 5)
    positions = [i // 3 if interval == 'epoch' else i for i in range(15)]
    # alpha / rank is 3
    want = [3 * cosine(position % 4, 4, 0) for position in positions]
    assert task.seen['training'] == pytest.approx(want)
    # after each batch, and before the first one
    assert len(task.seen['validation']) == 15 * 3 + 2
    assert set(task.seen['validation']) == {3}
    assert task.scale() == 3


@pytest.mark.parametrize('interval', ['epoch', 'step'])
def test_goes_on(interval: Any, tmp_path: Path) -> None:
    whole, parts = Task(), Task()
    fit(whole, LoRAScaleCycle(3, interval), 5)
    fit(parts, LoRAScaleCycle(3, interval), 2).save_checkpoint(tmp_path / 'last.ckpt')
    again, cycle = Task(), LoRAScaleCycle(3, interval)
    cycle.path = tmp_path / 'last.ckpt'  # type: ignore[attr-defined]
    fit(again, cycle, 5)
    found = parts.seen['training'] + again.seen['training']
    assert found == whole.seen['training']
    assert len(set(found)) > 2


def test_strength_is_not_saved(tmp_path: Path) -> None:
    cycle = LoRAScaleCycle(3, 'step', minimum=0)
    fit(Task(), cycle, 1).save_checkpoint(tmp_path / 'last.ckpt')
    again = Task.load_from_checkpoint(tmp_path / 'last.ckpt')
    assert again.scale() == 3


def test_full_strength_after_a_break() -> None:
    task = Task(fails=True)
    cycle = LoRAScaleCycle(2, 'step')
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(task, cycle, 1, num_sanity_val_steps=0)
    assert task.scale() == 3


def test_task_without_low_rank_matrices() -> None:
    with pytest.raises(MetadataError, match='protocol: lora'):
        fit(Task(adapted=False), LoRAScaleCycle(), 1)


def test_wrong_arguments() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({'interval': 'batch'}, "'batch'"),
        ({'length': 0}, 'at least one epoch'),
        ({'growth': 0.5}, 'a growth of 0.5'),
        ({'growth': math.inf}, 'a growth of inf'),
        ({'minimum': 1.5}, 'from 0 to 1'),
        ({'minimum': -0.1}, 'from 0 to 1'),
    ]
    for words, message in wrong:
        with pytest.raises(ValueError, match=message):
            LoRAScaleCycle(**words)


@pytest.mark.parametrize('growth', [1.0, 1.2])
def test_late_steps_of_short_cycles_are_found_at_once(growth: float) -> None:
    cycle = LoRAScaleCycle(length=2, interval='step', growth=growth, minimum=0)
    start = time.perf_counter()
    found = [cycle.strength(10**12 + step) for step in range(4)]
    assert time.perf_counter() - start < 1
    assert found == pytest.approx([1, 0.5, 1, 0.5])
