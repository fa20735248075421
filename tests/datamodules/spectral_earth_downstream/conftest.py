# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of SpectralEarth's downstream sets."""

from pathlib import Path

import pytest
from data.spectral_earth_downstream.data import SETS, write_downstream, write_splits
from datamodules.spectral_earth_downstream.parts import LISTS, SCENES


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all nine data sets with lists of known patches."""
    folder = tmp_path_factory.mktemp('downstream')
    order = [i for numbers in LISTS.values() for i in numbers]
    for name in SETS:
        write_downstream(folder, name, scenes=SCENES)
        files = [f'{i + 1:07d}/{i % SCENES + 1:05d}.tif' for i in order]
        write_splits(folder / name / 'splits' / name, files, (8, 4, 4))
    return folder
