# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samplers that torchgeo lacks."""

# naming one of our samplers in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .window import RandomWindowSampler

__all__ = ('RandomWindowSampler',)
