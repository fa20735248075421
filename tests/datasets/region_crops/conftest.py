# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes on disk."""

from pathlib import Path

import pytest

from tests.datasets.region_crops.numbered import numbered, write


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes')
    write(root / 'a.tif', numbered())
    return root
