# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What was learned, asked of each task that learns without labels."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from callbacks.pretraining import Unlabelled, make_trainer
from cli.probe_data import BANDS, RowsDataModule

from torchgeo_hsi.callbacks.online_probe import OnlineProbe
from torchgeo_hsi.callbacks.representation_report import RepresentationReport
from torchgeo_hsi.models import export_spectral_earth_weights
from torchgeo_hsi.models.backbones.checkpoint_backbone import backbone_from_checkpoint
from torchgeo_hsi.tasks.dino import HSIDINO
from torchgeo_hsi.tasks.intl import INTL
from torchgeo_hsi.tasks.mae import HSIMAE
from torchgeo_hsi.tasks.moco import HSIMoCo

TASKS: dict[str, tuple[Any, dict[str, Any], str]] = {
    'moco': (HSIMoCo, {'queue_size': 16}, 'backbone'),
    'dino': (HSIDINO, {'hidden_dim': 32, 'output_dim': 64}, 'teacher_backbone'),
    'mae': (HSIMAE, {'decoder_dim': 64}, 'backbone'),
    'intl': (INTL, {'hidden_dim': 32, 'output_dim': 64}, 'backbone'),
}


@pytest.mark.parametrize('name', TASKS)
def test_task(tmp_path: Path, name: str) -> None:
    cls, words, kept = TASKS[name]
    results = []
    probe = OnlineProbe(RowsDataModule(), linear=False)
    for callbacks in ((), (probe, RepresentationReport())):
        torch.manual_seed(0)
        task = cls(
            'spec_vit_tiny',
            {'depth': 1, 'img_size': 16},
            in_channels=BANDS,
            size=16,
            **words,
        )
        trainer = make_trainer(tmp_path, *callbacks, max_epochs=1)
        trainer.fit(task, datamodule=Unlabelled())
        results.append((task, trainer))
    (plain, _), (task, trainer) = results
    for key, value in plain.state_dict().items():
        assert torch.equal(value, task.state_dict()[key]), key
    scores = trainer.callback_metrics
    assert scores['probe/knn_OverallAccuracy'] > 0.5
    assert scores['representation/effective_rank'] >= 1
    assert ('representation/alignment' in scores) == (name != 'mae')
    assert all(math.isfinite(float(value)) for value in scores.values())

    path = tmp_path / 'last.ckpt'
    trainer.save_checkpoint(path)
    backbone = backbone_from_checkpoint(path)
    found, want = backbone.state_dict(), getattr(task, kept).state_dict()
    assert found.keys() == want.keys()
    assert all(torch.equal(found[key], want[key]) for key in want)
    export_spectral_earth_weights(backbone, tmp_path / 'official.pth')
    export_spectral_earth_weights(task, tmp_path / 'direct.pth')
    one, other = (
        torch.load(tmp_path / f'{name}.pth', weights_only=True)
        for name in ('official', 'direct')
    )
    assert all(torch.equal(one[key], other[key]) for key in other)
