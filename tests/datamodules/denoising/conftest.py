# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files with images for denoising."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data.tiles.data import make_tiles
from datamodules.denoising.cubes import BANDS


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write cubes of three sizes and two numbers of bands."""
    root = tmp_path_factory.mktemp('cubes')
    rng = np.random.default_rng(0)
    for name, shape in {
        'abu-1': (40, 30, BANDS),
        'abu-2': (30, 40, BANDS),
        'other': (24, 24, BANDS + 2),
    }.items():
        cube = rng.integers(-50, 3000, shape).astype(np.int16)
        scipy.io.savemat(root / f'{name}.mat', {'data': cube, 'map': cube[..., 0]})
    return root


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiles(tmp_path_factory.mktemp('tiles'))[0]
