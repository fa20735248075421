# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small scene of smooth fields, and graphs of it."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.graphs import SceneGraph, pixel_graph, tile_graphs


class Scene(NamedTuple):
    image: Tensor
    valid: Tensor
    labels: Tensor


@pytest.fixture
def scene() -> Scene:
    """Four fields of 12 x 10 pixels, of which a corner has no data."""
    rng = torch.Generator().manual_seed(0)
    spectra = torch.rand(4, 15, generator=rng)
    rows, columns = torch.meshgrid(
        torch.arange(24) // 12, torch.arange(20) // 10, indexing='ij'
    )
    field = 2 * rows + columns
    image = spectra[field].movedim(-1, 0)
    image = image + 0.03 * torch.randn(image.shape, generator=rng)
    valid = torch.ones(24, 20, dtype=torch.bool)
    valid[:4, :3] = False
    labels = torch.where(torch.rand(24, 20, generator=rng) < 0.4, field, -1)
    return Scene(image, valid, labels)


@pytest.fixture
def graph(scene: Scene) -> SceneGraph:
    return pixel_graph(*scene, spectral_neighbors=4, components=6)


@pytest.fixture
def tiles(scene: Scene) -> SceneGraph:
    return tile_graphs(*scene, tile_size=8, spectral_neighbors=3, components=6)
