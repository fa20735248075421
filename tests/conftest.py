# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures that every test may use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest

# no window pops up, and no display is needed
mpl.use('Agg')

#: Real data for development; see "Real data" in CONTRIBUTING.md.
REAL_DATA = Path(
    os.environ.get('TORCHGEO_HSI_DATA', Path(__file__).parents[2] / 'shared' / 'data')
)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Close what a test or a page of the docs drew: others count their own figures."""
    yield
    if pyplot := sys.modules.get('matplotlib.pyplot'):
        pyplot.close('all')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data only where the folder does not exist at all."""
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f'no real data in {REAL_DATA} (TORCHGEO_HSI_DATA)')
    for item in items:
        if 'realdata' in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Return the folder with the real EnMAP and AVIRIS files."""
    return REAL_DATA


@pytest.fixture(scope='session')
def potsdam(real_data: Path) -> Path:
    """Return the folder with the EnMAP tiles of Potsdam."""
    return real_data / 'enmap_potsdam'
