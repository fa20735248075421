# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures that every test may use."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from helpers.processes import Nursery

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


#: Settings of GDAL with which the tests began.
_GDAL = {key: value for key, value in os.environ.items() if key.startswith('GDAL_')}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Take back what torchgeo's command has set for GDAL, which then sees no sidecars."""
    for key in [key for key in os.environ if key.startswith('GDAL_')]:
        del os.environ[key]
    os.environ.update(_GDAL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, and skip tests on real data if there is none."""
    # else one worker waits for the other at the end
    slow = {item.path for item in items if 'slow' in item.keywords}
    items.sort(key=lambda item: item.path not in slow)
    # only where the folder does not exist at all
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f'no real data in {REAL_DATA} (TORCHGEO_HSI_DATA)')
    for item in items:
        if 'realdata' in item.keywords:
            item.add_marker(skip)


_nursery = pytest.StashKey[Nursery]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Put aside what was imported, and fork a process in which nothing has run."""
    # else each collection of garbage looks through a million objects that stay
    gc.collect()
    gc.freeze()
    asked = any('together' in getattr(i, 'fixturenames', ()) for i in session.items)
    if asked and hasattr(os, 'fork') and not session.config.option.collectonly:
        session.config.stash[_nursery] = Nursery()


@pytest.fixture(scope='session')
def together(pytestconfig: pytest.Config) -> Nursery:
    """Return what does work in several processes at once."""
    nursery = pytestconfig.stash.get(_nursery, None)
    if nursery is None:
        pytest.skip('processes are forked, which this system cannot do')
    return nursery


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process that forks others, and take back what was put aside."""
    # else libraries complain of leaks behind the last line of the report
    gc.unfreeze()
    if nursery := config.stash.get(_nursery, None):
        nursery.close()


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Return the folder with the real EnMAP and AVIRIS files."""
    return REAL_DATA


@pytest.fixture(scope='session')
def potsdam(real_data: Path) -> Path:
    """Return the folder with the EnMAP tiles of Potsdam."""
    return real_data / 'enmap_potsdam'
