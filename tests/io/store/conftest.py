# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A finished store that tests may read, but not change."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip('numcodecs')


@pytest.fixture(scope='session')
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small store."""
    from small_store import build

    path = tmp_path_factory.mktemp('store') / 'small'
    build(path)
    return path
