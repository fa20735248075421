# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights that several files load."""

from pathlib import Path

import pytest
import torch
from data.spectral_earth_weights.data import State, published_vit


@pytest.fixture(scope='module')
def small_state() -> State:
    torch.manual_seed(4)
    return published_vit(dim=384, classes=1000)


@pytest.fixture(scope='module')
def folder(
    tmp_path_factory: pytest.TempPathFactory, resnet_state: State, small_state: State
) -> Path:
    """A folder with two of the files: one as published, one as people sort them."""
    path = tmp_path_factory.mktemp('weights')
    torch.save(resnet_state, path / 'spec_rn50_moco.pth')
    (path / 'spec_vit_s').mkdir()
    torch.save(small_state, path / 'spec_vit_s' / 'mae.pth')
    return path
