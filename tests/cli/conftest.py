# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where a command runs, and what it reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.small_run import SIZE

from torchgeo_hsi.datasets import SimulatedEnMAP


@pytest.fixture(scope='module')
def environment() -> Iterator[None]:
    """Put back what torchgeo's command and Lightning set for the whole process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope='session')
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a small scene, and return its folder."""
    folder = tmp_path_factory.mktemp('simulated') / 'scene'
    SimulatedEnMAP(folder, size=SIZE, seed=3)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
