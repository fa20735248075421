# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints are whole, and there in time."""

import errno
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import Tensor
from torch.utils.data import DataLoader

from torchgeo_hsi.callbacks import WholeCheckpoint
from torchgeo_hsi.callbacks.whole_checkpoint import WholeCheckpointIO
from torchgeo_hsi.errors import OutputError


class Line(pl.LightningModule):
    """The smallest network that learns."""

    def __init__(self, fails_in: int = -1) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.fails_in = fails_in

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.current_epoch == self.fails_in:
            raise KeyError('stopped')
        return self.layer(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    folder: Path, task: Line, path: str | None = None, epochs: int = 4, **words: Any
) -> pl.Trainer:
    options: dict[str, Any] = {'save_last': True, 'save_top_k': 0} | words
    trainer = pl.Trainer(
        accelerator='cpu',
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[WholeCheckpoint(folder, **options)],
    )
    trainer.fit(task, DataLoader(torch.ones(6, 4), batch_size=2), ckpt_path=path)
    return trainer


def steps(path: Path) -> int:
    return int(torch.load(path, weights_only=True)['global_step'])


def test_every_epoch_leaves_a_checkpoint(tmp_path: Path) -> None:
    # Lightning alone writes none before the end with save_top_k=0
    with pytest.raises(KeyError, match='stopped'):
        fit(tmp_path, Line(fails_in=2))
    assert [p.name for p in tmp_path.iterdir()] == ['last.ckpt']
    assert steps(tmp_path / 'last.ckpt') == 6
    trainer = fit(tmp_path, Line(), str(tmp_path / 'last.ckpt'))
    assert trainer.global_step == 12
    assert [p.name for p in tmp_path.iterdir()] == ['last.ckpt']
    assert steps(tmp_path / 'last.ckpt') == 12


def test_every_second_epoch(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match='stopped'):
        fit(tmp_path, Line(fails_in=3), every_n_epochs=2)
    assert steps(tmp_path / 'last.ckpt') == 6


@pytest.mark.parametrize('name', ['os.replace', 'os.fsync', 'torch.save'])
def test_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(KeyError, match='stopped'):
        fit(tmp_path, Line(fails_in=1))
    before = (tmp_path / 'last.ckpt').read_bytes()

    def full(*_: Any, **__: Any) -> None:
        if name == 'torch.save':
            # as torch says it where the number of the error is lost
            raise RuntimeError('PytorchStreamWriter failed writing file data/0')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(name, full)
    with pytest.raises(OutputError, match='Free some space or set dirpath'):
        fit(tmp_path, Line(), str(tmp_path / 'last.ckpt'))
    assert (tmp_path / 'last.ckpt').read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['last.ckpt']


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    writer = WholeCheckpointIO()
    with pytest.raises((AttributeError, TypeError), match=r'pickle|local object'):
        writer.save_checkpoint({'net': lambda: 1}, tmp_path / 'a.ckpt')
    assert list(tmp_path.iterdir()) == []


def test_addresses_and_own_ways_are_left_to_lightning(tmp_path: Path) -> None:
    WholeCheckpointIO().save_checkpoint({'a': 1}, f'file://{tmp_path}/a.ckpt')
    assert torch.load(tmp_path / 'a.ckpt', weights_only=True) == {'a': 1}

    class Own(TorchCheckpointIO):
        pass

    trainer = pl.Trainer(accelerator='cpu', plugins=[Own()], logger=False)
    WholeCheckpoint(tmp_path).setup(trainer, Line(), 'fit')
    assert type(trainer.strategy.checkpoint_io) is Own


def test_names_are_those_of_the_newest_run(tmp_path: Path) -> None:
    """And nothing of an older run is lost, whatever is resumed."""
    last, kept = tmp_path / 'last.ckpt', tmp_path / 'last-v1.ckpt'
    words: dict[str, Any] = {'filename': 'best', 'save_top_k': 1}
    fit(tmp_path, Line(), epochs=1, **words)
    fit(tmp_path, Line(), epochs=2, **words)
    assert (steps(last), steps(kept)) == (6, 3)
    assert steps(tmp_path / 'best.ckpt') == 6
    assert steps(tmp_path / 'best-v1.ckpt') == 3
    # the same run goes on: its own files are replaced
    fit(tmp_path, Line(), str(last), epochs=3, **words)
    assert (steps(last), steps(kept)) == (9, 3)
    names = {'last.ckpt', 'last-v1.ckpt', 'best.ckpt', 'best-v1.ckpt'}
    assert {path.name for path in tmp_path.iterdir()} == names
    # the older run goes on, whose checkpoint says that it is last.ckpt
    fit(tmp_path, Line(), str(kept), epochs=2, **words)
    assert (steps(last), steps(kept)) == (6, 3)
    assert steps(tmp_path / 'last-v2.ckpt') == 9
    assert steps(tmp_path / 'best-v2.ckpt') == 9


def test_a_file_that_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk has no links, and where Lightning writes."""
    fit(tmp_path, Line(), epochs=1)

    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, 'no links here')

    monkeypatch.setattr(os, 'link', refuse)
    fit(tmp_path, Line(), epochs=2)
    assert steps(tmp_path / 'last-v1.ckpt') == 3
    assert steps(tmp_path / 'last.ckpt') == 6
