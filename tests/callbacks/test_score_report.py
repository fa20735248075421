# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reports of classifications as files."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from data.small_scene.data import make_scene
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer

from torchgeo_hsi.callbacks import ScoreReport
from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.errors import MetadataError, OutputError
from torchgeo_hsi.tasks import HSIPixelClassification, HSISegmentation


def run(callback: ScoreReport, **words: Any) -> Trainer:
    return quiet_trainer(**({'max_epochs': 1, 'callbacks': [callback]} | words))


def data() -> HSIPixelDataModule:
    return HSIPixelDataModule(make_scene(), window=3, block_size=12)


def task() -> HSIPixelClassification:
    return HSIPixelClassification('spectral_cnn', 8, 3, window=3)


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / 'new' / 'folder'
    callback = ScoreReport(
        folder / 'report.json', folder / 'scores.png', folder / 'split.png'
    )
    trainer, model, module = run(callback), task(), data()
    open_figures = plt.get_fignums()
    trainer.fit(model, datamodule=module)
    # epochs speak through the logger
    assert not folder.exists()
    trainer.validate(model, datamodule=module, verbose=False)
    validated = model.report
    trainer.test(model, datamodule=module, verbose=False)
    content = json.loads((folder / 'report.json').read_text())
    assert validated is not None
    assert model.report is not None
    assert content == {'validate': validated.to_dict(), 'test': model.report.to_dict()}
    assert content['test']['split'] == 'block'
    assert content['test']['touching'] == [0.0]
    assert {path.name for path in folder.iterdir()} == {
        'report.json',
        'scores.png',
        'split.png',
    }
    assert plt.get_fignums() == open_figures


def test_a_trial_writes_nothing(tmp_path: Path) -> None:
    callback = ScoreReport(tmp_path / 'report.json')
    run(callback, fast_dev_run=True).test(task(), datamodule=data(), verbose=False)
    assert not list(tmp_path.iterdir())


def test_errors(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    callback = ScoreReport(tmp_path / 'file' / 'report.json')
    with pytest.raises(OutputError, match='could not be written'):
        run(callback).test(task(), datamodule=data(), verbose=False)
    with pytest.raises(MetadataError, match='HSISegmentation makes no report'):
        run(callback).fit(HSISegmentation(in_channels=8))
