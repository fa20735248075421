# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Made-up downstream data sets."""

from pathlib import Path

import pytest
from data.spectral_earth_downstream.data import SETS, write_downstream

from tests.datasets.spectral_earth.downstream.sets import SIZES


@pytest.fixture(scope='session')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make all data sets once; tests that change files make their own."""
    root = tmp_path_factory.mktemp('downstream') / 'data'
    for name in SETS:
        write_downstream(root, name, sizes=SIZES)
    return root


@pytest.fixture
def cdl(tmp_path: Path) -> Path:
    """Make a data set that a test may change."""
    write_downstream(tmp_path / 'data', 'cdl', sizes=SIZES)
    return tmp_path / 'data'
