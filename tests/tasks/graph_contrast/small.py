# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small task, and what its views are."""

from typing import Any

import torch

from torchgeo_hsi.graphs import SceneGraph
from torchgeo_hsi.tasks import GraphContrast

SMALL: dict[str, Any] = {'in_channels': 4, 'hidden_dim': 12, 'output_dim': 6}


NONE: list[dict[str, Any]] = [{}, {}]


OBJECTIVES = ('grace', 'bgrl', 'barlow_twins', 'mvgrl')


def make(objective: Any, seed: int = 0, **words: Any) -> GraphContrast:
    torch.manual_seed(seed)
    return GraphContrast(objective, **(SMALL | words))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def views_of(task: GraphContrast, graph: SceneGraph) -> tuple[SceneGraph, SceneGraph]:
    source = generator()
    first, second = (view(graph, source) for view in task.views)
    return first, second
