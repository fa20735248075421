# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One of two processes that draw from samplers; run by test_distributed.py."""

import json
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from samplers.conftest import Pixels

from torchgeo_hsi.samplers import (
    BalancedPatchSampler,
    BalancedWindowSampler,
    RandomWindowSampler,
)


def draw_orders(rank: int, folder: Path) -> None:
    torch.manual_seed(rank)
    classes = np.arange(400).reshape(20, 20) // 100
    dataset = Pixels((0, 0, 20, 20), (40, 0, 20, 20), masks=[classes, classes])
    samplers = {
        'random': RandomWindowSampler(dataset, 4, 15),
        'balanced': BalancedWindowSampler(dataset, 4, 15),
        'patches': BalancedPatchSampler(np.eye(500), 15),
    }
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    found = {
        name: [[str(place) for place in sampler] for _ in range(2)]
        for name, sampler in samplers.items()
    }
    found['length'] = [len(sampler) for sampler in samplers.values()]
    (folder / f'{rank}.json').write_text(json.dumps(found))
    dist.destroy_process_group()
