# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Graphs of a small scene."""

import pytest
import torch
from data.small_scene.data import make_scene

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.graphs import SceneGraph, pixel_graph, tile_graphs


@pytest.fixture(scope='module')
def graph() -> SceneGraph:
    image = torch.rand(10, 6, 8, generator=torch.Generator().manual_seed(0))
    return pixel_graph(image, components=4, spectral_neighbors=3)


@pytest.fixture(scope='module')
def tiles() -> SceneGraph:
    image = torch.rand(10, 8, 12, generator=torch.Generator().manual_seed(0))
    return tile_graphs(image, tile_size=4, components=4, spectral_neighbors=2)


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene(noise=400)
