# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole-scene output of torchgeo's own tasks, in one process and in two."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml
from callbacks.cube_scenes import (
    HEIGHT,
    QUIET,
    WIDTH,
    Pixelwise,
    SceneData,
    leftovers,
    make_scene,
    make_trainer,
    run_predict,
)
from helpers.processes import Nursery
from torchgeo.tasks import PixelwiseRegression, SemanticSegmentation

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter

pytestmark = QUIET


@pytest.mark.parametrize('task', ['multiclass', 'binary'])
def test_stock_segmentation(root: Path, task: Any) -> None:
    torch.manual_seed(0)
    count = 4 if task == 'multiclass' else None
    labels = ['a', 'b', 'c', 'd'] if task == 'multiclass' else None
    model = SemanticSegmentation(
        model='fcn',
        backbone='resnet18',
        in_channels=5,
        task=task,
        num_classes=count,
        num_filters=2,
        loss='ce' if task == 'multiclass' else 'bce',
        ignore_index=0 if task == 'multiclass' else None,
        labels=labels,
    )
    path = root.parent / 'map.tif'
    make_trainer(GeoTIFFCubeWriter(path)).predict(model, SceneData(str(root)))
    with rasterio.open(path) as src:
        found = src.read(1)
        if task == 'multiclass':
            # class 0 was ignored in training, so it is free for nodata
            assert src.nodata == 0
            assert json.loads(src.tags(1)['class_names'])['3'] == 'd'
        else:
            assert src.nodata == 255
    missing = make_scene()[0] == -9999
    np.testing.assert_array_equal(found == (0 if count else 255), missing)


def test_stock_regression(root: Path) -> None:
    model = PixelwiseRegression(model='fcn', in_channels=5, num_filters=2)
    path = root.parent / 'map.tif'
    writer = GeoTIFFCubeWriter(path, output='regression')
    make_trainer(writer).predict(model, SceneData(str(root)))
    with rasterio.open(path) as src:
        assert (src.count, src.shape) == (1, (HEIGHT, WIDTH))
        np.testing.assert_array_equal(np.isnan(src.read(1)), make_scene()[0] == -9999)


def test_stock_command_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchgeo.main import main

    path = root.parent / 'map.tif'
    writer = {'output_path': str(path), 'overlap': 4, 'class_names': list('abcd')}
    config = {
        'trainer': {
            'accelerator': 'cpu',
            'logger': False,
            'enable_progress_bar': False,
            'callbacks': [
                {
                    'class_path': 'torchgeo_hsi.callbacks.GeoTIFFCubeWriter',
                    'init_args': writer,
                }
            ],
        },
        'model': {
            'class_path': 'torchgeo.tasks.SemanticSegmentation',
            'init_args': {
                'model': 'fcn',
                'in_channels': 5,
                'task': 'multiclass',
                'num_classes': 4,
                'num_filters': 2,
            },
        },
        'data': {
            'class_path': 'callbacks.cube_scenes.StockData',
            'init_args': {'root': str(root)},
        },
    }
    (root.parent / 'config.yaml').write_text(yaml.safe_dump(config))
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr(sys, 'argv', ['torchgeo'])
    main(['predict', '--config', 'config.yaml'])
    with rasterio.open(path) as src:
        assert src.shape == (HEIGHT, WIDTH)
        assert set(np.unique(src.read(1))) <= {0, 1, 2, 3, 255}


def predict_with_two(root: Path, path: Path) -> None:
    """Predict with two processes, which Lightning forks."""
    writer = GeoTIFFCubeWriter(path, output='probabilities')
    trainer = make_trainer(writer, strategy='ddp_fork', devices=2)
    task, data = Pixelwise('probabilities'), SceneData(str(root))
    trainer.predict(task, data, return_predictions=False)


def test_two_processes_give_the_same_file(root: Path, together: Nursery) -> None:
    single, _ = run_predict(root, 'probabilities', output='probabilities')
    path = root.parent / 'out' / 'two.tif'
    together(predict_with_two, (root, path))
    assert path.read_bytes() == single.read_bytes()
    assert leftovers(path.parent) == []
