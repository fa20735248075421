# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samplers that torchgeo lacks."""

# naming one of our samplers in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .balanced import BalancedWindowSampler
from .pairs import TemporalPairSampler
from .patches import BalancedPatchSampler
from .shard_batch import ShardBatchSampler
from .weighted import WeightedWindowSampler
from .window import RandomWindowSampler

__all__ = (
    'BalancedPatchSampler',
    'BalancedWindowSampler',
    'RandomWindowSampler',
    'ShardBatchSampler',
    'TemporalPairSampler',
    'WeightedWindowSampler',
)
