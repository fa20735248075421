# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images and simulated scenes to be written."""

from pathlib import Path

import numpy as np
import pytest
from helpers.enmap_parts import HEIGHT, SIZE, WIDTH

from torchgeo_hsi.io.simulated import simulate_enmap


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6000, (224, HEIGHT, WIDTH), dtype=np.int16)
    values[:, :3] = -32768
    values[130] = -32768
    return values


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('simulated') / 'scene'
    return simulate_enmap(root, SIZE, seed=3, cloud_cover=0.2)
