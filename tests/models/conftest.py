# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints that several test files write."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from data.spectral_earth_weights.data import State, published_resnet, published_vit


@pytest.fixture(scope='session')
def vit_state() -> State:
    torch.manual_seed(0)
    return published_vit()


@pytest.fixture(scope='session')
def resnet_state() -> State:
    torch.manual_seed(1)
    return published_resnet()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        path = tmp_path / 'weights.pth'
        torch.save(content, path)
        return path

    return write
