# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the file of scores."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from torchgeo_hsi.callbacks import ScoreFile
from torchgeo_hsi.callbacks.score_file import read_scores
from torchgeo_hsi.errors import OutputError


class Mean(LightningModule):
    """Learns a mean; its losses are known in advance."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (batch - self.mean).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log('val_mean', batch.mean())

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log('test_mean', batch.mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.fixture
def loader() -> DataLoader[Tensor]:
    return DataLoader(torch.arange(4.0))  # type: ignore[arg-type]


def trainer(path: Path, **kwargs: Any) -> Trainer:
    return quiet_trainer(max_epochs=2, callbacks=[ScoreFile(path)], **kwargs)


def test_stages_add_up(tmp_path: Path, loader: DataLoader[Tensor]) -> None:
    path = tmp_path / 'deep' / 'scores.json'
    trainer(path).fit(Mean(), loader, loader)
    assert json.loads(path.read_text())['fit']['val_mean'] == 1.5
    assert read_scores(path)['fit']['epoch'] == 2
    trainer(path).test(Mean(), loader, verbose=False)
    trainer(path).validate(Mean(), loader, verbose=False)
    scores = read_scores(path)
    assert set(scores) == {'fit', 'test', 'validate'}
    assert scores['test']['test_mean'] == 1.5
    assert scores['validate']['val_mean'] == 1.5


def test_fast_dev_run_writes_nothing(
    tmp_path: Path, loader: DataLoader[Tensor]
) -> None:
    trainer(tmp_path / 's.json', fast_dev_run=True).fit(Mean(), loader, loader)
    assert not (tmp_path / 's.json').exists()


@pytest.mark.parametrize('content', ['', '{"fit":', '[1, 2]'])
def test_damaged_file_counts_as_empty(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'scores.json'
    path.write_text(content)
    assert read_scores(path) == {}
    assert read_scores(tmp_path / 'absent.json') == {}


def test_full_disk_keeps_the_old_file(
    tmp_path: Path, loader: DataLoader[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'scores.json'
    path.write_text('{"fit": {"val_mean": 7.0}}')

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OutputError, match='Free some space'):
        trainer(path).test(Mean(), loader, verbose=False)
    assert read_scores(path) == {'fit': {'val_mean': 7.0}}
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_cannot_be_made(tmp_path: Path, loader: DataLoader[Tensor]) -> None:
    (tmp_path / 'file').write_text('keep me')
    with pytest.raises(OutputError, match='choose another path'):
        trainer(tmp_path / 'file' / 's.json').test(Mean(), loader, verbose=False)
    assert (tmp_path / 'file').read_text() == 'keep me'
