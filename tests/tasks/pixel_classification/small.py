# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small data module, task and trainer."""

from typing import Any

from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer

from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.tasks import HSIPixelClassification

BANDS = 8


SHARES = {'train': 0.5, 'val': 0.2, 'test': 0.3}


def module(scene: LabelledScene, **words: Any) -> HSIPixelDataModule:
    options: dict[str, Any] = {
        'window': 3,
        'shares': SHARES,
        'block_size': 12,
        'batch_size': 32,
        'tile_size': 24,
        'shots': 20,
    }
    split = words.get('split', 'block')
    if split != 'block':
        del options['block_size']
    if not isinstance(split, str):
        # it was made before
        del options['shares']
    return HSIPixelDataModule(scene, **(options | words))


def task(model: str = 'spectral_cnn', **words: Any) -> HSIPixelClassification:
    kwargs = {'hybridsn': {'components': 5}, 'random_forest': {'trees': 10}}
    options: dict[str, Any] = {
        'in_channels': BANDS,
        'num_classes': 3,
        'window': 3,
        'model_kwargs': kwargs.get(model),
        'lr': 3e-3,
    }
    return HSIPixelClassification(model, **(options | words))


def trainer(epochs: int = 1, **words: Any) -> Trainer:
    return quiet_trainer(**({'max_epochs': epochs} | words))
