# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tasks: what to train, and how."""

from .segmentation import HSISegmentation

__all__ = ('HSISegmentation',)
