# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samplers that torchgeo lacks."""

from .._timm import import_with_timm as _import_with_timm
from .balanced import BalancedWindowSampler
from .pairs import TemporalPairSampler
from .patches import BalancedPatchSampler
from .shard_batch import ShardBatchSampler
from .weighted import WeightedWindowSampler
from .window import RandomWindowSampler

# naming one of our samplers in a config is enough to register our backbones in timm
_import_with_timm('torchgeo_hsi.models')

__all__ = (
    'BalancedPatchSampler',
    'BalancedWindowSampler',
    'RandomWindowSampler',
    'ShardBatchSampler',
    'TemporalPairSampler',
    'WeightedWindowSampler',
)
