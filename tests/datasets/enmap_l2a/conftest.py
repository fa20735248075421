# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A made-up scene of EnMAP."""

import pytest
from data.enmap_l2a.data import Scene, make_product

from torchgeo_hsi.datasets import EnMAPL2A


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('enmap'))


@pytest.fixture(scope='module')
def dataset(scene: Scene) -> EnMAPL2A:
    return EnMAPL2A(scene.folder.parent)
