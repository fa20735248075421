# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small scene with labels."""

import pytest
from data.small_scene.data import make_scene

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene()
