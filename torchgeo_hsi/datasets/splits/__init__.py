# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits that do not leak, and a report for those that do."""

from .few_labels import few_labels
from .folds import pixel_folds
from .geo import block_geo_split, region_geo_split
from .geo_split import GeoSplit
from .leaks import leak_report
from .official import official_pixel_split
from .patch_split import PatchSplit
from .patches import block_patch_split, region_patch_split
from .pixel_split import PixelSplit
from .pixels import SHARES, block_pixel_split, random_pixel_split, region_pixel_split
from .report import LeakReport

__all__ = (
    'SHARES',
    'GeoSplit',
    'LeakReport',
    'PatchSplit',
    'PixelSplit',
    'block_geo_split',
    'block_patch_split',
    'block_pixel_split',
    'few_labels',
    'leak_report',
    'official_pixel_split',
    'pixel_folds',
    'random_pixel_split',
    'region_geo_split',
    'region_patch_split',
    'region_pixel_split',
)
