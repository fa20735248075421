# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tasks: what to train, and how."""

# naming one of our tasks in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .segmentation import HSISegmentation

__all__ = ('HSISegmentation',)
