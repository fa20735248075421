# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A simulated EnMAP scene and data modules of it."""

from pathlib import Path
from typing import Any

import pytest
from datamodules.simulated_enmap.regions import GAP, SIZE, Make

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule
from torchgeo_hsi.datasets import SimulatedEnMAP


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('simulated') / 'scene'
    SimulatedEnMAP(folder, size=SIZE, seed=3, cloud_cover=0.3)
    return folder


@pytest.fixture
def make(root: Path) -> Make:
    def build(folder: Path = root, **kwargs: Any) -> SimulatedEnMAPDataModule:
        options = {'gap': GAP, 'batch_size': 2, 'patch_size': 16, **kwargs}
        return SimulatedEnMAPDataModule(str(folder), **options)

    return build
