# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A configuration that is done in seconds, and the command that runs it."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.main import main

SIZE = 64
BANDS = ['B10', 'B30', 'B48', 'B72', 'B150']
#: Lightning keeps the configuration beside the results.
OUTPUTS = {'checkpoints', 'config.yaml', 'map.png', 'map.tif', 'scores.json'}


def settings(scene: Path) -> dict[str, Any]:
    """Write the configuration of a pixel classifier for a simulated scene."""
    return {
        'seed_everything': 0,
        'model': model(),
        'data': {
            'class_path': 'torchgeo_hsi.datamodules.SimulatedEnMAPDataModule',
            'init_args': {
                'root': str(scene),
                'bands': BANDS,
                'gap': 4,
                'batch_size': 4,
                'patch_size': 16,
                'length': 32,
            },
        },
        'trainer': {
            'max_epochs': 1,
            'accelerator': 'cpu',
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': 'output',
            'callbacks': [
                callback(
                    'WholeCheckpoint',
                    dirpath='output/checkpoints',
                    save_last=True,
                    save_top_k=0,
                ),
                callback('ScoreFile', path='output/scores.json'),
                callback('GeoTIFFCubeWriter', output_path='output/map.tif'),
                callback('MapFigure', path='output/map.png'),
            ],
        },
    }


def model() -> dict[str, Any]:
    """Write the configuration of the task."""
    names = list(SimulatedEnMAP.classes)
    return {
        'class_path': 'torchgeo_hsi.tasks.HSISegmentation',
        'init_args': {
            'model_kwargs': {'hidden': [8]},
            'in_channels': len(BANDS),
            'num_classes': len(names),
            'labels': names,
            'ignore_index': 255,
            'lr': 0.05,
        },
    }


def callback(name: str, **words: Any) -> dict[str, Any]:
    """Write the configuration of a callback."""
    return {'class_path': f'torchgeo_hsi.callbacks.{name}', 'init_args': words}


def call(config: dict[str, Any] | str, *words: str) -> tuple[int, str, str]:
    """Run the command in the working folder; return its code and what it says."""
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    Path('config.yaml').write_text(text)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(['run', '--config', 'config.yaml', *words])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def read_map(path: Path) -> np.ndarray:
    """Read the codes of a map."""
    with rasterio.open(path) as src:
        return np.asarray(src.read(1))
