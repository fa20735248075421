# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A tree of patches, and what they hold."""

from pathlib import Path

import numpy as np
import pytest
from data.spectral_earth.data import write_tree


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('tree')
    write_tree(root, layout='all', stray=True)
    return root


@pytest.fixture(scope='module')
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return write_tree(tmp_path_factory.mktemp('truth'))
