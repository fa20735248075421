# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small DINO."""

from typing import Any

import torch
from tasks.pretraining import TINY, plain_views

from torchgeo_hsi.tasks.dino import HSIDINO

HEAD: dict[str, Any] = {'hidden_dim': 16, 'bottleneck_dim': 8, 'output_dim': 12}


CROPS: dict[str, Any] = {'local_size': 4, 'local_views': 2}


def make(seed: int = 0, **kwargs: Any) -> HSIDINO:
    torch.manual_seed(seed)
    sizes = [4] * kwargs.get('local_views', 0)
    return HSIDINO(**(TINY | HEAD | {'views': plain_views(*sizes)} | kwargs))
